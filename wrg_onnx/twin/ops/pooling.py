"""Pooling over windows and over whole maps."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.graph.sliding_window import SlidingWindow, output_sizes, read_window
from wrg_onnx.twin.attributes import number
from wrg_onnx.twin.kernels.spatial_padding import pad_spatial
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


_MAX = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_MAX_INDICES = {
    1: functional.max_pool1d_with_indices,
    2: functional.max_pool2d_with_indices,
    3: functional.max_pool3d_with_indices,
}
_AVERAGE = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


@twin_op("MaxPool", since=1)
def max_pool(node: Node, x: Tensor) -> Tensor | tuple[Tensor, ...]:
    """Take the maximum of each window, and where it is when the node asks.

    Source: https://onnx.ai/onnx/operators/onnx__MaxPool.html
    """
    if not x.is_floating_point():
        # Torch pools floats only; the integers that ONNX allows here (8 bits) are exact as floats.
        results = max_pool(node, x.float())
        if isinstance(results, Tensor):
            return results.to(x.dtype)
        return results[0].to(x.dtype), *results[1:]
    window = read_window(node, node.ints("kernel_shape"), x.shape[2:])
    ceil = bool(node.int("ceil_mode", 0))
    want_indices = len(node.outputs) > 1 and bool(node.outputs[1])
    sizes = x.shape[2:]
    padding, shift = window.begins, (0,) * len(sizes)
    if not _is_direct(window):
        padded, shift = _pad_to_cover(x, window, ceil=ceil, value=float("-inf")), window.begins
        padding, ceil = (0,) * len(sizes), False
    else:
        padded = x
    if not want_indices:
        return _MAX[len(sizes)](
            padded, window.kernel, window.strides, padding, window.dilations, ceil_mode=ceil
        )
    values, flat = _MAX_INDICES[len(sizes)](
        padded, window.kernel, window.strides, padding, window.dilations, ceil_mode=ceil
    )
    indices = _in_whole_tensor(
        flat, padded.shape[2:], shift, sizes, column_major=bool(node.int("storage_order", 0))
    )
    return values, indices


@twin_op("AveragePool", since=7)
def average_pool(node: Node, x: Tensor) -> Tensor:
    """Take the mean of each window; padding counts where ``count_include_pad`` says so.

    Source: https://onnx.ai/onnx/operators/onnx__AveragePool.html
    """
    window = read_window(node, node.ints("kernel_shape"), x.shape[2:])
    ceil = bool(node.int("ceil_mode", 0))
    include_pad = bool(node.int("count_include_pad", 0))
    if _is_direct(window) and all(d == 1 for d in window.dilations):
        return _AVERAGE[len(window.kernel)](
            x, window.kernel, window.strides, window.begins, ceil, include_pad
        )
    ones = x.new_ones((1, 1, *x.shape[2:]))
    if include_pad:
        # The positions that a ceiled last window has beyond the padding are never counted.
        ones = pad_spatial(ones, window.begins, window.ends, value=1.0)
        inner = SlidingWindow(window.kernel, window.strides, window.dilations, *_no_pads(window))
        counts = _sum_windows(ones, inner, output_sizes(window, x.shape[2:], ceil=ceil))
    else:
        counts = _sum_windows(ones, window, output_sizes(window, x.shape[2:], ceil=ceil))
    return _sum_windows(x, window, output_sizes(window, x.shape[2:], ceil=ceil)) / counts


@twin_op("LpPool", since=2)
def lp_pool(node: Node, x: Tensor) -> Tensor:
    """Take the p-norm of each window."""
    window = read_window(node, node.ints("kernel_shape"), x.shape[2:])
    p = number(node, "p", 2)
    counts = output_sizes(window, x.shape[2:], ceil=bool(node.int("ceil_mode", 0)))
    return _sum_windows(x.abs() ** p, window, counts) ** (1 / p)


@twin_op("GlobalAveragePool", since=1)
def global_average_pool(_node: Node, x: Tensor) -> Tensor:
    """Take the mean over the spatial axes."""
    return x.mean(tuple(range(2, x.dim())), keepdim=True) if x.dim() > 2 else x


@twin_op("GlobalMaxPool", since=1)
def global_max_pool(_node: Node, x: Tensor) -> Tensor:
    """Take the maximum over the spatial axes."""
    return x.amax(tuple(range(2, x.dim())), keepdim=True) if x.dim() > 2 else x


@twin_op("GlobalLpPool", since=2)
def global_lp_pool(node: Node, x: Tensor) -> Tensor:
    """Take the p-norm over the spatial axes."""
    p = node.int("p", 2)
    return (x.abs() ** p).sum(tuple(range(2, x.dim())), keepdim=True) ** (1 / p)


@twin_op("MaxUnpool", since=9, host=(2,))
def max_unpool(node: Node, x: Tensor, indices: Tensor, shape: Tensor | None = None) -> Tensor:
    """Put the values back to where MaxPool took them from, zeros elsewhere."""
    rank = x.dim() - 2
    kernel = node.ints("kernel_shape")
    strides = node.ints("strides", (1,) * rank)
    pads = node.ints("pads", (0,) * (2 * rank))
    sizes = [
        (size - 1) * s - pads[axis] - pads[axis + rank] + k
        for axis, (size, s, k) in enumerate(zip(x.shape[2:], strides, kernel, strict=True))
    ]
    inner = (*x.shape[:2], *sizes)
    y = x.new_zeros(prod(inner)).scatter(0, indices.reshape(-1), x.reshape(-1)).reshape(inner)
    if shape is None:
        return y
    return pad_spatial(
        y, (0,) * rank, [int(w) - s for w, s in zip(shape[2:].tolist(), sizes, strict=True)]
    )


def _is_direct(window: SlidingWindow) -> bool:
    """Whether torch's own padding will do: symmetric, and at most half a kernel."""
    return window.begins == window.ends and all(
        0 <= 2 * pad <= k for pad, k in zip(window.begins, window.kernel, strict=True)
    )


