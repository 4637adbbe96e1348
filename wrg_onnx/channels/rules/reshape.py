"""Reshape and Flatten: which factor of an axis carries the units.

Both shapes are cut into the smallest blocks of axes with equal element counts. Inside a block the
ids are written into an array of the input's dims, which is then reshaped to the output's dims: an
axis along which alone the ids vary carries them. Where none does, an axis was split (heads x head
dim, channel shuffle), one factor must carry the units, and the positions that share its index are
tied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels.axes import Axes, Call, Coupling, Demand, Freeze, Tie
from wrg_onnx.channels.ids import IdArray
from wrg_onnx.channels.table import op_rule
from wrg_onnx.graph import Shape

MERGED = "merges this axis with another that carries channels"


@dataclass(frozen=True, slots=True, eq=False)
class _Carried:
    """The ids of one block's output axes."""

    ids: tuple[IdArray | None, ...]
    ties: tuple[Tie, ...] = ()
    frozen: tuple[Freeze, ...] = ()
    choice: str = ""


@op_rule("Reshape", since=5)
def couple_reshape(call: Call) -> Coupling:
    """Carry the ids to the axes that they vary along, and demand their new lengths.

    Shapes:
        X (d_0, ...), shape (r) -> Y (shape_0, ...).

    Source: https://onnx.ai/onnx/operators/onnx__Reshape.html
    """
    x = call.axes()
    coupling = regroup(x, call.output_shapes[0], call.turned_down)
    target = call.optional(1)
    if target is None or target.sizes is None:
        live = x.flat()
        reason = "reshapes to sizes computed at run time"
        return coupling.also(frozen=(Freeze(live, reason),) if live.size else ())
    demands = []
    for axis, ids in enumerate(coupling.outputs[0].ids):
        size = target.sizes.reshape(-1)[axis]
        if size.value == 0 and not call.node.int("allowzero", 0):
            demands += _copied(axis, x, coupling.outputs[0])
        elif size.value != -1 and not (ids is None and not size.ids):
            demands.append(Demand(1, axis, ids))
    return Coupling(
        coupling.outputs, coupling.ties, coupling.frozen, demands=tuple(demands),
        choice=coupling.choice,
    )  # fmt: skip


def _copied(axis: int, x: Axes, y: Axes) -> list[Demand]:
    """Answer for a 0, which copies the input's length: right where both carry the same ids."""
    if np.array_equal(x.at(axis), y.at(axis)):
        return []
    return [Demand(1, axis, y.at(axis), x.at(axis))]


@op_rule("Flatten", since=1)
def couple_flatten(call: Call) -> Coupling:
    """Flatten into two axes; each position of the second carries its channel's id.

    Shapes:
        X (d_0, ..., d_r) -> Y (d_0 * ... * d_(axis-1), d_axis * ... * d_r).
    """
    return regroup(call.axes(), call.output_shapes[0], call.turned_down)


def regroup(x: Axes, shape: Shape, turned_down: int = 0) -> Coupling:
    """Carry ids through a change of shape that keeps the elements' order.

    Args:
        x: The axes before.
        shape: The shape after, with as many elements.
        turned_down: How many of the factors that could carry the units to pass over.
    """
    ids: list[IdArray | None] = [None] * len(shape)
    ties: list[Tie] = []
    frozen: list[Freeze] = []
    choices = []
    if 0 in shape:
        return Coupling((Axes.inert(shape),))  # without elements there is no order to keep
    for inner, outer in _blocks(x.shape, shape):
        carried = _carry(x, inner, tuple(shape[axis] for axis in outer), turned_down)
        for axis, own in zip(outer, carried.ids, strict=True):
            ids[axis] = own
        ties += carried.ties
        frozen += carried.frozen
        choices.append(carried.choice)
    choice = "; ".join(c for c in choices if c)
    return Coupling((Axes(shape, tuple(ids)),), tuple(ties), tuple(frozen), choice=choice)


def _blocks(left: Shape, right: Shape) -> Iterator[tuple[list[int], list[int]]]:
    """Cut two shapes into the smallest runs of axes with equal products."""
    i = j = 0
    while i < len(left) or j < len(right):
        inner, outer = [], []
        a = b = 1
        if i < len(left):
            inner.append(i)
            a *= left[i]
            i += 1
        if j < len(right):
            outer.append(j)
            b *= right[j]
            j += 1
        while a != b:
            if a < b:
                inner.append(i)
                a *= left[i]
                i += 1
            else:
                outer.append(j)
                b *= right[j]
                j += 1
        yield inner, outer


def _carry(x: Axes, inner: list[int], dims: Shape, turned_down: int) -> _Carried:
    live = [axis for axis in inner if x.ids[axis] is not None]
    if not live:
        return _Carried((None,) * len(dims))
    chosen = max(live, key=lambda axis: len(np.unique(x.at(axis))))
    frozen = tuple(Freeze(x.at(axis), MERGED) for axis in live if axis != chosen)
    # grid: one id per position of the block, first in the input's dims, then in the output's
    own = x.at(chosen)
    spread = own.reshape([-1 if axis == chosen else 1 for axis in inner])
    grid = np.broadcast_to(spread, [x.shape[axis] for axis in inner]).reshape(dims)
    if not dims:
        return _Carried((), frozen=(*frozen, Freeze(own, "drops this axis")))
    for axis in range(len(dims)):
        line = _line(grid, axis)
        if np.array_equal(np.broadcast_to(_along(line, axis, len(dims)), dims), grid):
            return _Carried(_only(line, axis, len(dims)), frozen=frozen)
    return _split(grid, frozen, turned_down)


def _split(grid: IdArray, frozen: tuple[Freeze, ...], turned_down: int) -> _Carried:
    """Let the factor that keeps most units carry them; tie what shares its index."""
    dims = grid.shape
    kept = [len(np.unique(_line(grid, axis))) if size > 1 else 0 for axis, size in enumerate(dims)]
    order = sorted(range(len(dims)), key=lambda axis: -kept[axis])
    able = [axis for axis in order if kept[axis] > 1] or order
    axis = able[turned_down % len(able)]
    line = _line(grid, axis)
    rows = np.moveaxis(grid, axis, -1).reshape(-1, dims[axis])
    pairs = np.unique(np.stack([np.broadcast_to(line, rows.shape), rows]).reshape(2, -1), axis=1)
    pairs = pairs[:, pairs[0] != pairs[1]]
    choice = f"of {' x '.join(map(str, dims))}, factor {axis} ({dims[axis]}) carries the units"
    return _Carried(_only(line, axis, len(dims)), (Tie(pairs[0], pairs[1]),), frozen, choice)


def _line(grid: IdArray, axis: int) -> IdArray:
    """Return the ids along one axis, at index 0 of the others."""
    index = tuple(slice(None) if a == axis else 0 for a in range(grid.ndim))
    return np.ascontiguousarray(grid[index])


def _along(line: IdArray, axis: int, rank: int) -> IdArray:
    return line.reshape([-1 if a == axis else 1 for a in range(rank)])


def _only(line: IdArray, axis: int, rank: int) -> tuple[IdArray | None, ...]:
    return tuple(line if a == axis else None for a in range(rank))
