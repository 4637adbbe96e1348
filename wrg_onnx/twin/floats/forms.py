"""Which float operator each quantised operator stands for, and where its operands are."""

from __future__ import annotations

from dataclasses import dataclass

from wrg_onnx.channels.table import MICROSOFT
from wrg_onnx.graph.model import Node


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand of a quantised operator.

    Attributes:
        position: Where it is among the inputs.
        scale: Where its scale is; None where the integers themselves are computed with, or where
            the operand is no integer.
        zero_point: Where its zero point is, likewise.
        axis: Which axis a scale of several elements lies along.
    """

    position: int
    scale: int | None
    zero_point: int | None
    axis: int = 1


@dataclass(frozen=True, slots=True)
class Form:
    """A quantised operator in floats.

    Attributes:
        op: The float operator.
        operands: In its order. Those without zero point are passed as they are.
        output: Positions of the output's scale and zero point; None if it is not rounded.
        bias: Position of integers whose scale is the product of those of the first two operands.
        added: Position of floats that are added to the result.
    """

    op: str
    operands: tuple[Operand, ...]
    output: tuple[int, int] | None = None
    bias: int | None = None
    added: int | None = None


_PAIR = (Operand(0, 1, 2), Operand(3, 4, 5))
_PRODUCT = (Operand(0, 1, 2, -2), Operand(3, 4, 5, -1))
_ONE = (Operand(0, 1, 2),)
_CONV = Form("Conv", (Operand(0, 1, 2), Operand(3, 4, 5, 0)), (6, 7), bias=8)

_FORMS = {
    ("", "QLinearConv"): _CONV,
    (MICROSOFT, "QLinearConv"): _CONV,
    ("", "ConvInteger"): Form("Conv", (Operand(0, None, 2), Operand(1, None, 3, 0))),
    ("", "QLinearMatMul"): Form("MatMul", _PRODUCT, (6, 7)),
    ("", "MatMulInteger"): Form("MatMul", (Operand(0, None, 2, -2), Operand(1, None, 3, -1))),
    (MICROSOFT, "MatMulIntegerToFloat"): Form(
        "MatMul", (Operand(0, 2, 4, -2), Operand(1, 3, 5, -1)), added=6
    ),
    (MICROSOFT, "QLinearAdd"): Form("Add", _PAIR, (6, 7)),
    (MICROSOFT, "QLinearMul"): Form("Mul", _PAIR, (6, 7)),
    (MICROSOFT, "QLinearAveragePool"): Form("AveragePool", _ONE, (3, 4)),
    (MICROSOFT, "QLinearGlobalAveragePool"): Form("GlobalAveragePool", _ONE, (3, 4)),
    (MICROSOFT, "QLinearSigmoid"): Form("Sigmoid", _ONE, (3, 4)),
    (MICROSOFT, "QLinearLeakyRelu"): Form("LeakyRelu", _ONE, (3, 4)),
    (MICROSOFT, "QLinearSoftmax"): Form("Softmax", _ONE, (3, 4)),
    (MICROSOFT, "QLinearReduceMean"): Form("ReduceMean", _ONE, (3, 4)),
    (MICROSOFT, "QLinearWhere"): Form(
        "Where", (Operand(0, None, None), Operand(1, 2, 3), Operand(4, 5, 6)), (7, 8)
    ),
}  # fmt: skip

QUANTISE = "QuantizeLinear"
DEQUANTISE = "DequantizeLinear"
DYNAMIC = "DynamicQuantizeLinear"
DYNAMIC_PRODUCT = "DynamicQuantizeMatMul"


def find_form(node: Node) -> Form | None:
    """Return what a node is in floats, None for one that computes with no quantised operand."""
    if (node.domain, node.op) == (MICROSOFT, "QGemm"):
        columns = 0 if node.int("transB", 0) else 1
        output = (7, 8) if node.input(7) else None
        return Form("Gemm", (Operand(0, 1, 2), Operand(3, 4, 5, columns)), output, bias=6)
    if (node.domain, node.op) == (MICROSOFT, "QLinearConcat"):
        positions = range(2, len(node.inputs), 3)
        return Form("Concat", tuple(Operand(p, p + 1, p + 2) for p in positions), (0, 1))
    return _FORMS.get((node.domain, node.op))


def is_quantised(node: Node) -> bool:
    """Tell whether a node makes, reads or computes with quantised numbers."""
    if node.domain in ("", MICROSOFT) and node.op in (QUANTISE, DEQUANTISE, DYNAMIC):
        return True
    return (node.domain, node.op) == (MICROSOFT, DYNAMIC_PRODUCT) or find_form(node) is not None