def _no_pads(window: SlidingWindow) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (0,) * len(window.kernel), (0,) * len(window.kernel)


def _pad_to_cover(x: Tensor, window: SlidingWindow, *, ceil: bool, value: float) -> Tensor:
    """Pad so that the windows cover x exactly."""
    sizes = x.shape[2:]
    counts = output_sizes(window, sizes, ceil=ceil)
    ends = [
        (count - 1) * s + span - size - begin
        for count, s, span, size, begin in zip(
            counts, window.strides, window.spans, sizes, window.begins, strict=True
        )
    ]
    return pad_spatial(x, window.begins, ends, value)


def _sum_windows(x: Tensor, window: SlidingWindow, counts: tuple[int, ...]) -> Tensor:
    """Sum each window, one axis after the other, whatever the padding and dilation.

    Args:
        x: (N, C, ...).
        window: The window; positions outside x count as zero.
        counts: Windows per spatial axis.
    """
    for axis, count in enumerate(counts, start=2):
        k, s, d = (field[axis - 2] for field in (window.kernel, window.strides, window.dilations))
        begin, size = window.begins[axis - 2], x.shape[axis]
        starts = torch.arange(count, device=x.device) * s - begin
        # (count, k): the position in x of each tap of each window.
        taps = starts[:, None] + torch.arange(k, device=x.device) * d
        inside = ((taps >= 0) & (taps < size)).to(x.dtype)
        taken = x.index_select(axis, taps.clamp(0, size - 1).reshape(-1))
        taken = taken.reshape(*x.shape[:axis], count, k, *x.shape[axis + 1 :])
        inside = inside.reshape(count, k, *(1,) * (x.dim() - axis - 1))
        x = (taken * inside).sum(axis + 1)
    return x


def _in_whole_tensor(
    flat: Tensor,
    padded: torch.Size,
    shift: tuple[int, ...],
    sizes: torch.Size,
    *,
    column_major: bool,
) -> Tensor:
    """Turn positions in one padded map into positions in the flattened, unpadded (N, C, ...).

    Args:
        flat: (N, C, ...) positions, row-major in maps of the sizes ``padded``.
        padded: Sizes of the maps that were pooled.
        shift: Positions before the first one of x.
        sizes: Sizes of the maps of x.
        column_major: Whether the first spatial axis runs fastest in the result.
    """
    coordinates: list[Tensor] = []
    for size, begin in zip(reversed(padded), reversed(shift), strict=True):
        coordinates.insert(0, flat % size - begin)
        flat = flat // size
    pairs = list(zip(coordinates, sizes, strict=True))
    inner = torch.zeros_like(flat)
    for coordinate, size in reversed(pairs) if column_major else pairs:
        inner = inner * size + coordinate
    batch, channels = flat.shape[:2]
    maps = torch.arange(batch * channels, device=flat.device)
    return inner + maps.reshape(batch, channels, *(1,) * len(sizes)) * prod(sizes)
