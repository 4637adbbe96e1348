"""Elements of SVG and HTML whose attributes and texts are escaped, whatever is in them."""

from __future__ import annotations

from markupsafe import Markup, escape


def tag(name: str, /, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """Return one element.

    Args:
        name: Of the element: written as it is.
        *children: What is in it; texts are escaped, markup is not.
        **attributes: By name, with ``_`` for ``-`` and none at the end (``class_``); those that are
            None are left out.
    """
    said = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, said, inside)


def middle_cut(text: str, most: int) -> str:
    """Return a text without its middle where it is longer: names differ at both ends."""
    if len(text) <= most:
        return text
    start = most // 2
    return f"{text[:start]}…{text[start + 1 - most :]}"
