"""How a kernel slides over an image: the geometry of convolutions and pooling, read off a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wrg_onnx.graph.model import Node


@dataclass(frozen=True, slots=True)
class SlidingWindow:
    """How a kernel slides over the spatial axes; one entry per axis.

    Attributes:
        kernel: Taps of the kernel.
        strides: Steps between two windows.
        dilations: Steps between two taps.
        begins: Padding before the first position; a negative one crops.
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

    Source: https://onnx.ai/onnx/operators/onnx__Conv.html
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
    return SlidingWindow(tuple(kernel), strides, dilations, *_halves(totals, auto_pad))


def read_transposed_window(
    node: Node, kernel: Sequence[int], sizes: Sequence[int]
) -> tuple[SlidingWindow, tuple[int, ...]]:
    """Read the window of a ConvTranspose; ``auto_pad`` and ``output_shape`` are resolved.

    Args:
        node: A ConvTranspose.
        kernel: Taps per spatial axis.
        sizes: The input's size per spatial axis.

    Returns:
        The window of the convolution that it is the gradient of, whose padding is what is cropped
        from the full output, and the output padding per spatial axis.

    Source: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html
    """
    rank = len(kernel)
    extra = node.ints("output_padding", (0,) * rank)
    strides = node.ints("strides", (1,) * rank)
    dilations = node.ints("dilations", (1,) * rank)
    auto_pad = node.str("auto_pad", "NOTSET")
    if "output_shape" in node.attributes:
        wanted = node.ints("output_shape")[-rank:]
    elif auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(size * s for size, s in zip(sizes, strides, strict=True))
    else:
        return read_window(node, kernel, sizes), extra
    # What the taps reach from all places, less what is wanted of it.
    totals = [
        s * (size - 1) + e + (k - 1) * d + 1 - want
        for size, s, e, k, d, want in zip(
            sizes, strides, extra, kernel, dilations, wanted, strict=True
        )
    ]
    return SlidingWindow(tuple(kernel), strides, dilations, *_halves(totals, auto_pad)), extra


def _halves(totals: Sequence[int], auto_pad: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Divide paddings between begin and end; ``SAME_UPPER`` has the odd one at the end."""
    small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
    return (small, large) if auto_pad == "SAME_UPPER" else (large, small)


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
