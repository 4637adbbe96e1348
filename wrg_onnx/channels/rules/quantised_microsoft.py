"""Quantised operators of ONNX Runtime: what its optimiser and its quantiser write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from wrg_onnx.channels.answers import Coupling, Quantised, Tie, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.ids import Alive
from wrg_onnx.channels.reasons import Kind, Why
from wrg_onnx.channels.rules.activation import couple_softmax, couple_softmax_flattened
from wrg_onnx.channels.rules.convolution import count_convolution, couple_conv, derive_group
from wrg_onnx.channels.rules.joining import couple_concat
from wrg_onnx.channels.rules.linear import count_gemm, count_matmul, couple_gemm, couple_matmul
from wrg_onnx.channels.rules.pointwise import couple_nary, couple_unary
from wrg_onnx.channels.rules.pooling import couple_pool
from wrg_onnx.channels.rules.quantised import (
    WHOLE_RANGE,
    count_as,
    couple_dequantise,
    couple_quantise,
    row_axis,
    with_parameters,
)
from wrg_onnx.channels.rules.reduction import couple_reduce
from wrg_onnx.channels.table import MICROSOFT, Derived, Rule, derivation, op_rule
from wrg_onnx.channels.traits import LayerForm, Traits, op_traits

op_rule("QuantizeLinear", since=1, domain=MICROSOFT)(couple_quantise)
op_rule("DequantizeLinear", since=1, domain=MICROSOFT)(couple_dequantise)
PACKED = Why("reads a weight that packs this axis in blocks with a scale each", Kind.CONVERTED)
PACKED_ROWS = Why("packs the rows of its weight together with their scales", Kind.CONVERTED)


@op_rule("QLinearConv", since=1, domain=MICROSOFT)
def couple_qlinear_conv(call: Call) -> Coupling:
    """Couple as Conv does, in either layout; W's scale and zero point may be one per filter.

    Shapes:
        X (N, g*ci, ...) or, with channels_last, (N, ..., g*ci), W (g*co, ci, k...), B (g*co)
        -> Y (N, g*co, ...) or (N, ..., g*co).
    """
    coupled = _in_either_layout(call.only(0, 3, 8), couple_conv)
    return with_parameters(call, coupled, Quantised(3, 4, 5))


@derivation("QLinearConv", since=1, domain=MICROSOFT)
def derive_qlinear_group(call: Call, outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the groups that are left of a depthwise convolution."""
    return derive_group(_channels_first(call.only(0, 3)), outputs, alive)


@op_rule("QLinearAveragePool", "QLinearGlobalAveragePool", since=1, domain=MICROSOFT)
def couple_qlinear_pool(call: Call) -> Coupling:
    """Pool inside each channel, in either layout.

    Shapes:
        X (N, C, ...) or, with channels_last, (N, ..., C) -> Y (N, C, ...) or (N, ..., C).
    """
    return _in_either_layout(call.only(0), couple_pool)


def _in_either_layout(call: Call, couple: Rule) -> Coupling:
    """Ask a rule that expects channels on axis 1, and turn its answer to the node's layout."""
    coupling = couple(_channels_first(call))
    if not call.node.int("channels_last", 0):
        return coupling
    (y,) = coupling.outputs
    return replace(coupling, outputs=(_permuted(y, (0, *range(2, y.rank), 1)),))


def _channels_first(call: Call) -> Call:
    """Return the call as it would be with the channels on axis 1."""
    if not call.node.int("channels_last", 0):
        return call
    x, (shape,) = call.operand(0), call.output_shapes
    turned = replace(x, axes=_permuted(x.axes, (0, -1, *range(1, x.axes.rank - 1))))
    return replace(
        call,
        inputs=(turned, *call.inputs[1:]),
        output_shapes=((shape[0], shape[-1], *shape[1:-1]),),
    )


def _permuted(axes: Axes, order: Sequence[int]) -> Axes:
    return Axes(tuple(axes.shape[a] for a in order), tuple(axes.ids[a] for a in order))


@op_rule("QGemm", since=1, domain=MICROSOFT)
def couple_qgemm(call: Call) -> Coupling:
    """Couple as Gemm does; the scale and zero point of B may be one per column.

    Shapes:
        A (M, K) or (K, M), B (K, N) or (N, K), its scale and zero point () or (N), C broadcastable
        to (M, N) -> Y (M, N).
    """
    columns = 0 if call.node.int("transB", 0) else 1
    return with_parameters(
        call, couple_gemm(call.only(0, 3, 6)), Quantised(0, 1, 2), Quantised(3, 4, 5, columns)
    )


@op_rule("MatMulIntegerToFloat", since=1, domain=MICROSOFT)
def couple_matmul_to_float(call: Call) -> Coupling:
    """Couple as MatMul does; scale and zero point of B may be one per column, the bias meets Y.

    Shapes:
        A (..., M, K), B (K, N), its scale and zero point () or (N), bias (N) -> Y (..., M, N).
    """
    columns = Quantised(1, 3, 5, call.axes(1).rank - 1)
    coupled = couple_matmul(call.only(0, 1))
    coupled = with_parameters(call, coupled, Quantised(0, 2, 4, row_axis(call)), columns)
    return coupled.also(ties=_bias(call, coupled, 6))


