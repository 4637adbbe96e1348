"""Operators that write at positions: the axes beside those positions pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels.answers import Coupling, Tie, broadcast, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.ids import Alive, IdArray
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
    """Tie updates to the positions that a constant list writes them to; freeze other indexed axes.

    Shapes:
        X (n_1, ..., n_k, ...), indices (i..., k), updates (i..., ...) -> Y (n_1, ..., n_k, ...).

    On the axes behind the indexed ones data and updates meet.

    Source: https://onnx.ai/onnx/operators/onnx__ScatterND.html
    """
    x, index, updates = call.axes(0), call.axes(1), call.axes(2)
    depth, listed = index.shape[-1], index.rank - 1
    tails = [
        Axes(x.shape[depth:], x.ids[depth:]),
        Axes(updates.shape[listed:], updates.ids[listed:]),
    ]
    tail, ties = broadcast(tails, x.shape[depth:])
    followed = _listed_axes(call)
    ties += tuple(
        Tie(x.at(axis)[one.positions], updates.at(one.axis)) for axis, one in followed.items()
    )
    kept = [axis for axis in range(depth) if axis not in followed]
    by_list = {one.axis for one in followed.values()}
    frozen = freeze_axes(x, kept, WRITTEN)
    frozen += freeze_axes(updates, [a for a in range(listed) if a not in by_list], WRITTEN)
    frozen += freeze_axes(index, range(index.rank), AS_INDEX)
    ids = (*x.ids[:depth], *tail.ids)
    gone = tuple(x.at(axis) for axis in followed)
    return Coupling((Axes(x.shape, ids),), ties, frozen, dropped=gone)


@dataclass(frozen=True, slots=True, eq=False)
class _List:
    """The positions of a live axis that constant indices name.

    Attributes:
        axis: Along which axis of the indices they are listed.
        positions: (i,) int64, one for each place of that axis.
    """

    axis: int
    positions: IdArray


def _listed_axes(call: Call) -> dict[int, _List]:
    """Find the live indexed axes whose positions run along one axis of constant indices."""
    x, index = call.axes(0), call.operand(1)
    depth = index.axes.shape[-1]
    live = [axis for axis in range(depth) if x.ids[axis] is not None]
    value = index.value if live and is_followed(index) else None
    if value is None or not value.size:
        return {}
    found: dict[int, _List] = {}
    for axis in live:
        named = np.asarray(value[..., axis] % x.shape[axis], np.int64)
        for place in range(named.ndim):
            line = np.moveaxis(named, place, -1).reshape(-1, named.shape[place])
            taken = {one.axis for one in found.values()}
            if place not in taken and (line == line[:1]).all():
                found[axis] = _List(place, line[0])
                break
    return found


@derivation("ScatterND", since=11)
def derive_scatter_nd(call: Call, _outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Renumber the listed positions; those of removed ones go."""
    x, value = call.axes(0), call.operand(1).value
    followed = _listed_axes(call)
    if value is None or all(alive(x.at(axis)).all() for axis in followed):
        return Derived()
    value = value.copy()
    for axis, one in followed.items():
        stays = alive(x.at(axis))
        value[..., axis] = (np.cumsum(stays) - 1)[value[..., axis] % x.shape[axis]]
        # Places of removed positions have a number of no meaning now, and go.
        value = np.compress(stays[one.positions], value, axis=one.axis)
    return Derived(operands={1: value})


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
