"""What was measured of layers as a few flat arrays, and back, to the bit.

A file of them may be damaged, or made to harm. So each array is asked for by its type and length,
which follow from the model and from the arrays before it, and the numbers in it are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.calibrate.kept_arrays import UnsoundError
from wrg_onnx.factors import BoolArray, Float64Array, IntArray
from wrg_onnx.graph import Array, Graph
from wrg_onnx.recover.gram_sums import GramSums, Origin
from wrg_onnx.recover.layers import LinearLayer, find_layers
from wrg_onnx.recover.measured import LayerRows, Measured, MeasuredLayer, sharing_patches

BLOCK = 64
"""A Gram matrix is symmetric: each block of so many of its rows is kept up to the diagonal."""


Number = TypeVar("Number", bound=np.generic)


class Take(Protocol):
    """Gives arrays by name."""

    def __call__(self, name: str, kind: str, size: int) -> NDArray[np.generic]:
        """Return an array of one axis, or refuse.

        Args:
            name: Its name.
            kind: Its type, such as ``"<f4"``; ``"u"`` for unsigned integers of any width.
            size: Its length.
        """


def to_arrays(measured: Measured) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Yield what was measured, each array made when it is asked for.

    Args:
        measured: As ``measure_layers`` returns it.
    """
    problems = [[measured.layers[x.target] for x in layers] for layers in _problems(measured.graph)]
    known = [one for problem in problems for one in problem]
    seen = [rows for problem in problems for rows in problem[0].rows]
    sums = [_parts(problem[0]) for problem in problems]
    all_sums = [part for parts in sums for part in parts]
    yield "ranks", np.array([len(rows.shape) for rows in seen], np.int64)
    yield "shapes", np.array([size for rows in seen for size in rows.shape], np.int64)
    yield "counts", np.array([len(rows.places) for rows in seen], np.int64)
    places = _joined([rows.places for rows in seen], np.int64)
    yield "places", places.astype(np.min_scalar_type(places.max(initial=0)))
    yield "parts", np.array([len(parts) for parts in sums], np.int64)
    yield "rows", np.array([part.rows for part in all_sums], np.int64)
    yield "sums", _joined([part.x for part in all_sums], np.float64)
    yield "origins", _joined([_origin(parts) for parts in sums if parts], np.float32)
    for number, part in enumerate(all_sums):
        yield f"squares.{number}", _packed(part.xx)
    has_shortcut = [rows.shortcut is not None for one in known for rows in one.rows]
    yield "has_shortcut", np.array(has_shortcut, bool)
    for number, one in enumerate(known):
        yield f"goals.{number}", _joined([rows.goal for rows in one.rows], np.float32)
        added = [rows.shortcut for rows in one.rows if rows.shortcut is not None]
        yield f"shortcuts.{number}", _joined(added, np.float32)


def from_arrays(graph: Graph, samples: int, parts: int, take: Take) -> Measured:
    """Return what was measured.

    Args:
        graph: The model.
        samples: How many samples were looked at.
        parts: How many sums are kept of a layer: one of all samples, or two of their halves.
        take: Gives the arrays.

    Raises:
        UnsoundError: If they are not what could have been measured of this model.
    """
    problems = _problems(graph)
    places = _places(len(problems) * samples, take)
    sums = _sums(graph, problems, parts, take)
    layers = sum(map(len, problems))
    flags = take("has_shortcut", "|b1", layers * samples).astype(bool).reshape(layers, samples)
    found: dict[str, MeasuredLayer] = {}
    for number, (members, own) in enumerate(zip(problems, sums, strict=True)):
        whole = own[0].joined(own[1]) if len(own) > 1 else next(iter(own), None)
        seen = places[number * samples : (number + 1) * samples]
        if sum(part.rows for part in own) > sum(math.prod(shape) for shape, _ in seen):
            raise UnsoundError  # a place gives one row at most
        for layer in members:
            one = MeasuredLayer.of(graph, layer)
            one.sums, one.halves = whole, own if len(own) > 1 else ()
            one.rows = _rows(len(found), layer.width, seen, flags[len(found)], take)
            found[layer.target] = one
    return Measured(graph, found)


def size_of(measured: Measured) -> int:
    """Return how many bytes its arrays take, without making them."""
    rows = (rows for one in measured.layers.values() for rows in one.rows)
    size = 0
    for one in rows:
        size += one.goal.nbytes + one.places.nbytes
        size += 0 if one.shortcut is None else one.shortcut.nbytes
    sums = {id(one): one for known in measured.layers.values() for one in _parts(known)}
    return size + sum(8 * _packed_size(*one.xx.shape[:2]) for one in sums.values())


def _problems(graph: Graph) -> list[tuple[LinearLayer, ...]]:
    return sharing_patches(find_layers(graph).layers, graph)


def _parts(one: MeasuredLayer) -> tuple[GramSums, ...]:
    """Return the sums that the others follow from."""
    if one.sums is None:
        return ()
    return one.halves or (one.sums,)


def _origin(parts: Sequence[GramSums]) -> Array:
    """Return what sums are counted from; zeros where nothing was added."""
    first = parts[0]
    return np.zeros(first.x.shape, np.float32) if first.origin.x is None else first.origin.x


