"""Sampling at computed places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.twin.attributes import integers, optional
from wrg_onnx.twin.ops.window import read_window
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node

# Opset 20 renamed the modes.
_MODES = {"linear": "bilinear", "cubic": "bicubic"}


@twin_op("GridSample", since=16)
def grid_sample(node: Node, x: Tensor, grid: Tensor) -> Tensor:
    """Sample x at the places of a grid.

    Source: https://onnx.ai/onnx/operators/onnx__GridSample.html
    """
    mode = node.str("mode", "bilinear")
    return functional.grid_sample(
        x,
        grid,
        mode=_MODES.get(mode, mode),
        padding_mode=node.str("padding_mode", "zeros"),
        align_corners=bool(node.int("align_corners", 0)),
    )


@twin_op("AffineGrid", since=20, host=(1,))
def affine_grid(node: Node, theta: Tensor, size: Tensor) -> Tensor:
    """Make the grid of an affine map."""
    return functional.affine_grid(
        theta, integers(size), align_corners=bool(node.int("align_corners", 0))
    )


@twin_op("DeformConv", since=19)
def deform_conv(
    node: Node, x: Tensor, weight: Tensor, offset: Tensor, *rest: Tensor | None
) -> Tensor:
    """Convolve with taps that are moved by offsets, one for each tap and place.

    Shapes:
        x (N, C, H, W), weight (M, C / group, kh, kw), offset (N, o * kh * kw * 2, H', W'), bias
        (M), mask (N, o * kh * kw, H', W') -> (N, M, H', W'); o is ``offset_group``.

    Source: https://onnx.ai/onnx/operators/onnx__DeformConv.html
    """
    bias, mask = optional(rest, 2)
    window = read_window(node, weight.shape[2:], x.shape[2:])
    n, channels = x.shape[:2]
    owners, group = node.int("offset_group", 1), node.int("group", 1)
    taps, out = weight.shape[2] * weight.shape[3], offset.shape[2:]
    moved = offset.reshape(n, owners, taps, 2, *out)
    rows, columns = (
        torch.arange(size, device=x.device) * step
        for size, step in zip(window.kernel, window.dilations, strict=True)
    )
    # Row by row: (taps) along each axis.
    of_taps = (rows.repeat_interleave(len(columns)), columns.repeat(len(rows)))
    places = []  # (n, owners, taps, H', W') along each axis
    for axis, along in enumerate(((-1, 1), (1, -1))):
        starts = torch.arange(out[axis], device=x.device) * window.strides[axis]
        first = starts.reshape(along) - window.begins[axis]
        places.append(moved[:, :, :, axis] + of_taps[axis][:, None, None] + first)
    read = bilinear(
        x.reshape(n * owners, channels // owners, *x.shape[2:]),
        places[0].reshape(n * owners, -1),
        places[1].reshape(n * owners, -1),
    )
    read = read.reshape(n, owners, channels // owners, taps, *out)
    if mask is not None:
        read = read * mask.reshape(n, owners, 1, taps, *out)
    read = read.reshape(n, group, -1, out.numel())
    filters = weight.reshape(group, weight.shape[0] // group, -1)
    y = (filters @ read).reshape(n, -1, *out)
    return y if bias is None else y + bias[:, None, None]


def bilinear(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Read maps between their pixels; outside them there are zeros.

    Shapes:
        x (N, C, H, W), rows and columns (N, P) -> (N, C, P).
    """
    height, width = x.shape[2:]
    flat = x.flatten(2)
    pairs = []
    for places, size in ((rows, height), (columns, width)):
        low = places.floor()
        part = places - low
        pairs.append([
            (edge.clamp(0, size - 1).long(), share * ((edge >= 0) & (edge < size)))
            for edge, share in ((low, 1 - part), (low + 1, part))
        ])  # fmt: skip
    y = x.new_zeros(())
    for row, down in pairs[0]:
        for column, right in pairs[1]:
            places = (row * width + column)[:, None].expand(-1, x.shape[1], -1)
            y = y + flat.gather(2, places) * (down * right)[:, None]
    return y
