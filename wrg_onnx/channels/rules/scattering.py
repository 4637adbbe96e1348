"""Operators that write at positions: the axes beside those positions pass."""

from __future__ import annotations

from collections.abc import Sequence

from wrg_onnx.channels.axes import (
    Axes,
    Call,
    Coupling,
    broadcast,
    freeze_axes,
)
from wrg_onnx.channels.ids import Alive
from wrg_onnx.channels.rules.gathering import AS_INDEX, cut_to, derive_indices, is_followed
from wrg_onnx.channels.table import Derived, derivation, op_rule

WRITTEN = "writes at positions of this axis"


@op_rule("Scatter", since=9)
@op_rule("ScatterElements", since=11)
def couple_scatter_elements(call: Call) -> Coupling:
    """Freeze the axis that is written to; on the others data, indices and updates meet.

    Shapes:
        X (..., n, ...), indices and updates (..., m, ...) -> Y (..., n, ...); other axes may be
        shorter than those of X, whose leading positions are written to.

    Source: https://onnx.ai/onnx/operators/onnx__ScatterElements.html
    """
    x, index, updates = call.axes(0), call.operand(1), call.axes(2)
    axis = call.node.axis("axis", rank=x.rank, default=0)
    operands = [cut_to(x, updates.shape, axis), cut_to(updates, updates.shape, axis)]
    if not is_followed(index):
        operands.append(cut_to(index.axes, updates.shape, axis))
    _, ties = broadcast(operands, updates.shape)
    frozen = freeze_axes(x, [axis], WRITTEN) + freeze_axes(updates, [axis], WRITTEN)
    frozen += freeze_axes(index.axes, [axis], AS_INDEX)
    return Coupling((x,), ties, frozen)


@derivation("Scatter", "ScatterElements", since=9)
def derive_scatter_elements(call: Call, _outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Take the constant indices of the positions that are left."""
    axis = call.node.axis("axis", rank=call.axes().rank, default=0)
    return derive_indices(call, cut_to(call.axes(0), call.axes(2).shape, axis), alive)


@op_rule("ScatterND", since=11)
def couple_scatter_nd(call: Call) -> Coupling:
    """Freeze the axes that are indexed; on those behind them data and updates meet.

    Shapes:
        X (n_1, ..., n_k, ...), indices (i..., k), updates (i..., ...) -> Y (n_1, ..., n_k, ...).

    Source: https://onnx.ai/onnx/operators/onnx__ScatterND.html
    """
    x, index, updates = call.axes(0), call.axes(1), call.axes(2)
    depth, listed = index.shape[-1], index.rank - 1
    tails = [
        Axes(x.shape[depth:], x.ids[depth:]),
        Axes(updates.shape[listed:], updates.ids[listed:]),
    ]
    tail, ties = broadcast(tails, x.shape[depth:])
    frozen = freeze_axes(x, range(depth), WRITTEN)
    frozen += freeze_axes(updates, range(listed), WRITTEN)
    frozen += freeze_axes(index, range(index.rank), AS_INDEX)
    return Coupling((Axes(x.shape, (*x.ids[:depth], *tail.ids)),), ties, frozen)


@op_rule("TensorScatter", since=24)
def couple_tensor_scatter(call: Call) -> Coupling:
    """Freeze batch and the axis that is written to; on the others cache and update meet.

    Shapes:
        cache (N, ..., n, ...), update (N, ..., m, ...), places (N) -> Y (N, ..., n, ...).

    Source: https://onnx.ai/onnx/operators/onnx__TensorScatter.html
    """
    cache, update = call.axes(0), call.axes(1)
    axis = call.node.axis("axis", rank=cache.rank, default=-2)
    passed = [a for a in range(cache.rank) if a not in (0, axis)]
    parts = [_only(cache, passed, cache.shape), _only(update, passed, cache.shape)]
    made, ties = broadcast(parts, cache.shape)
    frozen = freeze_axes(cache, [0, axis], WRITTEN) + freeze_axes(update, [0, axis], WRITTEN)
    places = call.optional(2)
    if places is not None:
        frozen += freeze_axes(places.axes, [0], AS_INDEX)
    return Coupling((made,), ties, frozen)


def _only(axes: Axes, which: Sequence[int], shape: tuple[int, ...]) -> Axes:
    return Axes(shape, tuple(i if a in which else None for a, i in enumerate(axes.ids)))
