"""Text from models, files and other libraries, made fit to be shown.

A name in a model may hold anything: sequences that a terminal obeys, line breaks that forge a line
of a report, marks that turn the direction of what follows, ten thousand characters. What people are
shown goes through here; values, such as those of JSON, stay as they are.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_WORD = 240
"""Characters of a word, such as a name or a path. A longer one loses its middle."""

LONGEST_TEXT = 4000
"""Characters of a whole text, which may be of many words."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of what is no character to see, but does something: controls, formats (which
turn directions, among others), lone halves of pairs, and breaks of lines."""

_JOINERS = "\u200c\u200d"
"""Formats that some scripts, and emoji, write words with."""

_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")

_NOTE = 40
"""Characters that the note in place of a middle takes at most."""


def printable(text: str) -> str:
    r"""Return a text as one line that shows what is in it, and does nothing to what shows it.

    Args:
        text: Any text, lone surrogates included.

    Returns:
        The text with controls, formats and line breaks escaped as Python does (``\x1b``, ``\n``,
        ``\u202e``), and with long words and texts without their middles. Letters of all scripts
        stay, and so does what went through here before.
    """
    if not text.isprintable():
        text = "".join(_escaped(text, place) for place in range(len(text)))
    if len(text) > LONGEST_WORD:
        text = _LONG_WORD.sub(lambda found: _without_middle(found[0], LONGEST_WORD, ""), text)
        text = _without_middle(text, LONGEST_TEXT, " ")
    return text


def printable_lines(text: str) -> str:
    """Return a text of several lines, such as a traceback, with each made printable."""
    return "\n".join(map(printable, text.split("\n")))


def _escaped(text: str, place: int) -> str:
    character = text[place]
    if not _is_hidden(character) or (character in _JOINERS and _is_within_word(text, place)):
        return character
    return character.encode("unicode_escape").decode("ascii")


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN


def _is_within_word(text: str, place: int) -> bool:
    """Tell whether letters beyond ASCII stand on both sides: between others, nothing is joined."""
    around = text[place - 1 : place] + text[place + 1 : place + 2]
    return len(around) == 2 and all(c > "\x7f" and not _is_hidden(c) for c in around)


def _without_middle(text: str, most: int, blank: str) -> str:
    if len(text) <= most:
        return text
    end = (most - _NOTE) // 2
    note = f"...[{len(text) - 2 * end:,}{blank or '_'}characters]..."
    return f"{text[:end]}{blank}{note}{blank}{text[-end:]}"
