"""Quantised operators of ONNX: float rules, plus scales and zero points that follow an axis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from wrg_onnx.channels.answers import Coupling, Freeze, Quantised, Tie, broadcast, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.ids import Alive
from wrg_onnx.channels.reasons import Kind, Why
from wrg_onnx.channels.rules.convolution import count_convolution, couple_conv, derive_group
from wrg_onnx.channels.rules.linear import count_matmul, couple_matmul
from wrg_onnx.channels.table import Derived, derivation, op_rule
from wrg_onnx.channels.traits import Count, LayerForm, LengthProduct, Traits, op_traits
from wrg_onnx.channels.units import Analysed

WHOLE_RANGE = Why(
    "takes the scale of all channels from the largest element (dynamic quantisation)",
    Kind.CONVERTED,
)
RUN_TIME_ZERO = Why(
    "takes the zero point of a weight from values computed at run time", Kind.CONVERTED
)


@op_rule("QuantizeLinear", since=10)
def couple_quantise(call: Call) -> Coupling:
    """Pass the channels through; a scale and zero point per position of ``axis`` follow it.

    Shapes:
        X (d_0, ...), scale and zero point (), (d_axis) or, from opset 21 on,
        (d_0, ..., ceil(d_axis / block), ...) -> Y (d_0, ...).

    Source: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
    """
    return replace(couple_dequantise(call), quantised=())


@op_rule("DequantizeLinear", since=10)
def couple_dequantise(call: Call) -> Coupling:
    """Pass the channels through; a scale and zero point per position of ``axis`` follow it.

    Positions of one block go together, or its scale would be that of others.

    Shapes:
        X (d_0, ...), scale and zero point (), (d_axis) or, from opset 21 on,
        (d_0, ..., ceil(d_axis / block), ...) -> Y (d_0, ...).

    Source: https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html
    """
    x = call.axes()
    parameters = [p.axes.shape for p in call.inputs[1:3] if p is not None]
    axis = 0
    if any(math.prod(shape) > 1 for shape in parameters):
        axis = call.node.axis("axis", rank=x.rank, default=1)
    block = max(1, call.node.int("block_size", 0))
    passed = Coupling((Axes(call.output_shapes[0], x.ids),))
    return with_parameters(call, passed, Quantised(0, 1, 2, axis, block))


@op_rule("DynamicQuantizeLinear", since=11)
def couple_dynamic_quantisation(call: Call) -> Coupling:
    """Freeze everything: the largest element, of whichever channel, makes the scale of all.

    Shapes:
        X (...) -> Y (...), scale (), zero point ().
    """
    x = call.axes()
    frozen = freeze_axes(x, range(x.rank), WHOLE_RANGE)
    return Coupling((x, *(Axes.inert(shape) for shape in call.output_shapes[1:])), frozen=frozen)


@op_rule("QLinearConv", since=10)
def couple_qlinear_conv(call: Call) -> Coupling:
    """Couple as Conv does; the weight's scale and zero point may be one per filter.

    Shapes:
        X (N, g*ci, ...), W (g*co, ci, k...), scale and zero point of W () or (g*co), B (g*co)
        -> Y (N, g*co, ...).

    Source: https://onnx.ai/onnx/operators/onnx__QLinearConv.html
    """
    return with_parameters(call, couple_conv(call.only(0, 3, 8)), Quantised(3, 4, 5))


@derivation("QLinearConv", since=10)
def derive_qlinear_group(call: Call, outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the groups that are left of a depthwise convolution."""
    return derive_group(call.only(0, 3), outputs, alive)


@op_rule("ConvInteger", since=10)
def couple_conv_integer(call: Call) -> Coupling:
    """Couple as Conv does; the weight's zero point may be one per filter.

    Shapes:
        X (N, g*ci, ...), W (g*co, ci, k...), zero point of W () or (g*co) -> Y (N, g*co, ...).

    Source: https://onnx.ai/onnx/operators/onnx__ConvInteger.html
    """
    return with_parameters(call, couple_conv(call.only(0, 1)), Quantised(1, None, 3))


