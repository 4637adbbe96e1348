"""Operators that read or write at places given by indices: the axes beside those places pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wrg_onnx.channels.axes import (
    Axes,
    Call,
    Coupling,
    Freeze,
    Operand,
    broadcast,
    freeze_axes,
)
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.table import Derived, derivation, op_rule
from wrg_onnx.graph import Array

PICKED = "picks positions of this axis"
WRITTEN = "writes at positions of this axis"
AS_INDEX = "reads positions from this axis"


def _cut(axes: Axes, shape: tuple[int, ...], without: int) -> Axes:
    """Return the ids of the leading positions of each axis, none along one axis."""
    ids = (
        None if own is None or axis == without else own[: shape[axis]]
        for axis, own in enumerate(axes.ids)
    )
    return Axes(shape, tuple(ids))


def _follows(operand: Operand) -> bool:
    """Tell whether an operand is a constant without ids, whose positions a derivation takes."""
    return operand.value is not None and not operand.axes.live()


def _take(array: Array, axes: Axes, without: int, alive: Alive) -> Array:
    """Take what is alive of every axis but one."""
    for axis, ids in enumerate(axes.ids):
        if ids is not None and axis != without:
            array = np.compress(alive(ids), array, axis=axis)
    return array


@op_rule("GatherElements", since=11)
def couple_gather_elements(call: Call) -> Coupling:
    """Freeze the axis that is indexed; on the others data and indices meet.

    Shapes:
        X (..., n, ...), indices (..., m, ...) -> Y (..., m, ...); other axes may be shorter than
        those of X, whose leading positions are read.

    Source: https://onnx.ai/onnx/operators/onnx__GatherElements.html
    """
    x, index = call.axes(0), call.operand(1)
    axis = call.node.axis("axis", rank=x.rank, default=0)
    shape = call.output_shapes[0]
    operands = [_cut(x, shape, axis)]
    if not _follows(index):
        operands.append(_cut(index.axes, shape, axis))
    made, ties = broadcast(operands, shape)
    frozen = freeze_axes(x, [axis], PICKED) + freeze_axes(index.axes, [axis], AS_INDEX)
    return Coupling((made,), ties, frozen, dropped=(x.flat(),))


@derivation("GatherElements", since=11)
def derive_gather_elements(call: Call, outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Take the constant indices of the positions that are left."""
    return _derive_indices(call, outputs[0], alive)


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
    operands = [_cut(x, updates.shape, axis), _cut(updates, updates.shape, axis)]
    if not _follows(index):
        operands.append(_cut(index.axes, updates.shape, axis))
    _, ties = broadcast(operands, updates.shape)
    frozen = freeze_axes(x, [axis], WRITTEN) + freeze_axes(updates, [axis], WRITTEN)
    frozen += freeze_axes(index.axes, [axis], AS_INDEX)
    return Coupling((x,), ties, frozen)