@op_rule("DynamicQuantizeMatMul", since=1, domain=MICROSOFT)
def couple_dynamic_matmul(call: Call) -> Coupling:
    """Couple as MatMul does, and freeze A: its largest element makes the scale of all.

    Shapes:
        A (..., M, K), B (K, N), its scale and zero point () or (N), bias (N) -> Y (..., M, N).
    """
    a, b = call.axes(0), call.axes(1)
    coupled = with_parameters(call, couple_matmul(call.only(0, 1)), Quantised(1, 2, 3, b.rank - 1))
    frozen = freeze_axes(a, range(a.rank), WHOLE_RANGE)
    return coupled.also(ties=_bias(call, coupled, 4), frozen=frozen)


def _bias(call: Call, coupling: Coupling, position: int) -> tuple[Tie, ...]:
    """Tie a bias to the output's last axis."""
    bias = call.optional(position)
    return () if bias is None else (Tie(coupling.outputs[0].at(-1), bias.axes.at(0)),)


@op_rule("MatMulNBits", since=1, domain=MICROSOFT)
def couple_matmul_packed(call: Call) -> Coupling:
    """Make channels from the rows of the packed weight; what is packed together stays.

    Shapes:
        A (..., K), B (N, blocks, bytes), scales and zero points (N, ...), bias (N) -> Y (..., N).

    Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
    """
    a, b = call.axes(0), call.axes(1)
    shape = call.output_shapes[0]
    frozen = freeze_axes(a, [-1], PACKED)
    rows = b.at(0)
    ties = []
    for operand in (call.optional(position) for position in (2, 3, 5)):
        if operand is None:
            continue
        if call.node.int("weight_prepacked", 0) or operand.axes.shape[:1] != b.shape[:1]:
            frozen += freeze_axes(b, [0], PACKED_ROWS)
            continue
        ties.append(Tie(rows, operand.axes.at(0)))
        frozen += freeze_axes(operand.axes, range(1, operand.axes.rank), "")
    frozen += freeze_axes(b, range(1, b.rank), "")
    made = Axes(shape, (*a.ids[:-1], rows))
    return Coupling((made,), tuple(ties), frozen, filters=(rows,))


@derivation("MatMulNBits", since=1, domain=MICROSOFT)
def derive_rows(call: Call, _outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the rows that are left."""
    rows = alive(call.axes(1).at(0))
    return Derived() if rows.all() else Derived(attributes={"N": int(rows.sum())})


@op_rule("QLinearAdd", "QLinearMul", since=1, domain=MICROSOFT)
def couple_qlinear_pair(call: Call) -> Coupling:
    """Tie the operands where they meet, with ONNX's broadcasting.

    Shapes:
        A and B broadcastable to one shape -> C (that shape).
    """
    return couple_nary(call.only(0, 3))


@op_rule("QLinearWhere", since=1, domain=MICROSOFT)
def couple_qlinear_where(call: Call) -> Coupling:
    """Tie the operands where they meet, with ONNX's broadcasting.

    Shapes:
        condition, X and Y broadcastable to one shape -> Z (that shape).
    """
    return couple_nary(call.only(0, 1, 4))


@op_rule("QLinearLeakyRelu", "QLinearSigmoid", since=1, domain=MICROSOFT)
def couple_qlinear_unary(call: Call) -> Coupling:
    """Pass the channels through.

    Shapes:
        X (...) -> Y (...).
    """
    return couple_unary(call.only(0))


@op_rule("QLinearConcat", since=1, domain=MICROSOFT)
def couple_qlinear_concat(call: Call) -> Coupling:
    """Join the units along ``axis``, as Concat does.

    Shapes:
        Y's scale and zero point, then X_k (..., n_k, ...), its scale and zero point by turns
        -> Y (..., sum of n_k, ...).
    """
    return couple_concat(call.only(*range(2, len(call.inputs), 3)))


@op_rule("QLinearSoftmax", since=1, domain=MICROSOFT)
def couple_qlinear_softmax(call: Call) -> Coupling:
    """Freeze what Softmax of the opset in attribute ``opset`` normalises over.

    Shapes:
        X (...) -> Y (...).
    """
    couple = couple_softmax_flattened if call.node.int("opset", 13) < 13 else couple_softmax
    return couple(call.only(0))


@op_rule("QLinearReduceMean", since=1, domain=MICROSOFT)
def couple_qlinear_mean(call: Call) -> Coupling:
    """Freeze live axes that are reduced; the others pass.

    Shapes:
        X (...) -> Y (the same with 1 at the reduced axes, or without them).
    """
    return couple_reduce(call.only(0))


_PRODUCTS = ("DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulNBits")
op_traits(Traits(continues_layer=True), "DequantizeLinear", domain=MICROSOFT)
op_traits(Traits(layer=LayerForm.QUANTISED), "QGemm", "QLinearConv", *_PRODUCTS, domain=MICROSOFT)
op_traits(Traits(multiplications=count_matmul), *_PRODUCTS, domain=MICROSOFT)
op_traits(
    Traits(
        multiplications=partial(count_as, count=count_convolution, factors=(0, 3)),
        output_zero_point=7,
    ),
    "QLinearConv",
    domain=MICROSOFT,
)
op_traits(
    Traits(
        multiplications=partial(count_as, count=count_gemm, factors=(0, 3)), output_zero_point=8
    ),
    "QGemm",
    domain=MICROSOFT,
)
