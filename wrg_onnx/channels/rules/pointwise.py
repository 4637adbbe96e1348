"""Arithmetic, comparison and logic, one element at a time: channels pass through, operands meet."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.channels.answers import Coupling, Freeze, broadcast, freeze_axes
from wrg_onnx.channels.axes import Axes, Call, Operand
from wrg_onnx.channels.sizes import Place, Size, SizeRule, Sizes, by_element
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import ChannelScale, ScaleQuestion, Traits, op_traits
from wrg_onnx.graph import Array, Node

_UNARY = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitCast", "BitwiseNot", "Cast",
    "Ceil", "Clip", "Cos", "Cosh", "Erf", "Exp", "Floor", "Identity", "IsInf", "IsNaN", "Log",
    "Neg", "Not", "Reciprocal", "Round", "Sign", "Sin", "Sinh", "Sqrt", "Tan",
)  # fmt: skip
_NARY = (
    "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Max",
    "Mean", "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Sum", "Where", "Xor",
)  # fmt: skip
_COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
LISTED = "compares data with each number of a constant list along this axis"
op_traits(
    Traits(is_pointwise=True, continues_layer=True), *_UNARY, *_NARY, *_COMPARISONS, "CastLike"
)
op_traits(
    Traits(every_position_alike=True, continues_layer=True, moves_elements=True, draws_random=True),
    "Dropout",
)
op_traits(Traits(keeps_zeros=True, keeps_numbers=True), "Cast", "Identity")
op_traits(Traits(moves_elements=True), "Identity")
op_traits(
    Traits(zero_at_zero=True),
    "Abs", "Add", "Cast", "Ceil", "Erf", "Floor", "Identity", "Neg", "Sign", "Sqrt", "Sub",
)  # fmt: skip
op_traits(Traits(zero_at_factor=True), "Mul")
op_traits(Traits(per_channel=(0, 1)), "Add", "Div", "Mul", "Sub")


@op_rule(*_UNARY, since=1)
def couple_unary(call: Call) -> Coupling:
    """Pass the channels through; further inputs are scalars.

    Shapes:
        X (...) -> Y (...).
    """
    return Coupling(outputs=(call.axes(),))


@op_rule("CastLike", since=15)
def couple_cast_like(call: Call) -> Coupling:
    """Pass the channels of the first input through; of the other one only the type is looked at.

    Shapes:
        X (...), target of any shape -> Y like X.

    Source: https://onnx.ai/onnx/operators/onnx__CastLike.html
    """
    return Coupling((call.axes(),), dropped=(call.axes(1).flat(),))


@op_rule(*_NARY, since=1)
def couple_nary(call: Call) -> Coupling:
    """Tie the operands where they meet, with ONNX's broadcasting.

    Shapes:
        X_k broadcastable to one shape -> Y (that shape).
    """
    operands = [operand.axes for operand in call.inputs if operand is not None]
    joined, ties = broadcast(operands, call.output_shapes[0])
    return Coupling(outputs=(joined,), ties=ties)


@op_rule(*_COMPARISONS, since=1)
def couple_comparison(call: Call) -> Coupling:
    """Tie the operands where they meet; a list of numbers that data is held against stays.

    Against 0 .. 256, say, data becomes a one-hot code: an axis of what it may be, and no channels.
    It is such a list where the data has one position along the axis. Where it has as many as the
    constant, each channel is held against a number of its own.

    Shapes:
        A and B broadcastable to one shape -> C (that shape).
    """
    coupling = couple_nary(call)
    data = [o.axes for o in call.inputs if o is not None and not o.is_weight]
    weights = [o.axes for o in call.inputs if o is not None and o.is_weight]
    if not data or not weights:
        return coupling
    varies = {x.rank - axis for x in data for axis in range(x.rank) if x.shape[axis] > 1}
    frozen: tuple[Freeze, ...] = ()
    for constant in weights:
        listed = [axis for axis in range(constant.rank) if constant.rank - axis not in varies]
        frozen += freeze_axes(constant, listed, LISTED)
    return coupling.also(frozen=frozen)


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


def _is_positive(call: Call) -> bool:
    """Tell whether the exponent of a Pow is above 0 throughout."""
    exponent = call.operand(1).value
    return exponent is not None and bool((exponent > 0).all())


op_traits(Traits(zero_at_first=lambda _call: True), "Div")
op_traits(Traits(zero_at_first=_is_positive), "Pow")


def _divide(left: float, right: float) -> float:
    """Divide as ONNX does: integers are truncated towards zero."""
    if isinstance(left, int) and isinstance(right, int):
        return int(left / right) if right else 0
    return left / right if right else 0.0


def _choose(condition: float, left: float, right: float) -> float:
    return left if condition else right


def _chosen_origin(parts: Sequence[Size], _value: float) -> Place | None:
    return None if parts[0].is_open else parts[1 if parts[0].value else 2].source


def _scaled_origin(parts: Sequence[Size], value: float) -> Place | None:
    """Find the one factor that is fixed and equals the product.

    Of batch x heads, analysed at batch 1, what is written for the heads is what comes out.
    """
    fixed = [part for part in parts if not part.is_open]
    return fixed[0].source if value and len(fixed) == 1 and fixed[0].value == value else None


_CASTS: Mapping[int, Callable[[Any], Any]] = {
    1: np.float32, 6: int, 7: int, 9: bool, 10: np.float16, 11: float,
}  # fmt: skip
"""What a Cast makes of numbers, by TensorProto's number of the type.

