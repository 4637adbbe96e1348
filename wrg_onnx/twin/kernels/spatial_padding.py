"""Padding around sliding windows; their geometry is in ``graph/sliding_window.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def pad_spatial(
    x: Tensor, begins: Sequence[int], ends: Sequence[int], value: float = 0.0
) -> Tensor:
    """Pad the trailing axes with a constant; a negative amount crops."""
    amounts: list[int] = []
    for begin, end in zip(reversed(begins), reversed(ends), strict=True):
        amounts += [begin, end]
    return functional.pad(x, amounts, value=value) if any(amounts) else x
