"""The geometry of sliding windows, shared by convolution and pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from wrg_onnx.graph.model import Node


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """How a kernel slides over the spatial axes; one entry per axis.

    Attributes:
        kernel: Taps of the kernel.
        strides: Steps between two windows.
        dilations: Steps between two taps.
        begins: Padding before the first position.
        ends: Padding after the last position.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def spans(self) -> tuple[int, ...]:
        """The positions between the first and the last tap, both included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


def read_window(node: Node, kernel: Sequence[int], sizes: Sequence[int]) -> SlidingWindow:
    """Read strides, dilations and padding off a node; ``auto_pad`` is resolved.

    Args:
        node: A convolution or pooling.
        kernel: Taps per spatial axis.
        sizes: The input's size per spatial axis.
    """
    rank = len(kernel)
    strides = node.ints("strides", (1,) * rank)
    dilations = node.ints("dilations", (1,) * rank)
    auto_pad = node.str("auto_pad", "NOTSET")
    if auto_pad in ("NOTSET", ""):
        pads = node.ints("pads", (0,) * (2 * rank))
        return SlidingWindow(tuple(kernel), strides, dilations, pads[:rank], pads[rank:])
    if auto_pad == "VALID":
        return SlidingWindow(tuple(kernel), strides, dilations, (0,) * rank, (0,) * rank)
    totals = [
        max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    begins, ends = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
    return SlidingWindow(tuple(kernel), strides, dilations, begins, ends)


def output_sizes(window: SlidingWindow, sizes: Sequence[int], *, ceil: bool) -> tuple[int, ...]:
    """Return how many windows fit on each axis.

    Args:
        window: The window.
        sizes: The input's size per spatial axis.
        ceil: Whether a last window may hang over the end; one that lies in the padding after
            the end as a whole does not count.
    """
    counts = []
    for axis, size in enumerate(sizes):
        stride = window.strides[axis]
        room = size + window.begins[axis] + window.ends[axis] - window.spans[axis]
        count = (-(-room // stride) if ceil else room // stride) + 1
        if ceil and (count - 1) * stride >= size + window.begins[axis]:
            count -= 1
        counts.append(count)
    return tuple(counts)


def pad_spatial(
    x: Tensor, begins: Sequence[int], ends: Sequence[int], value: float = 0.0
) -> Tensor:
    """Pad the trailing axes with a constant; a negative amount crops."""
    amounts: list[int] = []
    for begin, end in zip(reversed(begins), reversed(ends), strict=True):
        amounts += [begin, end]
    return functional.pad(x, amounts, value=value) if any(amounts) else x
