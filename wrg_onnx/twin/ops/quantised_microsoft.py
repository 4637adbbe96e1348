"""Quantised operators of ONNX Runtime that the twin computes as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.channels.table import MICROSOFT
from wrg_onnx.errors import ModelError
from wrg_onnx.twin.attributes import optional
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


@twin_op("MatMulNBits", since=1, domain=MICROSOFT, fixed=(2, 3))
def matmul_packed(
    node: Node, a: Tensor, packed: Tensor, scales: Tensor, *rest: Tensor | None
) -> Tensor:
    """Multiply by integers that are packed in bytes; they do not train.

    Shapes:
        a (..., K), packed (N, blocks, bytes), scales (N, blocks) or flat, zero points packed like
        the weight, or floats (N, blocks), bias (N) -> (..., N).

    Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
    """
    zero_points, order, bias = optional(rest, 3)
    if order is not None:
        raise ModelError(f"{node}: a weight whose rows are in another order has no twin")
    bits, size = node.int("bits", 4), node.int("K")
    rows, blocks = packed.shape[:2]
    shift: Tensor | int = 2 ** (bits - 1)
    if zero_points is not None and zero_points.is_floating_point():
        shift = zero_points.reshape(rows, blocks, 1)
    elif zero_points is not None:
        shift = _unpack(zero_points.reshape(rows, -1), bits)[:, :blocks, None].to(a.device)
    integers = _unpack(packed, bits).to(a.device).to(a.dtype)
    weight = (integers - shift) * scales.reshape(rows, blocks, 1).to(a.dtype)
    product = a @ weight.flatten(1)[:, :size].t()
    return product if bias is None else product + bias


def _unpack(packed: Tensor, bits: int) -> Tensor:
    """Read several integers from each byte, the lowest bits first."""
    shifts = torch.arange(0, 8, bits, device=packed.device)
    parts: Tensor = (packed.to(torch.int64)[..., None] >> shifts) & (2**bits - 1)
    return parts.flatten(-2)
