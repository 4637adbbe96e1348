"""What filters say by themselves: W, their norms, and how far they are from each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.calibrate.statistics import Float64Array, IntArray, LayerValues
from wrg_onnx.calibrate.weight.gains import filter_gains
from wrg_onnx.channels import Units
from wrg_onnx.graph import Array

CHUNK_ELEMENTS = 1 << 18
"""How many weights are looked at at a time: few enough to stay in the processor's cache."""

BLOCK_ELEMENTS = 1 << 23
"""How many numbers a block of filters, or of their distances, has at most: 64 MiB in float64."""


@dataclass(frozen=True, slots=True, eq=False)
class _Integers:
    """What the elements of a quantised constant stand for; both broadcast to its shape."""

    zero_point: Array
    scale: Array


@dataclass(frozen=True, slots=True, eq=False)
class _Filters:
    """The filters of one layer, along one axis of a constant.

    Attributes:
        layer: The constant's name.
        units: (filters,) int64.
        array: The constant.
        axis: Its output axis.
        ids: The ids of its positions.
        integers: What it stands for, where it is quantised.
    """

    layer: str
    units: IntArray
    array: Array
    axis: int
    ids: slice
    integers: _Integers | None

    @property
    def count(self) -> int:
        """Number of filters."""
        return int(self.array.shape[self.axis])

    @property
    def elements(self) -> int:
        """Elements of one filter."""
        return self.array.size // max(1, self.count)

    def rows(self, chunk: slice) -> NDArray[np.floating[Any]]:
        """Return some filters, (n, elements): float32 where the file has that, else float64."""
        part = np.moveaxis(self.array, self.axis, 0)[chunk]
        if part.dtype != np.float32:
            part = part.astype(np.float64)
        if self.integers is not None:
            part -= np.moveaxis(self.integers.zero_point, self.axis, 0)[chunk]
            part *= np.moveaxis(self.integers.scale, self.axis, 0)[chunk]
        return part.reshape(len(part), -1)


@dataclass(frozen=True, slots=True, eq=False)
class FilterNorms:
    """The norms of all filters, one entry per axis of a constant that holds filters.

    Attributes:
        scaled: L2 norms after what the model multiplies each channel by (``filter_gains``).
        l2: L2 norms as the file has them.
        l1: L1 norms as the file has them.
    """

    scaled: tuple[LayerValues, ...] = ()
    l2: tuple[LayerValues, ...] = ()
    l1: tuple[LayerValues, ...] = ()


def filter_norms(units: Units) -> FilterNorms:
    """Take the norms of every layer's filters, one per output channel.

    Quantised filters are taken for the numbers that they stand for. Integers whose scale and zero
    point are not constants beside them are left out.

    Args:
        units: The analysis of the model.

    Returns:
        The norms.
    """
    gains = filter_gains(units)
    scaled, l2, l1 = [], [], []
    for filters in _all_filters(units):
        squares, absolutes = _sums(filters)
        norms = np.sqrt(squares)
        scaled.append(LayerValues(filters.layer, filters.units, norms * gains[filters.ids]))
        l2.append(LayerValues(filters.layer, filters.units, norms))
        l1.append(LayerValues(filters.layer, filters.units, absolutes))
    return FilterNorms(tuple(scaled), tuple(l2), tuple(l1))


def filter_distances(units: Units) -> list[LayerValues]:
    """Sum the Euclidean distances of every filter to the other filters of its layer.

    The filter with the least sum is nearest to the geometric median: the others can replace it.
    The time grows with the square of a layer's filters, so layers that stay whole are left out.
    Quantised filters are taken as by ``filter_norms``.

    Args:
        units: The analysis of the model.

    Returns:
        The sums, one entry per axis of a constant that holds filters of which one may go.

    Source: He et al., "Filter Pruning via Geometric Median", CVPR 2019, arXiv:1811.00250.
    """
    return [
        LayerValues(filters.layer, filters.units, _distances(filters))
        for filters in _all_filters(units)
        if units.removable[filters.units].any()
    ]


def _all_filters(units: Units) -> Iterator[_Filters]:
    quantised = _quantised_constants(units)
    for slot in units.slots:
        ids = slice(slot.offset, slot.offset + slot.size)
        if not units.is_filter[ids].all():
            continue
        array = units.constants[slot.name]
        integers = quantised.get(slot.name)
        if integers is not None or array.dtype.kind not in "iu":
            yield _Filters(slot.name, units.slot_units(slot), array, slot.axis, ids, integers)


def _quantised_constants(units: Units) -> dict[str, _Integers]:
    """Find the constants that a node reads as integers with a constant scale and zero point."""
    found: dict[str, _Integers] = {}
    for analysed in units.nodes.values():
        call = analysed.call
        for one in analysed.quantised:
            operand = call.operand(one.operand)
            parameters = []
            for position, default in ((one.zero_point, 0), (one.scale, 1)):
                given = None if position is None else call.optional(position)
                parameters.append(np.array(default) if given is None else given.value)
            zero_point, scale = parameters
            if operand.value is not None and zero_point is not None and scale is not None:
                shape = operand.value.shape
                spread = (one.spread(p.astype(np.float64), shape) for p in (zero_point, scale))
                found[operand.name] = _Integers(*(np.broadcast_to(p, shape) for p in spread))
    return found


def _sums(filters: _Filters) -> tuple[Float64Array, Float64Array]:
    """Sum squares and absolute values over all other axes."""
    squares, absolutes = np.empty(filters.count), np.empty(filters.count)
    step = max(1, CHUNK_ELEMENTS // max(1, filters.elements))
    for start in range(0, filters.count, step):
        chunk = slice(start, start + step)
        part = np.abs(filters.rows(chunk))
        absolutes[chunk] = part.sum(axis=1, dtype=np.float64)
        squares[chunk] = np.square(part, out=part).sum(axis=1, dtype=np.float64)
    return squares, absolutes


def _distances(filters: _Filters) -> Float64Array:
    """Sum each filter's distances to the others, block against block."""
    sums = np.zeros(filters.count)
    step = max(1, min(BLOCK_ELEMENTS // max(1, filters.elements), math.isqrt(BLOCK_ELEMENTS)))
    blocks = [slice(start, start + step) for start in range(0, filters.count, step)]
    for place, here in enumerate(blocks):
        first = filters.rows(here).astype(np.float64)
        distances = _between(first, first)
        np.fill_diagonal(distances, 0)  # rounding leaves a filter at 1e-8 of itself
        sums[here] += distances.sum(axis=1)
        for there in blocks[place + 1 :]:
            distances = _between(first, filters.rows(there).astype(np.float64))
            sums[here] += distances.sum(axis=1)
            sums[there] += distances.sum(axis=0)
    return sums


def _between(first: Float64Array, second: Float64Array) -> Float64Array:
    """Return the distances of rows, (n, d) and (m, d) to (n, m).

    They come from products, which is many times faster than differences. What that loses is less
    than float32 weights tell apart.
    """
    mine, others = (np.einsum("ij,ij->i", rows, rows) for rows in (first, second))
    apart: Float64Array = first @ second.T
    apart *= -2
    apart += mine[:, None]
    apart += others
    np.maximum(apart, 0, out=apart)  # rounding may leave less
    return np.sqrt(apart)
