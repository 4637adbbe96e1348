"""Arithmetic, comparison and logic, one element at a time: channels pass through, operands meet."""

from __future__ import annotations

from wrg_onnx.channels.axes import Axes, Call, Coupling, Freeze, Operand, broadcast, freeze_axes
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import Traits, op_traits

_UNARY = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitCast", "BitwiseNot", "Cast",
    "Ceil", "Clip", "Cos", "Cosh", "Erf", "Exp", "Floor", "Identity", "IsInf", "IsNaN", "Log",
    "Neg", "Not", "Reciprocal", "Round", "Sign", "Sin", "Sinh", "Sqrt", "Tan",
)  # fmt: skip
_NARY = (
    "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "CastLike", "Div", "Equal",
    "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or",
    "Pow", "Sub", "Sum", "Where", "Xor",
)  # fmt: skip
op_traits(Traits(is_pointwise=True), *_UNARY, *_NARY)


@op_rule(*_UNARY, since=1)
def couple_unary(call: Call) -> Coupling:
    """Pass the channels through; further inputs are scalars.

    Shapes:
        X (...) -> Y (...).
    """
    return Coupling(outputs=(call.axes(),))


@op_rule(*_NARY, since=1)
def couple_nary(call: Call) -> Coupling:
    """Tie the operands where they meet, with ONNX's broadcasting.

    Shapes:
        X_k broadcastable to one shape -> Y (that shape).
    """
    operands = [operand.axes for operand in call.inputs if operand is not None]
    joined, ties = broadcast(operands, call.output_shapes[0])
    return Coupling(outputs=(joined,), ties=ties)


@op_rule("Dropout", since=1)
def couple_dropout(call: Call) -> Coupling:
    """Pass the channels through, to the mask as well.

    Shapes:
        X (...), ratio (), training_mode () -> Y (...), mask (...).
    """
    x = call.axes()
    return Coupling((x,) * len(call.node.outputs), frozen=freeze_dropped(x, call.optional(2)))


def freeze_dropped(x: Axes, training: Operand | None) -> tuple[Freeze, ...]:
    """Freeze what a Dropout drops some of: of fewer elements it would not be the same ones.

    Args:
        x: What it reads.
        training: Whether it drops anything; absent, it does not.
    """
    if training is None or (training.value is not None and not training.value.any()):
        return ()
    return freeze_axes(x, range(x.rank), "draws random numbers for this axis")
