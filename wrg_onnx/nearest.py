"""What somebody may have meant by a name that is none."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that names what is most like a name, to be put behind an error.

    Args:
        name: What was asked for.
        known: What there is.

    Returns:
        The question with a blank before it; empty where nothing is like it.
    """
    import difflib  # what nobody mistypes need not wait for it

    found = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean '{found[0]}'?)" if found else ""