Numbers keep the precision that they are computed with: log(8) / log(2) is 3 in float32, and less
than 3 where its logarithms alone are rounded to that.
"""


def _cast(node: Node, operands: Sequence[Sizes]) -> Sizes | None:
    to = node.attributes.get("to")
    make = _CASTS.get(to, float) if isinstance(to, int) else float
    return by_element(make, 1).evaluate(node, operands)


def _square_root(value: float) -> float:
    return np.sqrt(value) if value >= 0 else math.nan


def _logarithm(value: float) -> float:
    if not value:
        return -math.inf
    return np.log(value) if value > 0 else math.nan


def _power(base: float, exponent: float) -> float:
    """Raise to a power, as a number of the base's type."""
    if (base < 0 and exponent != int(exponent)) or (not base and exponent < 0):
        return math.nan
    with np.errstate(over="ignore"):
        found = np.power(np.float64(base), np.float64(exponent))
    return int(found) if isinstance(base, int) else type(base)(found)


def _remainder(node: Node, operands: Sequence[Sizes]) -> Sizes | None:
    def remainder(left: float, right: float) -> float:
        if not right:
            return math.nan
        # The sign is that of the divisor, or with fmod that of the dividend.
        return np.fmod(left, right).item() if node.int("fmod", 0) else left % right

    return by_element(remainder, 2).evaluate(node, operands)


def _reciprocal(value: float) -> float:
    return 1 / value if value else math.inf


op_traits(Traits(sizes=by_element(operator.add, 2)), "Add")
op_traits(Traits(sizes=by_element(operator.sub, 2)), "Sub")
op_traits(Traits(sizes=by_element(operator.mul, 2, _scaled_origin)), "Mul")
op_traits(Traits(sizes=by_element(_divide, 2)), "Div")
op_traits(Traits(sizes=by_element(min, 2)), "Min")
op_traits(Traits(sizes=by_element(max, 2)), "Max")
op_traits(Traits(sizes=by_element(operator.eq, 2, spares_marks=True)), "Equal")
op_traits(Traits(sizes=by_element(_choose, 3, _chosen_origin)), "Where")
op_traits(Traits(sizes=by_element(operator.neg, 1)), "Neg")
op_traits(Traits(sizes=by_element(abs, 1)), "Abs")
op_traits(Traits(sizes=by_element(np.floor, 1)), "Floor")
op_traits(Traits(sizes=by_element(np.ceil, 1)), "Ceil")
op_traits(Traits(sizes=by_element(np.rint, 1)), "Round")
op_traits(Traits(sizes=by_element(_square_root, 1)), "Sqrt")
op_traits(Traits(sizes=by_element(_logarithm, 1)), "Log")
op_traits(Traits(sizes=by_element(_power, 2)), "Pow")
op_traits(Traits(sizes=by_element(_reciprocal, 1)), "Reciprocal")
op_traits(Traits(sizes=by_element(operator.gt, 2)), "Greater")
op_traits(Traits(sizes=by_element(operator.ge, 2)), "GreaterOrEqual")
op_traits(Traits(sizes=by_element(operator.lt, 2)), "Less")
op_traits(Traits(sizes=by_element(operator.le, 2)), "LessOrEqual")
op_traits(Traits(sizes=by_element(operator.not_, 1)), "Not")
op_traits(Traits(sizes=by_element(lambda left, right: bool(left and right), 2)), "And")
op_traits(Traits(sizes=by_element(lambda left, right: bool(left or right), 2)), "Or")
op_traits(Traits(sizes=SizeRule(_remainder)), "Mod")
op_traits(Traits(sizes=by_element(lambda value: value, 1)), "Identity")
op_traits(Traits(sizes=SizeRule(_cast)), "Cast")


def _keep_scale(question: ScaleQuestion) -> ChannelScale:
    return ChannelScale(np.ones(1), question.axis)


def _scale_by_constant(question: ScaleQuestion) -> ChannelScale | None:
    """Take the constant that channels are multiplied with, divided by or shifted by."""
    other = question.constants[1 - question.place] if question.keeps_shape else None
    factor = None if other is None else _sizes_along(other, question.rank, question.axis)
    if factor is None:
        return None
    if question.node.op == "Div":
        if question.place or not factor.all():
            return None
        factor = 1 / factor
    if question.node.op in ("Add", "Sub"):
        factor = np.ones(1)
    return ChannelScale(factor, question.axis)


def _sizes_along(constant: Array, rank: int, axis: int) -> NDArray[np.float64] | None:
    """Return the sizes of a constant's elements along one axis; None if others have any, too.

    Args:
        constant: A constant that broadcasts to a tensor.
        rank: How many axes the tensor has.
        axis: One of them.
    """
    place = axis - (rank - constant.ndim)
    if any(n > 1 and a != place for a, n in enumerate(constant.shape)):
        return None
    return np.abs(constant.astype(np.float64)).reshape(-1)


op_traits(Traits(gain=_keep_scale), "Identity")
op_traits(Traits(gain=_scale_by_constant), "Add", "Div", "Mul", "Sub")
