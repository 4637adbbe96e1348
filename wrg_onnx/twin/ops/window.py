"""The geometry of sliding windows, and padding around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from wrg_onnx.graph.window import Window, output_sizes, read_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["Window", "output_sizes", "pad_spatial", "read_window"]


def pad_spatial(
    x: Tensor, begins: Sequence[int], ends: Sequence[int], value: float = 0.0
) -> Tensor:
    """Pad the trailing axes with a constant; a negative amount crops."""
    amounts: list[int] = []
    for begin, end in zip(reversed(begins), reversed(ends), strict=True):
        amounts += [begin, end]
    return functional.pad(x, amounts, value=value) if any(amounts) else x