@derivation("ConvInteger", since=10)
def derive_integer_group(call: Call, outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the groups that are left of a depthwise convolution."""
    return derive_group(call.only(0, 1), outputs, alive)


@op_rule("QLinearMatMul", since=10)
def couple_qlinear_matmul(call: Call) -> Coupling:
    """Couple as MatMul does; scales and zero points may be one per row of A and column of B.

    Shapes:
        A (..., M, K), its scale and zero point () or (M) or (..., M, 1), B (..., K, N), its scale
        and zero point () or (N) or (..., 1, N) -> Y (..., M, N).

    Source: https://onnx.ai/onnx/operators/onnx__QLinearMatMul.html
    """
    rows, columns = Quantised(0, 1, 2, row_axis(call)), Quantised(3, 4, 5, call.axes(3).rank - 1)
    return with_parameters(call, couple_matmul(call.only(0, 3)), rows, columns)


@op_rule("MatMulInteger", since=10)
def couple_matmul_integer(call: Call) -> Coupling:
    """Couple as MatMul does; zero points may be one per row of A and column of B.

    Shapes:
        A (..., M, K), its zero point () or (M) or (..., M, 1), B (..., K, N), its zero point () or
        (N) or (..., 1, N) -> Y (..., M, N).

    Source: https://onnx.ai/onnx/operators/onnx__MatMulInteger.html
    """
    rows, columns = (
        Quantised(0, None, 2, row_axis(call)),
        Quantised(1, None, 3, call.axes(1).rank - 1),
    )
    return with_parameters(call, couple_matmul(call.only(0, 1)), rows, columns)


def row_axis(call: Call) -> int:
    """Return the axis of A's rows; a vector has none, and one scale for all."""
    return max(0, call.axes(0).rank - 2)


def with_parameters(call: Call, coupling: Coupling, *quantised: Quantised) -> Coupling:
    """Let scales and zero points follow their operands.

    Args:
        call: The call.
        coupling: What the operator couples without them.
        quantised: The operands that have them.

    Returns:
        The coupling with the ties. A weight whose zero point is no constant stays: what a removed
        channel would contribute could not be masked.
    """
    ties: list[Tie] = []
    frozen: tuple[Freeze, ...] = ()
    for one in quantised:
        operand, zero_point = call.operand(one.operand), call.optional(one.zero_point)
        for position in (one.scale, one.zero_point):
            parameter = None if position is None else call.optional(position)
            if parameter is not None:
                ties += _follow(operand.axes, parameter.axes, one)
        if operand.is_weight and zero_point is not None and not zero_point.is_weight:
            frozen += freeze_axes(operand.axes, range(operand.axes.rank), RUN_TIME_ZERO)
    return replace(coupling.also(ties=ties, frozen=frozen), quantised=quantised)


def _follow(x: Axes, parameter: Axes, quantised: Quantised) -> Sequence[Tie]:
    """Tie a scale or zero point to the positions that it belongs to."""
    if parameter.rank == 0 or parameter.shape == (1,):
        return ()
    if parameter.rank == 1:
        return (Tie(x.at(quantised.axis), parameter.at(0)),)
    if parameter.rank < x.rank or quantised.block == 1:
        return broadcast([x, parameter], x.shape)[1]
    ties = []
    for axis in range(x.rank):
        # one block alone shrinks with its axis
        if parameter.shape[axis] > 1:
            block = quantised.block if axis == quantised.axis else 1
            shared = parameter.at(axis).repeat(block)[: x.shape[axis]]
            ties.append(Tie(x.at(axis), shared))
    return ties


def count_as(
    analysed: Analysed, *, count: Count, factors: tuple[int, int]
) -> Iterator[LengthProduct]:
    """Count as a plain operator does, whose two factors stand elsewhere among the operands.

    Args:
        analysed: The node.
        count: Counts the plain operator.
        factors: The input positions of its two factors.
    """
    return count(replace(analysed, call=analysed.call.only(*factors)))


op_traits(Traits(continues_layer=True), "DequantizeLinear")
op_traits(Traits(requantises=True), "DequantizeLinear", "QuantizeLinear")
op_traits(
    Traits(layer=LayerForm.QUANTISED),
    "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul",
)  # fmt: skip


def _has_no_zero_point(call: Call) -> bool:
    zero_point = call.optional(2)
    if zero_point is None:
        return True
    return zero_point.value is not None and not zero_point.value.any()


op_traits(Traits(zero_at_first=_has_no_zero_point), "DequantizeLinear")
op_traits(Traits(output_zero_point=7), "QLinearConv", "QLinearMatMul")
op_traits(Traits(multiplications=count_convolution), "ConvInteger")
op_traits(Traits(multiplications=count_matmul), "MatMulInteger")
op_traits(
    Traits(multiplications=partial(count_as, count=count_convolution, factors=(0, 3))),
    "QLinearConv",
)
op_traits(
    Traits(multiplications=partial(count_as, count=count_matmul, factors=(0, 3))), "QLinearMatMul"
)
