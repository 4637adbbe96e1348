"""How ids pass through a change of shape: which part of an axis carries the units.

Both shapes are cut into the smallest blocks of axes with equal element counts. Inside a block the
ids are written into an array of the input's dims, which is then reshaped to the output's dims: an
axis along which alone the ids vary carries them. Where none does, an axis was split (heads x head
dim, channel shuffle), one part must carry the units, and the positions that share its index are
tied.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels.answers import Coupling, Division, Freeze, ShapeConflictError, Tie
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.ids import IdArray
from wrg_onnx.graph import Shape

MERGED = "merges this axis with another that carries channels"


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Axes of the input, and those of the output with as many elements.

    Attributes:
        x: The axes of the whole input.
        inner: Which of them are in the block.
        outer: The axes of the node's output that are in it.
        dims: Their sizes.
    """

    x: Axes
    inner: list[int]
    outer: list[int]
    dims: Shape


@dataclass(frozen=True, slots=True, eq=False)
class _Carried:
    """The ids of one block's output axes, and what the coupling says of them."""

    ids: tuple[IdArray | None, ...]
    ties: tuple[Tie, ...] = ()
    frozen: tuple[Freeze, ...] = ()
    dropped: tuple[IdArray, ...] = ()
    divisions: tuple[Division, ...] = ()
    choice: str = ""


def regroup(call: Call, x: Axes, shape: Shape, *, first: int = 0) -> Coupling:
    """Carry ids through a change of shape that keeps the elements' order.

    Args:
        call: The node; it says which part of an axis that is divided carries the units.
        x: The axes before.
        shape: The shape after, with as many elements.
        first: Where its axes start among those of the node's output.

    Raises:
        ShapeConflictError: If it has not as many elements after as before.
    """
    ids: list[IdArray | None] = [None] * len(shape)
    blocks = []
    if 0 in shape:
        return Coupling((Axes.inert(shape),))  # without elements there is no order to keep
    if math.prod(x.shape) != math.prod(shape):
        raise ShapeConflictError(
            f"{list(x.shape)} has another number of elements than {list(shape)}"
        )
    for inner, outer in _blocks(x.shape, shape):
        block = _Block(x, inner, [axis + first for axis in outer], tuple(shape[a] for a in outer))
        carried = _carry(call, block)
        for axis, own in zip(outer, carried.ids, strict=True):
            ids[axis] = own
        blocks.append(carried)
    return Coupling(
        (Axes(shape, tuple(ids)),),
        tuple(tie for block in blocks for tie in block.ties),
        tuple(freeze for block in blocks for freeze in block.frozen),
        dropped=tuple(own for block in blocks for own in block.dropped),
        divisions=tuple(division for block in blocks for division in block.divisions),
        choice="; ".join(block.choice for block in blocks if block.choice),
    )


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


def _carry(call: Call, block: _Block) -> _Carried:
    """Carry the ids of one block to its output axes.

    Of several live input axes the one with most units goes on; the others are frozen.
    """
    x, inner, dims = block.x, block.inner, block.dims
    live = [axis for axis in inner if x.ids[axis] is not None]
    if not live:
        return _Carried((None,) * len(dims))
    chosen = live[0]
    if len(live) > 1:
        chosen = max(live, key=lambda axis: len(np.unique(x.at(axis))))
    others = [x.at(axis) for axis in live if axis != chosen]
    # On a trial pass the parts of an axis are alive side by side, and meet again here.
    frozen = () if call.fresh else tuple(Freeze(ids, MERGED) for ids in others)
    # The block is m_0 x ... x m_p positions of the input, n_0 x ... x n_q of the output: as many,
    # in the same order. grid (n_0, ..., n_q) holds the id of each: those of the chosen axis (m_c),
    # the same at all positions of the other input axes, read in the output's dims.
    own = x.at(chosen)
    spread = own.reshape([-1 if axis == chosen else 1 for axis in inner])
    grid = np.broadcast_to(spread, [x.shape[axis] for axis in inner]).reshape(dims)
    if not dims:
        return _Carried((), frozen=(*frozen, Freeze(own, "leaves this axis of one position out")))
    # Does one output axis k alone say which id it is? Then its line (n_k) laid along axis k and
    # repeated over the others is the grid itself. So it is where axes of length 1 come and go,
    # where inert axes are merged or split, and where a Flatten merges channels with pixels.
    for axis in range(len(dims)):
        line = _line(grid, axis)
        if np.array_equal(np.broadcast_to(_along(line, axis, len(dims)), dims), grid):
            return _Carried(_only(line, axis, len(dims)), frozen=frozen, dropped=tuple(others))
    return _divide(call, grid, block.outer, frozen)


