"""What a layer multiplies its weights with: the patches of its input, as rows of a regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from wrg_onnx.graph import Array, Node
from wrg_onnx.graph.sliding_window import (
    SlidingWindow,
    output_sizes,
    read_transposed_window,
    read_window,
)
from wrg_onnx.recover.layers import LinearLayer

IntArray: TypeAlias = NDArray[np.int64]


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
    shape = rows_shape(layer, weight_shape, x.shape)
    sample, *places = np.unravel_index(chosen, shape)
    patches_at = _patches_at(layer.node, weight_shape[2:], x)
    # (N, C, P..., K...) with the places of samples as index: (rows, C, K...) -> (C, K..., rows).
    index: tuple[Any, ...] = (sample, slice(None), *places)
    part = patches_at[index]
    taken = np.ascontiguousarray(np.moveaxis(part, 0, -1), np.float32)
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


def _patches_at(node: Node, kernel: tuple[int, ...], x: Array) -> Array:
    """View an input (N, C, sizes...) as (N, C, P..., K...): of each place, what each tap reads.

    Args:
        node: A Conv or ConvTranspose.
        kernel: Taps per spatial axis, K.
        x: Its input. What is returned shares the memory of a padded copy: element
            [n, c, p, k] is element ``stride * p + dilation * k`` of the padded axis.
    """
    window, steps = _as_convolution(node, kernel, x.shape[2:])
    x = _padded(_stuffed(x, steps), window.begins, window.ends)
    axes = tuple(range(2, x.ndim))
    # (N, C, length - span + 1..., span...): every start, with all that the kernel spans; then only
    # each stride-th start, and each dilation-th element of the span, which are the taps.
    views: Array = sliding_window_view(x, window.spans, axis=axes)  # type: ignore[call-overload]
    places = tuple(slice(None, None, step) for step in window.strides)
    taps = tuple(slice(None, None, step) for step in window.dilations)
    found: Array = views[(slice(None), slice(None), *places, *taps)]
    return found


def _stuffed(x: Array, steps: tuple[int, ...]) -> Array:
    """Put zeros between the elements of the spatial axes, so that they lie some steps apart."""
    if all(step == 1 for step in steps):
        return x
    stuffed = np.zeros((*x.shape[:2], *_stuffed_sizes(x.shape[2:], steps)), x.dtype)
    stuffed[(slice(None), slice(None), *(slice(None, None, step) for step in steps))] = x
    return stuffed


def _padded(x: Array, begins: Sequence[int], ends: Sequence[int]) -> Array:
    """Add zeros around the spatial axes, or take elements away where a number is negative."""
    crop = tuple(
        slice(max(-begin, 0), length - max(-end, 0))
        for begin, end, length in zip(begins, ends, x.shape[2:], strict=True)
    )
    margins = [(max(begin, 0), max(end, 0)) for begin, end in zip(begins, ends, strict=True)]
    return np.pad(x[(slice(None), slice(None), *crop)], [(0, 0), (0, 0), *margins])