def _joined(arrays: Sequence[NDArray[np.generic]], kind: type[np.generic]) -> NDArray[np.generic]:
    """Return all arrays one after the other, each in the order of its axes."""
    return np.concatenate([np.zeros(0, kind), *(array.ravel() for array in arrays)], dtype=kind)


def _places(lists: int, take: Take) -> list[tuple[tuple[int, ...], IntArray]]:
    """Return for each sample of each problem the shape of an output and the places in it."""
    ranks = _counts("ranks", lists, take)
    shapes = _split(_counts("shapes", int(ranks.sum()), take), ranks)
    counts = _counts("counts", lists, take)
    flat = take("places", "u", int(counts.sum())).astype(np.int64)
    found = []
    for shape, places in zip(shapes, _split(flat, counts), strict=True):
        if len(places) and places.max() >= math.prod(shape.tolist()):
            raise UnsoundError
        found.append((tuple(shape.tolist()), places))
    return found


def _sums(
    graph: Graph, problems: Sequence[Sequence[LinearLayer]], parts: int, take: Take
) -> list[tuple[GramSums, ...]]:
    """Return the sums of each problem; none of one that reads too much."""
    there = _counts("parts", len(problems), take)
    if not np.isin(there, (0, parts)).all():
        raise UnsoundError
    sizes = [_size(graph, members[0]) for members in problems]
    rows = _counts("rows", int(there.sum()), take)
    lengths = np.array([groups * inputs for groups, inputs in sizes], np.int64)
    x = take("sums", "<f8", int((there * lengths).sum())).astype(np.float64)
    origins = take("origins", "<f4", int(lengths[there > 0].sum())).astype(np.float32)
    means = _split(origins, np.where(there > 0, lengths, 0))
    found: list[tuple[GramSums, ...]] = []
    number = 0
    for (groups, inputs), flat, mean in zip(sizes, _split(x, there * lengths), means, strict=True):
        times, origin, own = len(flat) // (groups * inputs), Origin(), []
        if rows[number : number + times].any():
            origin.x = mean.reshape(groups, inputs, 1)
            origin.y = np.zeros((groups, 0, 1), np.float32)
        for part in flat.reshape(times, groups, inputs):
            sums = GramSums.empty(groups, 0, 0, origin)
            sums.rows, sums.x = int(rows[number]), part
            packed = take(f"squares.{number}", "<f8", _packed_size(groups, inputs))
            sums.xx = _unpacked(packed.astype(np.float64, copy=False), groups, inputs)
            sums.yx = np.zeros((groups, 0, inputs))
            own.append(sums)
            number += 1
        found.append(tuple(own))
    return found


def _rows(
    number: int,
    width: int,
    seen: Sequence[tuple[tuple[int, ...], IntArray]],
    has_shortcut: BoolArray,
    take: Take,
) -> list[LayerRows]:
    """Return what a layer makes of each sample, and what is added to it."""
    lengths = np.array([len(places) for _, places in seen], np.int64)
    sizes = width * lengths
    goals = take(f"goals.{number}", "<f4", int(sizes.sum())).astype(np.float32, copy=False)
    added = take(f"shortcuts.{number}", "<f4", int(sizes[has_shortcut].sum()))
    left = iter(_split(added.astype(np.float32, copy=False), sizes[has_shortcut]))
    return [
        LayerRows(
            shape,
            places,
            goal.reshape(width, len(places)),
            next(left).reshape(width, len(places)) if is_added else None,
        )
        for (shape, places), goal, is_added in zip(
            seen, _split(goals, sizes), has_shortcut, strict=True
        )
    ]


def _split(array: NDArray[Number], sizes: IntArray) -> list[NDArray[Number]]:
    """Return the parts of an array, one after the other."""
    return [array[start:stop] for start, stop in pairwise(np.cumsum([0, *sizes]).tolist())]


def _counts(name: str, size: int, take: Take) -> IntArray:
    """Return numbers of things, none of them below zero."""
    found = take(name, "<i8", size).astype(np.int64)
    if (found < 0).any():
        raise UnsoundError
    return found


def _size(graph: Graph, layer: LinearLayer) -> tuple[int, int]:
    """Return how many groups a layer has, and how many numbers each reads."""
    return layer.group, graph.constants.forms[layer.weight].size // layer.width


def _packed(squares: Float64Array) -> Float64Array:
    """Return half of symmetric matrices, (G, D, D), as one axis: each block of rows in turn."""
    starts = range(0, squares.shape[1], BLOCK)
    return np.concatenate(
        [np.zeros(0), *(squares[:, at : at + BLOCK, : at + BLOCK].ravel() for at in starts)]
    )


def _packed_size(groups: int, inputs: int) -> int:
    """Return the length of what ``_packed`` makes."""
    ends = ((at, min(at + BLOCK, inputs)) for at in range(0, inputs, BLOCK))
    return groups * sum((end - at) * end for at, end in ends)


def _unpacked(packed: Float64Array, groups: int, inputs: int) -> Float64Array:
    """Return the matrices of which ``_packed`` kept a half."""
    whole = np.empty((groups, inputs, inputs))
    start = 0
    for at in range(0, inputs, BLOCK):
        end = min(at + BLOCK, inputs)
        stop = start + groups * (end - at) * end
        block = packed[start:stop].reshape(groups, end - at, end)
        whole[:, at:end, :end] = block
        whole[:, :at, at:end] = block[:, :, :at].swapaxes(1, 2)
        start = stop
    return whole
