"""Quantised operators of ONNX Runtime: what each is in floats, or how it is computed as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.channels.table import MICROSOFT
from wrg_onnx.errors import ModelError
from wrg_onnx.twin.attributes import optional
from wrg_onnx.twin.forms import Form, IntegerOperand, Step, float_form
from wrg_onnx.twin.ops.quantised import CONVOLUTION_FORM
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


def _gemm_form(node: Node) -> Form:
    columns = 0 if node.int("transB", 0) else 1
    operands = (IntegerOperand(0, 1, 2), IntegerOperand(3, 4, 5, columns))
    return Form("Gemm", operands, (7, 8) if node.input(7) else None, bias=6)


def _concat_form(node: Node) -> Form:
    positions = range(2, len(node.inputs), 3)
    return Form("Concat", tuple(IntegerOperand(p, p + 1, p + 2) for p in positions), (0, 1))


_ONE = (IntegerOperand(0, 1, 2),)
_PAIR = (*_ONE, IntegerOperand(3, 4, 5))
_CHOICE = (IntegerOperand(0, None, None), IntegerOperand(1, 2, 3), IntegerOperand(4, 5, 6))
_FACTORS = (IntegerOperand(0, 2, 4, -2), IntegerOperand(1, 3, 5, -1))

float_form(Step.ROUND, "QuantizeLinear", domain=MICROSOFT)
float_form(Step.READ, "DequantizeLinear", domain=MICROSOFT)
float_form(Step.MULTIPLY_BY_RANGE, "DynamicQuantizeMatMul", domain=MICROSOFT)
float_form(CONVOLUTION_FORM, "QLinearConv", domain=MICROSOFT)
float_form(_gemm_form, "QGemm", domain=MICROSOFT)
float_form(_concat_form, "QLinearConcat", domain=MICROSOFT)
float_form(Form("MatMul", _FACTORS, added=6), "MatMulIntegerToFloat", domain=MICROSOFT)
float_form(Form("Add", _PAIR, (6, 7)), "QLinearAdd", domain=MICROSOFT)
float_form(Form("Mul", _PAIR, (6, 7)), "QLinearMul", domain=MICROSOFT)
float_form(Form("Where", _CHOICE, (7, 8)), "QLinearWhere", domain=MICROSOFT)
float_form(Form("AveragePool", _ONE, (3, 4)), "QLinearAveragePool", domain=MICROSOFT)
float_form(Form("GlobalAveragePool", _ONE, (3, 4)), "QLinearGlobalAveragePool", domain=MICROSOFT)
float_form(Form("LeakyRelu", _ONE, (3, 4)), "QLinearLeakyRelu", domain=MICROSOFT)
float_form(Form("ReduceMean", _ONE, (3, 4)), "QLinearReduceMean", domain=MICROSOFT)
float_form(Form("Sigmoid", _ONE, (3, 4)), "QLinearSigmoid", domain=MICROSOFT)
float_form(Form("Softmax", _ONE, (3, 4)), "QLinearSoftmax", domain=MICROSOFT)
