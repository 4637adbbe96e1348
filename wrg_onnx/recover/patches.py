"""What a layer multiplies its weights with: the patches of its input, as rows of a regression."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from wrg_onnx.factors import BoolArray, IntArray
from wrg_onnx.graph import Array, Node
from wrg_onnx.graph.sliding_window import (
    SlidingWindow,
    output_sizes,
    read_transposed_window,
    read_window,
)
from wrg_onnx.recover.layers import LinearLayer


def sampled_patches(
    layer: LinearLayer, weight_shape: tuple[int, ...], x: Array, chosen: IntArray
) -> Array:
    """Return a layer's patches at some places.

    Args:
        layer: The layer.
        weight_shape: The shape of its weight.
        x: (N, C, ...) its input, or (..., C) for Gemm and MatMul.
        chosen: (rows,) int64, numbers of places in the flattened ``rows_shape``.

    Returns:
        (G, D, rows) float32, contiguous; `D` is C / G times the kernel, in the order of
        ``to_matrix``.
    """
    if layer.node.op in ("Gemm", "MatMul"):
        rows = x.reshape(-1, x.shape[-1])[chosen]
        return np.ascontiguousarray(rows.T, np.float32)[None]
    kernel = weight_shape[2:]
    shape = rows_shape(layer, weight_shape, x.shape)
    window, steps = _as_convolution(layer.node, kernel, x.shape[2:])
    index, is_inside = _elements(window, steps, x.shape[2:], np.unravel_index(chosen, shape))
    # (C, N * sizes), which is no copy of one sample, and read at (K..., rows) elements. A padded
    # or stuffed copy of a whole map would take longer than the few places of it that are read.
    flat = x.swapaxes(0, 1).reshape(x.shape[1], -1)
    taken = np.asarray(flat.take(index.ravel(), axis=1), np.float32)
    if not is_inside.all():
        taken[:, np.flatnonzero(~is_inside)] = 0
    return taken.reshape(layer.group, -1, len(chosen))


def rows_shape(
    layer: LinearLayer, weight_shape: tuple[int, ...], x_shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the shape of a layer's output without the axis of its channels.

    Args:
        layer: The layer.
        weight_shape: The shape of its weight.
        x_shape: The shape of its input.
    """
    if layer.node.op in ("Gemm", "MatMul"):
        return x_shape[:-1]
    window, steps = _as_convolution(layer.node, weight_shape[2:], x_shape[2:])
    return (x_shape[0], *output_sizes(window, _stuffed_sizes(x_shape[2:], steps), ceil=False))


@lru_cache(maxsize=512)  # asked of each layer for each sample: as many layers as take turns
def _as_convolution(
    node: Node, kernel: tuple[int, ...], sizes: tuple[int, ...]
) -> tuple[SlidingWindow, tuple[int, ...]]:
    """Describe a Conv or ConvTranspose as a convolution.

    Args:
        node: The node.
        kernel: Taps per spatial axis.
        sizes: The input's size per spatial axis.

    Returns:
        The window, and the steps between two elements of the input, with zeros between: 1 for a
        Conv. The kernel of a ConvTranspose is turned round, which ``to_matrix`` does.
    """
    if node.op == "Conv":
        return read_window(node, kernel, sizes), (1,) * len(kernel)
    window, extra = read_transposed_window(node, kernel, sizes)
    # Element i of the input goes to the places s * i + d * k - begin of the output, k being the
    # tap. Seen from place p, with the taps turned round (k' = K - 1 - k), that is
    #   s * i = p + d * k' - (d * (K - 1) - begin):
    # a convolution of stride 1 over an input whose elements lie s apart, which is padded by what a
    # kernel reaches over its first tap, d * (K - 1), less what is cropped of the full output. The
    # output padding makes the end see more zeros.
    reach = tuple(span - 1 for span in window.spans)
    begins = tuple(r - begin for r, begin in zip(reach, window.begins, strict=True))
    ends = tuple(r - end + e for r, end, e in zip(reach, window.ends, extra, strict=True))
    ones = (1,) * len(kernel)
    return SlidingWindow(kernel, ones, window.dilations, begins, ends), window.strides


def _stuffed_sizes(sizes: Sequence[int], steps: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes of an input whose elements lie some steps apart."""
    return tuple((size - 1) * step + 1 for size, step in zip(sizes, steps, strict=True))


def _elements(
    window: SlidingWindow,
    steps: Sequence[int],
    sizes: Sequence[int],
    places: Sequence[IntArray],
) -> tuple[IntArray, BoolArray]:
    """Find what each tap reads at some places of a convolution.

    Args:
        window: How the kernel slides.
        steps: How far the elements of the input lie apart, with zeros between.
        sizes: The input's size per spatial axis.
        places: (rows,) int64 each: the samples, and the place on each spatial axis.

    Returns:
        (K..., rows) int64, the elements of the flattened (N, sizes...), and (K..., rows) bool,
        whether there is one; a zero is read where there is none, in the padding and in between.
    """
    index, *starts = places
    is_inside = np.ones(len(index), bool)
    for axis, (place, size) in enumerate(zip(starts, sizes, strict=True)):
        # Tap k at place p reads element  stride * p + dilation * k - begin  of the axis.
        taps = np.arange(window.kernel[axis]) * window.dilations[axis] - window.begins[axis]
        position = place * window.strides[axis] + taps[:, None]
        element, between = np.divmod(position, steps[axis]) if steps[axis] > 1 else (position, 0)
        seen = (element >= 0) & (element < size) & (between == 0)
        index = index[..., None, :] * size + np.where(seen, element, 0)
        is_inside = is_inside[..., None, :] & seen
    return index, is_inside
