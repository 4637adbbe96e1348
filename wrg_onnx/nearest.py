"""What somebody may have meant by a name that is none."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that names what is most like a name, to be put behind an error.

    Args:
        name: What was asked for; large and small letters count alike.
        known: What there is.

    Returns:
        The question with a blank before it; empty where nothing is like it.
    """
    found = most_like(name, known)
    return f" (did you mean '{found}'?)" if found is not None else ""


def most_like(name: str, known: Iterable[str]) -> str | None:
    """Return what of the known is most like a name; None where nothing is like it."""
    import difflib  # what nobody mistypes need not wait for it

    folded = {one.casefold(): one for one in known}
    found = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[found[0]] if found else None
