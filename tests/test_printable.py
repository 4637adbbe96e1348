"""What is shown does nothing to the terminal that shows it, and is still the name."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrg_onnx.errors import ModelError, one_line, spoken
from wrg_onnx.printable import LONGEST_TEXT, LONGEST_WORD, printable, printable_lines

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    "name",
    ["conv1.weight", "/model/block.0/Conv_1", "größe", "重み", "وزن", "поле", "a b", "",
     "[bold]x[/bold]", "C:\\models\\m.onnx", "naïve_½ →", "👩\u200d🚀", "क्\u200dष", "وز\u200cن"],
)  # fmt: skip
def test_normal_names_stay_as_they_are(name):
    assert printable(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x00\x07\x7f\x9b", r"\x00\x07\x7f\x9b"),
        ("a\u202eb\u2066c\u200f\u061c", r"a\u202eb\u2066c\u200f\u061c"),
        ("line\u2028next\u2029\x85", r"line\u2028next\u2029\x85"),
        ("\ufeffx\u200by\u00ad", r"\ufeffx\u200by\xad"),
        ("\udcff\ud800", r"\udcff\ud800"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("a\u200db", r"a\u200db"),
        ("é\u200d\u200dé", r"é\u200d\u200dé"),
    ],
)
def test_what_does_something_is_escaped(name, shown):
    assert printable(name) == shown


def test_a_long_name_loses_its_middle():
    found = printable("start" + "x" * 10_000 + "end")
    assert len(found) <= LONGEST_WORD
    assert found.startswith("startxx")
    assert found.endswith("xxend")
    assert "...[9,808_characters]..." in found


def test_a_long_name_within_a_sentence_is_shortened_alone():
    found = printable(f"node '{'n' * 10_000}' has no rule")
    assert found.startswith("node 'nnn")
    assert found.endswith("nnn' has no rule")
    assert len(found) < LONGEST_WORD + 30


def test_a_long_name_of_many_words_is_shortened_too():
    found = printable("ab " * 10_000)
    assert len(found) <= LONGEST_TEXT
    assert "characters]..." in found


def test_a_path_of_usual_length_stays_whole():
    path = "/".join(["a_folder_name"] * 16)
    assert printable(path) == path


@given(st.text(st.characters(), max_size=600))
def test_any_text_becomes_printable_and_then_stays(text):
    found = printable(text)
    assert printable(found) == found
    hidden = [c for c in found if unicodedata.category(c) in HIDDEN]
    assert {*hidden} <= {"\u200c", "\u200d"}
    found.encode("utf-8")


def test_lines_of_a_traceback_stay_lines():
    assert printable_lines("a\n  b\x1b[0m\n") == "a\n  b\\x1b[0m\n"


def test_the_text_of_an_error_is_printable_and_its_arguments_are_whole():
    name = "\x1b]0;owned\x07" + "x" * 10_000
    error = ModelError(f"node '{name}'\nError: all is well")
    assert "\x1b" not in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 400
    assert name in error.args[0]


def test_what_another_library_says_is_printable():
    assert one_line(ValueError("a\x1b[2Jb\n\u202ec")) == r"a\x1b[2Jb \u202ec"


class Mute(Exception):  # noqa: N818 - it stands for what people write
    """Whoever asks it for its text is told off."""

    def __str__(self):
        raise GeneratorExit


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no"), "ValueError: no"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "it would end this program (SystemExit: 3)"),
        (SystemExit(), "it would end this program (SystemExit: 0)"),
        (SystemExit("bad \x1b[1m"), r"it would end this program (SystemExit: bad \x1b[1m)"),
        (Mute(), "Mute: its text cannot be read (GeneratorExit)"),
        (
            SystemExit(Mute()),
            "it would end this program (SystemExit: its text cannot be read (GeneratorExit))",
        ),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_code_of_others_raised_is_said(error, said):
    assert spoken(error) == said
