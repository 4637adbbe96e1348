"""Conv and its kin: ConvTranspose, DeformConv, Col2Im, and the causal one that keeps a state."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.graph.sliding_window import output_sizes, read_transposed_window, read_window
from wrg_onnx.twin.attributes import integers, optional
from wrg_onnx.twin.kernels.spatial_padding import pad_spatial
from wrg_onnx.twin.ops.sampling import bilinear
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


# By spatial axes. Torch's autocast knows these; it does not know torch.convolution on every device.
_CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_TRANSPOSED = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


@twin_op("Conv", since=1)
def conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Slide the filters over x.

    Shapes:
        x (N, C, ...), weight (M, C / group, ...) -> (N, M, ...).

    Source: https://onnx.ai/onnx/operators/onnx__Conv.html
    """
    window = read_window(node, weight.shape[2:], x.shape[2:])
    padding = window.begins
    if window.begins != window.ends or min(window.begins, default=0) < 0:
        x = pad_spatial(x, window.begins, window.ends)
        padding = (0,) * len(padding)
    group = node.int("group", 1)
    strides, dilations = window.strides, window.dilations
    return _CONV[len(padding)](x, weight, bias, strides, padding, dilations, group)


@twin_op("ConvTranspose", since=1)
def conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Spread x through the filters: the gradient of a convolution with respect to its input.

    Shapes:
        x (N, C, ...), weight (C, M / group, ...) -> (N, M, ...).

    Source: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html
    """
    window, extra = read_transposed_window(node, weight.shape[2:], x.shape[2:])
    rank = len(extra)
    transposed = _TRANSPOSED[rank]
    group = node.int("group", 1)
    strides, dilations = window.strides, window.dilations
    direct = window.begins == window.ends and min(window.begins, default=0) >= 0
    if direct and all(e < max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)):
        padding = window.begins
        return transposed(x, weight, bias, strides, padding, extra, group, dilations)
    zeros = (0,) * rank
    full = transposed(x, weight, None, strides, zeros, zeros, group, dilations)
    begins = [-begin for begin in window.begins]
    ends = [e - end for e, end in zip(extra, window.ends, strict=True)]
    y = pad_spatial(full, begins, ends)
    return y if bias is None else y + bias.reshape(-1, *(1,) * rank)


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


@twin_op("CausalConvWithState", since=27)
def causal_conv(
    node: Node,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Filter each channel by itself, looking back only; the state is what came before.

    Shapes:
        x (N, C, L), weight (C, 1, k), bias (C), state (N, C, k - 1) -> Y (N, C, L), state.

    Source: https://onnx.ai/onnx/operators/onnx__CausalConvWithState.html
    """
    before = weight.shape[2] - 1
    past = x.new_zeros(*x.shape[:2], before) if state is None else state
    padded = torch.cat((past, x), 2)
    y = functional.conv1d(padded, weight, bias, groups=x.shape[1])
    if node.str("activation", "none") in ("silu", "swish"):
        y = functional.silu(y)
    return y, padded[:, :, padded.shape[2] - before :]


@twin_op("Col2Im", since=18, host=(1, 2))
def col2im(node: Node, x: Tensor, sizes: Tensor, block: Tensor) -> Tensor:
    """Add blocks up where they lie in an image, any number of axes.

    Shapes:
        x (N, C * prod(block), L) -> (N, C, *sizes); L counts the places of a block.

    Source: https://onnx.ai/onnx/operators/onnx__Col2Im.html
    """
    image, kernel = tuple(integers(sizes)), tuple(integers(block))
    rank = len(image)
    window = read_window(node, kernel, image)
    counts = output_sizes(window, image, ceil=False)
    if rank == 2 and window.begins == window.ends:
        return functional.fold(
            x, image, kernel, window.dilations, window.begins, window.strides
        )  # fmt: skip
    padded = [b + size + e for b, size, e in zip(window.begins, image, window.ends, strict=True)]
    # (*kernel, *counts): where in the padded image each tap of each block lies.
    where = torch.zeros((), dtype=torch.int64, device=x.device)
    for axis, size in enumerate(padded):
        taps = torch.arange(kernel[axis], device=x.device) * window.dilations[axis]
        starts = torch.arange(counts[axis], device=x.device) * window.strides[axis]
        shape = [1] * (2 * rank)
        shape[axis], shape[axis + rank] = len(taps), len(starts)
        where = where * size + (taps[:, None] + starts).reshape(shape)
    blocks = x.reshape(x.shape[0], -1, where.numel())
    full = x.new_zeros(*blocks.shape[:2], prod(padded))
    full = full.index_add(2, where.reshape(-1), blocks).reshape(*blocks.shape[:2], *padded)
    return pad_spatial(full, [-begin for begin in window.begins], [-end for end in window.ends])
