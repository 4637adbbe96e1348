"""What a layer multiplies its weights with: the patches of its input, as rows of a regression."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from wrg_onnx.graph import Array, Node
from wrg_onnx.recover.layers import Layer

STRIP_BYTES = 48 * 2**20
"""How many bytes of patches are made at a time."""


@dataclass(frozen=True, slots=True)
class Window:
    """Where a kernel stands.

    Attributes:
        kernel: Its size along each spatial axis.
        strides: Steps between two places of it.
        dilations: Steps between two of its elements.
        begins: Zeros before the first element; negative where elements are left out.
        stuffing: Steps between two elements of the input, with zeros between: 1 but for a
            ConvTranspose, which is a convolution over its stuffed input.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    stuffing: tuple[int, ...]


def strips(
    layer: Layer, weight_shape: tuple[int, ...], x: Array, goals: Sequence[Array]
) -> Iterator[tuple[Array, Array]]:
    """Yield a layer's patches and what they should make, a strip of places at a time.

    Args:
        layer: The layer.
        weight_shape: The shape of its weight.
        x: (N, C, ...) its input, or (..., C) for Gemm and MatMul.
        goals: What it, and further layers of the same geometry, should make of it: (N, M, ...) or
            (..., M) each.

    Yields:
        (G, D, rows) float32 patches, contiguous, and (G, sum of M / G, rows) float32 goals; `D` is
        C / G times the kernel, in the order of ``to_matrix``.
    """
    if layer.node.op in ("Gemm", "MatMul"):
        rows = np.ascontiguousarray(x.reshape(-1, x.shape[-1]).T, np.float32)
        yield rows[None], np.concatenate([_by_row(y) for y in goals])[None]
        return
    group, (samples, channels), sizes = layer.group, x.shape[:2], goals[0].shape[2:]
    windows = _windows(_window(layer.node, weight_shape, x.shape[2:], sizes), x, sizes)
    depth = channels // group * math.prod(weight_shape[2:])
    per_line = max(1, group * depth * samples * math.prod(sizes[1:]) * 4)
    step = max(1, STRIP_BYTES // per_line)
    rank = len(sizes)
    # (N, C, places..., kernel...) -> (C, kernel..., N, places...)
    order = (1, *range(2 + rank, 2 + 2 * rank), 0, *range(2, 2 + rank))
    for first in range(0, sizes[0], step):
        places = slice(first, first + step)
        part = windows[:, :, places].transpose(order)
        patches = np.ascontiguousarray(part, np.float32).reshape(group, depth, -1)
        wanted = [y[:, :, places].swapaxes(0, 1).reshape(group, y.shape[1] // group, -1)
                  for y in goals]  # fmt: skip
        yield patches, np.concatenate(wanted, axis=1, dtype=np.float32)


def rows_shape(
    layer: Layer, weight_shape: tuple[int, ...], x_shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the shape of a layer's output without the axis of its channels.

    Args:
        layer: The layer.
        weight_shape: The shape of its weight.
        x_shape: The shape of its input.

    Source: https://onnx.ai/onnx/operators/onnx__Conv.html and onnx__ConvTranspose.html
    """
    node = layer.node
    if node.op in ("Gemm", "MatMul"):
        return x_shape[:-1]
    sizes, rank = x_shape[2:], len(x_shape) - 2
    strides, dilations = (node.ints(name, (1,) * rank) for name in ("strides", "dilations"))
    pads, extra = node.ints("pads", (0,) * 2 * rank), node.ints("output_padding", (0,) * rank)
    spans = [(k - 1) * d + 1 for k, d in zip(weight_shape[2:], dilations, strict=True)]
    margins = [begin + end for begin, end in zip(pads[:rank], pads[rank:], strict=True)]
    is_same = node.str("auto_pad", "NOTSET").startswith("SAME")
    steps = zip(sizes, strides, spans, margins, extra, strict=True)
    if node.op == "Conv":
        found = tuple(
            -(-n // s) if is_same else (n + margin - span) // s + 1
            for n, s, span, margin, _ in steps
        )
    elif "output_shape" in node.attributes:
        found = node.ints("output_shape")[-rank:]
    else:
        found = tuple(
            n * s if is_same else (n - 1) * s + more + span - margin
            for n, s, span, margin, more in steps
        )
    return (x_shape[0], *found)


def _by_row(y: Array) -> Array:
    return np.asarray(y.reshape(-1, y.shape[-1]).T, np.float32)


def _windows(window: Window, x: Array, sizes: tuple[int, ...]) -> Array:
    """View an input as (N, C, places..., kernel...)."""
    rank = len(sizes)
    if any(step > 1 for step in window.stuffing):
        steps = window.stuffing
        lengths = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], steps, strict=True)]
        stuffed = np.zeros((*x.shape[:2], *lengths), x.dtype)
        inner = tuple(slice(None, None, step) for step in steps)
        stuffed[(slice(None), slice(None), *inner)] = x
        x = stuffed
    spans = [(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilations, strict=True)]
    ends = [
        (n - 1) * s + span - begin - length
        for n, s, span, begin, length in zip(
            sizes, window.strides, spans, window.begins, x.shape[2:], strict=True
        )
    ]
    x = _padded(x, window.begins, ends)
    axes = tuple(range(2, 2 + rank))
    views: Array = sliding_window_view(x, tuple(spans), axis=axes)  # type: ignore[call-overload]
    places = tuple(slice(None, None, step) for step in window.strides)
    elements = tuple(slice(None, None, step) for step in window.dilations)
    found: Array = views[(slice(None), slice(None), *places, *elements)]
    return found


def _padded(x: Array, begins: tuple[int, ...], ends: list[int]) -> Array:
    """Add zeros around the spatial axes, or take elements away where a number is negative."""
    crop = tuple(
        slice(max(-begin, 0), length - max(-end, 0))
        for begin, end, length in zip(begins, ends, x.shape[2:], strict=True)
    )
    margins = [(max(begin, 0), max(end, 0)) for begin, end in zip(begins, ends, strict=True)]
    return np.pad(x[(slice(None), slice(None), *crop)], [(0, 0), (0, 0), *margins])


def _window(
    node: Node, weight_shape: tuple[int, ...], sizes: tuple[int, ...], places: tuple[int, ...]
) -> Window:
    """Read where the kernel stands.

    Args:
        node: A Conv or ConvTranspose.
        weight_shape: The shape of its weight.
        sizes: The spatial size of its input.
        places: The spatial size of its output.

    Source: https://onnx.ai/onnx/operators/onnx__Conv.html and onnx__ConvTranspose.html
    """
    kernel = weight_shape[2:]
    rank = len(kernel)
    ones = (1,) * rank
    strides = node.ints("strides", ones)
    dilations = node.ints("dilations", ones)
    reach = tuple((k - 1) * d for k, d in zip(kernel, dilations, strict=True))
    auto_pad = node.str("auto_pad", "NOTSET")
    begins = node.ints("pads", (0,) * 2 * rank)[:rank]
    if node.op == "Conv":
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            begins = tuple(
                _share(max((n - 1) * s + r + 1 - size, 0), upper=auto_pad == "SAME_UPPER")
                for n, s, r, size in zip(places, strides, reach, sizes, strict=True)
            )
        return Window(kernel, strides, dilations, begins, ones)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER") or "output_shape" in node.attributes:
        extra = node.ints("output_padding", (0,) * rank)
        begins = tuple(
            _share((size - 1) * s + e + r + 1 - n, upper=auto_pad == "SAME_UPPER")
            for n, s, e, r, size in zip(places, strides, extra, reach, sizes, strict=True)
        )
    begins = tuple(r - begin for r, begin in zip(reach, begins, strict=True))
    return Window(kernel, ones, dilations, begins, strides)


def _share(total: int, *, upper: bool) -> int:
    """Return how much of a padding stands before; the odd one is at the end for ``upper``."""
    return total // 2 if upper else total - total // 2