def _divide(call: Call, grid: IdArray, outer: list[int], frozen: tuple[Freeze, ...]) -> _Carried:
    """Let one part carry the units, and tie what shares its index.

    On a trial pass every part gets fresh ids instead, and no ties.

    Args:
        call: The node; it says which parts are to carry units, and whether this is a trial.
        grid: (n_0, ..., n_q), the id of each position of the block, in the output's dims.
        outer: The output axis of each of these dims.
        frozen: What is frozen already.
    """
    dims = grid.shape
    lines = {axis: _line(grid, axis) for axis, size in enumerate(dims) if size > 1}
    units = {axis: len(np.unique(line)) for axis, line in lines.items()}
    divided = np.unique(_without_repeats(grid.reshape(-1, 1)))
    if call.fresh is not None:
        lines = {axis: _renewed(line, call.fresh) for axis, line in lines.items()}
        division = Division(divided, {outer[axis]: line for axis, line in lines.items()})
        ids = tuple(lines.get(axis) for axis in range(len(dims)))
        return _Carried(ids, frozen=frozen, dropped=(division.ids,), divisions=(division,))
    axis = max(lines, key=lambda own: (outer[own] in call.carriers, units[own]))
    line = lines[axis]
    # Heads h x head dim d: ids 0 .. h*d-1 lie in grid (h, d). If h carries, line is grid[:, 0], the
    # first id of each head, and every id of a head is tied to that: (line[i], grid[i, j]).
    # In general: with the carrying axis k last, the grid is rows (all other positions, n_k), and
    # each row meets line (n_k) element by element.
    rows = _without_repeats(np.moveaxis(grid, axis, -1).reshape(-1, dims[axis]))
    met = np.stack([np.broadcast_to(line, rows.shape), rows], axis=-1).reshape(-1, 2)
    # Rows may be a picture's pixels, many and alike: each (carrying id, tied id) is wanted once.
    pairs = np.unique(_without_repeats(met[met[:, 0] != met[:, 1]]), axis=0)
    return _Carried(
        _only(line, axis, len(dims)),
        (Tie(pairs[:, 0], pairs[:, 1]),),
        frozen,
        divisions=(Division(divided, {outer[axis]: line}),),
        choice=f"of {' x '.join(map(str, dims))}, factor {axis} ({dims[axis]}) carries the units",
    )


def _without_repeats(rows: IdArray) -> IdArray:
    """Drop rows that repeat the one before: all pixels of a channel have its id."""
    is_new = np.ones(len(rows), bool)
    is_new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return np.compress(is_new, rows, axis=0)


def _renewed(line: IdArray, fresh: Callable[[int], IdArray]) -> IdArray:
    """Replace ids by fresh ones; equal ids stay equal."""
    unique, inverse = np.unique(line, return_inverse=True)
    return fresh(len(unique))[inverse]


def _line(grid: IdArray, axis: int) -> IdArray:
    """Return the ids along one axis, at index 0 of the others."""
    index = tuple(slice(None) if a == axis else 0 for a in range(grid.ndim))
    return np.ascontiguousarray(grid[index])


def _along(line: IdArray, axis: int, rank: int) -> IdArray:
    """Lay ids along one axis of so many, all others of length 1."""
    return line.reshape([-1 if a == axis else 1 for a in range(rank)])


def _only(line: IdArray, axis: int, rank: int) -> tuple[IdArray | None, ...]:
    """Put ids on one axis of so many; the others are inert."""
    return tuple(line if a == axis else None for a in range(rank))
