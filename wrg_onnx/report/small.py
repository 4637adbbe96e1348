"""Texts and numbers made small for details, whose size is bounded."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from wrg_onnx.report.details import DIGITS, MOST_LETTERS

_GAP = "[...]"
"""Stands where a middle was."""


def short_text(text: str, most: int = MOST_LETTERS) -> str:
    """Return a text that takes no more bytes in JSON than so many, without its middle if need be.

    Args:
        text: Any text; letters beyond ASCII take six bytes in JSON, or twelve.
        most: How many bytes, the quotes not counted.
    """
    if _length(text) <= most:
        return text
    share = (most - len(_GAP)) // 2
    return f"{_beginning(text, share)}{_GAP}{_beginning(text[::-1], share)[::-1]}"


def _beginning(text: str, most: int) -> str:
    """Return as much of the beginning as fits."""
    taken = 0
    for place, letter in enumerate(text):
        taken += _length(letter)
        if taken > most:
            return text[:place]
    return text


def _length(text: str) -> int:
    return len(json.dumps(text)) - 2


def rounded(value: float) -> float:
    """Return a number to ``DIGITS`` significant digits."""
    return float(f"{value:.{DIGITS}g}")


def known(values: Iterable[float]) -> tuple[float | None, ...]:
    """Round numbers; what is not finite is None, as JSON has it."""
    return tuple(rounded(value) if math.isfinite(value) else None for value in values)
