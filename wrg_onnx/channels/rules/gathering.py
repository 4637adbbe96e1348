"""Operators that pick positions: by indices, or by what stands there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wrg_onnx.channels.answers import Coupling, Division, Freeze, Tie, broadcast, freeze_axes
from wrg_onnx.channels.axes import Axes, Call, Operand
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.regroup import regroup
from wrg_onnx.channels.sizes import Numbers, Sizes, by_moving
from wrg_onnx.channels.table import Derived, derivation, op_rule
from wrg_onnx.channels.traits import Traits, op_traits
from wrg_onnx.graph import Array, Node

PICKED = "picks single elements along this axis"
AS_INDEX = "takes indices from this axis"


@op_rule("Gather", since=1)
def couple_gather(call: Call) -> Coupling:
    """Pick positions; the indices are renumbered when positions before them go.

    Shapes:
        X (..., n, ...), indices (i...) -> Y (..., i..., ...).

    Source: https://onnx.ai/onnx/operators/onnx__Gather.html
    """
    x, index = call.axes(0), call.operand(1)
    axis = call.node.axis("axis", rank=x.rank, default=0)
    before, after = x.ids[:axis], x.ids[axis + 1 :]
    shape = call.output_shapes[0]
    own = x.ids[axis]
    picked = _constant_indices(call)
    middle: tuple[IdArray | None, ...] = (None,) * index.axes.rank
    frozen: tuple[Freeze, ...] = ()
    dropped: tuple[IdArray, ...] = ()
    ties: tuple[Tie, ...] = ()
    divisions: tuple[Division, ...] = ()
    choice = ""
    if own is not None and picked is not None and picked.ndim == 1:
        middle, dropped = (own[picked],), (own,)
    elif own is not None and picked is not None and _is_reshape(picked, len(own)):
        found = regroup(call, Axes(own.shape, (own,)), picked.shape, first=axis)
        middle, ties, dropped = found.outputs[0].ids, found.ties, (own,)
        divisions, choice = found.divisions, found.choice
    elif own is not None and picked is not None and picked.ndim == 0:
        frozen, dropped = (
            (Freeze(own[picked].reshape(1), "picks this one position of the axis"),),
            (own,),
        )
    elif own is not None:
        frozen = (Freeze(own, "picks positions by indices computed at run time"),)
    made = Axes(shape, (*before, *middle, *after))
    return Coupling((made,), ties, frozen, dropped=dropped, divisions=divisions, choice=choice)


def _is_reshape(picked: IdArray, length: int) -> bool:
    """Tell whether indices of two or more axes take every position once, in order."""
    return picked.ndim > 1 and np.array_equal(picked.reshape(-1), np.arange(length))


def _constant_indices(call: Call) -> IdArray | None:
    """Return indices that are constants, or computed from constants alone."""
    index = call.operand(1)
    if index.value is not None:
        value = index.value
    else:
        sizes = () if index.sizes is None else index.sizes.reshape(-1)
        if index.sizes is None or any(size.ids or size.is_open for size in sizes):
            return None
        value = np.array([int(size.value) for size in sizes]).reshape(index.sizes.shape)
    axes = call.axes()
    length = axes.shape[call.node.axis("axis", rank=axes.rank, default=0)]
    return np.asarray(value % length, np.int64)


@derivation("Gather", since=1)
def derive_gather(call: Call, outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Renumber constant indices; those of removed positions go."""
    x, picked = call.axes(), _constant_indices(call)
    axis = call.node.axis("axis", rank=x.rank, default=0)
    own = x.ids[axis]
    if own is None or picked is None or alive(own).all():
        return Derived()
    for place in range(picked.ndim):
        ids = outputs[0].ids[axis + place]
        if ids is not None:
            picked = np.compress(alive(ids), picked, axis=place)
    renumbered = np.cumsum(alive(own)) - 1
    value = call.operand(1).value
    kind = np.int64 if value is None else value.dtype
    return Derived(operands={1: np.asarray(renumbered[picked], kind)})


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
    operands = [cut_to(x, shape, axis)]
    if not is_followed(index):
        operands.append(cut_to(index.axes, shape, axis))
    made, ties = broadcast(operands, shape)
    frozen = freeze_axes(x, [axis], PICKED) + freeze_axes(index.axes, [axis], AS_INDEX)
    return Coupling((made,), ties, frozen, dropped=(x.flat(),))


@derivation("GatherElements", since=11)
def derive_gather_elements(call: Call, outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Take the constant indices of the positions that are left."""
    return derive_indices(call, outputs[0], alive)


def derive_indices(call: Call, axes: Axes, alive: Alive) -> Derived:
    """Take the constant indices, input 1, at the positions that are left.

    Args:
        call: The node; its attribute ``axis`` is indexed and stays.
        axes: What the indices run along.
        alive: Which ids are alive.
    """
    index = call.operand(1)
    if not is_followed(index) or index.value is None or alive(axes.flat()).all():
        return Derived()
    axis = call.node.axis("axis", rank=axes.rank, default=0)
    return Derived(operands={1: _take(index.value, axes, axis, alive)})


def cut_to(axes: Axes, shape: tuple[int, ...], without: int) -> Axes:
    """Return the ids of the leading positions of each axis, none along one axis."""
    ids = (
        None if own is None or axis == without else own[: shape[axis]]
        for axis, own in enumerate(axes.ids)
    )
    return Axes(shape, tuple(ids))


def is_followed(operand: Operand) -> bool:
    """Tell whether an operand is a constant without ids, whose positions a derivation takes."""
    return operand.is_constant and not operand.axes.live()


def _take(array: Array, axes: Axes, without: int, alive: Alive) -> Array:
    """Take what is alive of every axis but one."""
    for axis, ids in enumerate(axes.ids):
        if ids is not None and axis != without:
            array = np.compress(alive(ids), array, axis=axis)
    return array


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


def _pick(_node: Node, operands: Sequence[Sizes], numbers: Numbers) -> Sizes:
    """Evaluate a Gather from a vector."""
    index = np.array(numbers[1], int).reshape(operands[1].shape)
    return np.asarray(np.take(operands[0], index, axis=0), dtype=object)


op_traits(Traits(moves_elements=True), "Gather", "GatherElements")
op_traits(
    Traits(keeps_zeros=True, zero_at_zero=True, sizes=by_moving(_pick), look_ups={1: 0}), "Gather"
)