@derivation("Scatter", "ScatterElements", since=9)
def derive_scatter_elements(call: Call, _outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Take the constant indices of the positions that are left."""
    axis = call.node.axis("axis", rank=call.axes().rank, default=0)
    return _derive_indices(call, _cut(call.axes(0), call.axes(2).shape, axis), alive)


def _derive_indices(call: Call, axes: Axes, alive: Alive) -> Derived:
    index = call.operand(1)
    if not _follows(index) or index.value is None or alive(axes.flat()).all():
        return Derived()
    axis = call.node.axis("axis", rank=axes.rank, default=0)
    return Derived(operands={1: _take(index.value, axes, axis, alive)})


@op_rule("GatherND", since=11)
def couple_gather_nd(call: Call) -> Coupling:
    """Pass the axes behind the indexed ones; one indexed by a constant list is followed.

    Shapes:
        X (b..., n_1, ..., n_k, ...), indices (b..., i..., k) -> Y (b..., i..., ...).

    Source: https://onnx.ai/onnx/operators/onnx__GatherND.html
    """
    x, index = call.axes(0), call.operand(1)
    batch, depth = call.node.int("batch_dims", 0), index.axes.shape[-1]
    shape = call.output_shapes[0]
    leading, ties = broadcast(
        [Axes(a.shape[:batch], a.ids[:batch]) for a in (x, index.axes)], shape[:batch]
    )
    middle: tuple[IdArray | None, ...] = (None,) * (index.axes.rank - 1 - batch)
    frozen = freeze_axes(index.axes, range(batch, index.axes.rank), AS_INDEX)
    dropped: tuple[IdArray, ...] = ()
    picked = _listed_positions(call)
    own = x.ids[batch]
    if picked is not None and own is not None:
        middle, dropped = (own[picked],), (own,)
    else:
        frozen += freeze_axes(x, range(batch, batch + depth), PICKED)
    made = Axes(shape, (*leading.ids, *middle, *x.ids[batch + depth :]))
    return Coupling((made,), ties, frozen, dropped=dropped)


def _listed_positions(call: Call) -> IdArray | None:
    """Return the positions of axis 0 that a constant (i, 1) lists, None for other indices."""
    index = call.operand(1)
    if index.value is None or index.axes.live() or call.node.int("batch_dims", 0):
        return None
    if index.value.ndim != 2 or index.value.shape[1] != 1:
        return None
    return np.asarray(index.value[:, 0] % call.axes().shape[0], np.int64)


@derivation("GatherND", since=11)
def derive_gather_nd(call: Call, _outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Renumber the listed positions; those of removed ones go."""
    own, picked = call.axes().ids[0], _listed_positions(call)
    if own is None or picked is None or alive(own).all():
        return Derived()
    renumbered = np.cumsum(alive(own)) - 1
    kept = renumbered[picked[alive(own[picked])]]
    return Derived(operands={1: np.asarray(kept[:, np.newaxis], np.int64)})


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


@op_rule("Compress", since=9)
def couple_compress(call: Call) -> Coupling:
    """Take the ids where a constant condition holds; the other axes pass.

    Shapes:
        X (..., n, ...), condition (at most n) -> Y (..., number of true values, ...).

    Source: https://onnx.ai/onnx/operators/onnx__Compress.html
    """
    x, condition = call.axes(0), call.operand(1).value
    shape = call.output_shapes[0]
    if "axis" not in call.node.attributes:
        frozen = freeze_axes(x, range(x.rank), PICKED)
        return Coupling((Axes.inert(shape),), frozen=frozen)
    axis = call.node.axis("axis", rank=x.rank)
    own = x.ids[axis]
    ids = list(x.ids)
    if own is None or condition is None:
        ids[axis] = None
        return Coupling((Axes(shape, tuple(ids)),), frozen=freeze_axes(x, [axis], PICKED))
    ids[axis] = own[np.flatnonzero(condition)]
    return Coupling((Axes(shape, tuple(ids)),), dropped=(own,))


@derivation("Compress", since=9)
def derive_compress(call: Call, _outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Take the condition at the positions that are left."""
    x, condition = call.axes(0), call.operand(1).value
    if "axis" not in call.node.attributes or condition is None:
        return Derived()
    own = x.ids[call.node.axis("axis", rank=x.rank)]
    if own is None or alive(own).all():
        return Derived()
    return Derived(operands={1: condition[alive(own[: len(condition)])]})


@op_rule("OneHot", since=9)
def couple_one_hot(call: Call) -> Coupling:
    """Pass the axes of the indices; the new axis is inert.

    Shapes:
        indices (...), depth (), values (2) -> Y (..., depth, ...).

    Source: https://onnx.ai/onnx/operators/onnx__OneHot.html
    """
    index, shape = call.axes(0), call.output_shapes[0]
    axis = call.node.axis("axis", rank=len(shape), default=-1)
    frozen: tuple[Freeze, ...] = ()
    for operand in call.inputs[1:]:
        if operand is not None:
            frozen += freeze_axes(operand.axes, range(operand.axes.rank), "")
    made = Axes(shape, (*index.ids[:axis], None, *index.ids[axis:]))
    return Coupling((made,), frozen=frozen)
