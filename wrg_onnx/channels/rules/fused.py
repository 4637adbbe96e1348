"""Products, convolutions and biases as ONNX Runtime's optimiser fuses them with what follows.

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from wrg_onnx.channels.answers import Coupling, broadcast, freeze_axes, tie_rows
from wrg_onnx.channels.axes import Axes, Call, Operand
from wrg_onnx.channels.ids import Alive
from wrg_onnx.channels.rules.convolution import count_convolution, couple_conv, derive_group
from wrg_onnx.channels.rules.linear import (
    count_gemm,
    count_matmul,
    count_product,
    couple_gemm,
    couple_product,
)
from wrg_onnx.channels.rules.pointwise import couple_nary, couple_unary, freeze_dropped
from wrg_onnx.channels.rules.pooling import POOLED
from wrg_onnx.channels.table import MICROSOFT, Derived, derivation, op_rule
from wrg_onnx.channels.traits import LayerForm, LengthProduct, Traits, op_traits, traits_named
from wrg_onnx.channels.units import Analysed
from wrg_onnx.graph import Shape

op_rule("Gelu", "QuickGelu", since=1, domain=MICROSOFT)(couple_unary)
op_rule("BiasAdd", "BiasGelu", "FastGelu", since=1, domain=MICROSOFT)(couple_nary)


@op_rule("FusedConv", since=1, domain=MICROSOFT)
def couple_fused_conv(call: Call) -> Coupling:
    """Couple a convolution; what is added before the activation meets its filters.

    Shapes:
        X (N, g*ci, ...), W (g*co, ci, k...), B (g*co), Z (N, g*co, ...) -> Y (N, g*co, ...).
    """
    return _activated(call, _add(couple_conv(call), call.optional(3)))


@op_rule("NhwcConv", "NhwcFusedConv", since=1, domain=MICROSOFT)
def couple_nhwc_conv(call: Call) -> Coupling:
    """Couple a convolution whose channels come last; its weight is laid out as that of Conv.

    Shapes:
        X (N, ..., g*ci), W (g*co, ci, k...), B (g*co), Z (N, ..., g*co) -> Y (N, ..., g*co).
    """
    made = couple_fused_conv(_channels_first(call))
    return replace(made, outputs=(_channels_to(-1, made.outputs[0]),))


@derivation("FusedConv", since=1, domain=MICROSOFT)
def derive_fused_group(call: Call, outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the groups that are left of a depthwise convolution."""
    return derive_group(call, outputs, alive)


