"""Operators that treat every element alike: channels pass through, operands meet."""

from __future__ import annotations

from wrg_onnx.channels.axes import Axes, Call, Coupling, Freeze, Operand, broadcast, freeze_axes
from wrg_onnx.channels.table import op_rule

UNARY = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitCast", "BitwiseNot", "Cast",
    "Ceil", "Celu", "Clip", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid",
    "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not",
    "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus",
    "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu",
)  # fmt: skip
NARY = (
    "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "CastLike", "Div", "Equal",
    "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or",
    "PRelu", "Pow", "Sub", "Sum", "SwiGLU", "Where", "Xor",
)  # fmt: skip


@op_rule(*UNARY, since=1)
@op_rule("Gelu", "QuickGelu", since=1, domain="com.microsoft")
def couple_unary(call: Call) -> Coupling:
    """Pass the channels through; further inputs are scalars.

    Shapes:
        X (...) -> Y (...).
    """
    return Coupling(outputs=(call.axes(),))


@op_rule(*NARY, since=1)
@op_rule("BiasAdd", "BiasGelu", "FastGelu", since=1, domain="com.microsoft")
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


@op_rule("Shape", since=1)
def couple_shape(call: Call) -> Coupling:
    """Read sizes only; what they are used for is followed element by element."""
    return Coupling((Axes.inert(call.output_shapes[0]),), dropped=(call.axes().flat(),))


@op_rule("Size", since=1)
def couple_size(call: Call) -> Coupling:
    """Freeze what is counted: the number of elements is data."""
    x = call.axes()
    frozen = freeze_axes(x, range(x.rank), "counts the elements of this axis")
    return Coupling((Axes.inert(call.output_shapes[0]),), frozen=frozen)