@derivation("NhwcConv", "NhwcFusedConv", since=1, domain=MICROSOFT)
def derive_nhwc_group(call: Call, outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the groups that are left of a depthwise convolution."""
    return derive_group(_channels_first(call), outputs, alive)


@op_rule("NhwcMaxPool", since=1, domain=MICROSOFT)
def couple_nhwc_pool(call: Call) -> Coupling:
    """Pass batch and channels; what is pooled over is inert.

    Shapes:
        X (N, ..., C) -> Y (N, ..., C).
    """
    x, shape = call.axes(), call.output_shapes[0]
    frozen = freeze_axes(x, range(1, x.rank - 1), POOLED)
    ids = (x.ids[0], *(None,) * (x.rank - 2), x.ids[-1])
    return Coupling((Axes(shape, ids),), frozen=frozen)


def _channels_first(call: Call) -> Call:
    """View the input, the summand and the output of a channels-last convolution as Conv does."""
    operands = [
        replace(operand, axes=_channels_to(1, operand.axes))
        if operand is not None and position in (0, 3)
        else operand
        for position, operand in enumerate(call.inputs)
    ]
    n, *sizes, channels = call.output_shapes[0]
    return replace(call, inputs=tuple(operands), output_shapes=((n, channels, *sizes),))


def _channels_to(place: int, axes: Axes) -> Axes:
    """Move the channels from the last axis to the second, or back."""
    order = list(range(axes.rank))
    order = [0, order[-1], *order[1:-1]] if place == 1 else [0, *order[2:], 1]
    shape = tuple(axes.shape[axis] for axis in order)
    return Axes(shape, tuple(axes.ids[axis] for axis in order))


@op_rule("FusedGemm", since=1, domain=MICROSOFT)
def couple_fused_gemm(call: Call) -> Coupling:
    """Couple a Gemm with an activation.

    Shapes:
        A (M, K) or (K, M), B (K, N) or (N, K), C broadcastable to (M, N) -> Y (M, N).
    """
    return _activated(call, couple_gemm(call))


@op_rule("FusedMatMul", "FusedMatMulActivation", "TransposeMatMul", since=1, domain=MICROSOFT)
def couple_fused_matmul(call: Call) -> Coupling:
    """Turn the operands as the attributes say, and couple their product.

    Shapes:
        A (..., M, K) or (..., K, M), B (..., K, N) or (..., N, K) -> Y (..., M, N).
        With transBatchA, A is (M, ..., K) or (K, ..., M); with transBatchB likewise.
    """
    a = turned(call.axes(0), call.node.int("transBatchA", 0), call.node.int("transA", 0))
    b = turned(call.axes(1), call.node.int("transBatchB", 0), call.node.int("transB", 0))
    return _activated(call, couple_product(call, a, b))


def turned(axes: Axes, moves_first: int, swaps: int) -> Axes:
    """View an operand as the product takes it.

    Args:
        axes: Its axes.
        moves_first: Whether the first axis moves behind the batch axes, ``transBatchA``.
        swaps: Whether the last two change places after that, ``transA``. A vector stays.
    """
    order = list(range(axes.rank))
    if moves_first and axes.rank > 2:
        order = [*order[1:-1], 0, order[-1]]
    if swaps and axes.rank > 1:
        order[-2:] = order[:-3:-1]
    shape: Shape = tuple(axes.shape[axis] for axis in order)
    return Axes(shape, tuple(axes.ids[axis] for axis in order))


@op_rule("GemmFastGelu", since=1, domain=MICROSOFT)
def couple_gemm_fast_gelu(call: Call) -> Coupling:
    """Couple a matrix product; the bias meets its columns.

    Shapes:
        X (..., K), W (K, N), bias (N) -> Y (..., N).
    """
    return _add(couple_product(call, call.axes(0), call.axes(1)), call.optional(2))


@op_rule("BiasSplitGelu", since=1, domain=MICROSOFT)
def couple_bias_split_gelu(call: Call) -> Coupling:
    """Tie the two halves, of which one gates the other.

    Shapes:
        X (N, S, 2*d), bias (2*d) -> Y (N, S, d).
    """
    x = call.axes()
    joined, ties = broadcast([x, call.axes(1)], x.shape)
    if joined.ids[-1] is None:
        return Coupling((Axes(call.output_shapes[0], joined.ids),), ties)
    channels = joined.at(-1)
    ids = (*joined.ids[:-1], channels[: len(channels) // 2])
    return Coupling((Axes(call.output_shapes[0], ids),), (*ties, *tie_rows(channels, 2)))


@op_rule("BiasDropout", since=1, domain=MICROSOFT)
def couple_bias_dropout(call: Call) -> Coupling:
    """Tie what is added, and pass the channels to the mask as well.

    Shapes:
        data (...), bias (C) or (...), residual (...), ratio (), training_mode ()
        -> Y (...), mask (...).
    """
    added = [operand.axes for operand in call.inputs[:3] if operand is not None]
    joined, ties = broadcast(added, call.axes().shape)
    outputs = tuple(joined if shape else Axes.inert(shape) for shape in call.output_shapes)
    return Coupling(outputs, ties, frozen=freeze_dropped(joined, call.optional(4)))


def _add(made: Coupling, term: Operand | None) -> Coupling:
    """Add a term to a product before its activation."""
    if term is None:
        return made
    joined, ties = broadcast([made.outputs[0], term.axes], made.outputs[0].shape)
    return replace(made, outputs=(joined,), ties=(*made.ties, *ties))


def _activated(call: Call, made: Coupling) -> Coupling:
    """Freeze the output where the fused activation is not one that treats every element alike."""
    activation = call.node.str("activation", "")
    if not activation or traits_named(activation).is_pointwise:
        return made
    y = made.outputs[0]
    return made.also(frozen=freeze_axes(y, range(y.rank), f"applies {activation} over this axis"))


def _count_turned(analysed: Analysed) -> Iterator[LengthProduct]:
    """Sum one inner axis up for each element of the output, as the left operand is turned."""
    node = analysed.call.node
    a = turned(analysed.call.axes(0), node.int("transBatchA", 0), node.int("transA", 0))
    yield from count_product(analysed, a)


_CONVOLUTIONS = ("NhwcConv", "NhwcFusedConv")
_PRODUCTS = ("FusedMatMul", "FusedMatMulActivation", "TransposeMatMul")
op_traits(
    Traits(layer=LayerForm.FUSED),
    "FusedConv", "FusedGemm", "GemmFastGelu", *_CONVOLUTIONS, *_PRODUCTS, domain=MICROSOFT,
)  # fmt: skip
op_traits(Traits(multiplications=count_convolution), "FusedConv", domain=MICROSOFT)
op_traits(
    Traits(multiplications=partial(count_convolution, channels_last=True)),
    *_CONVOLUTIONS,
    domain=MICROSOFT,
)
op_traits(Traits(multiplications=count_gemm), "FusedGemm", domain=MICROSOFT)
op_traits(Traits(multiplications=count_matmul), "GemmFastGelu", domain=MICROSOFT)
op_traits(Traits(multiplications=_count_turned), *_PRODUCTS, domain=MICROSOFT)
op_traits(
    Traits(continues_layer=True),
    "BiasAdd", "BiasGelu", "FastGelu", "Gelu", "QuickGelu", domain=MICROSOFT,
)  # fmt: skip
