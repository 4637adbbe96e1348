"""The filters of a model: the weights that make one channel each, as the numbers they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.channels import Units
from wrg_onnx.factors import Float64Array, IntArray, LayerValues
from wrg_onnx.graph import Array, Weights

CHUNK_ELEMENTS = 1 << 18
"""How many weights are looked at at a time: few enough to stay in the processor's cache."""

FloatRows: TypeAlias = NDArray[np.floating[Any]]
"""(n, elements of a filter): float32 where the file has that, else float64."""

OfFilters: TypeAlias = Callable[[FloatRows], Float64Array]
"""Takes some filters of one layer, (n, elements), which it must not change; returns (n,) float64,
not negative, each of its filter alone."""


@dataclass(frozen=True, slots=True, eq=False)
class _Integers:
    """What the elements of a quantised constant stand for; both broadcast to its shape."""

    zero_point: Array
    scale: Array


@dataclass(frozen=True, slots=True, eq=False)
class Filters:
    """The filters of one layer, along one axis of a constant.

    Attributes:
        layer: The constant's name.
        units: (filters,) int64.
        constants: Where the constant is.
        axis: Its output axis.
        ids: The ids of its positions.
        integers: What it stands for, where it is quantised.
    """

    layer: str
    units: IntArray
    constants: Weights
    axis: int
    ids: slice
    integers: _Integers | None

    @property
    def count(self) -> int:
        """Number of filters."""
        return self.constants.forms[self.layer].shape[self.axis]

    @property
    def elements(self) -> int:
        """Elements of one filter."""
        return self.constants.forms[self.layer].size // max(1, self.count)

    def rows(self) -> Callable[[slice], FloatRows]:
        """Read the layer, and return what gives some of its filters."""
        whole = np.moveaxis(self.constants[self.layer], self.axis, 0)
        return lambda chunk: self._numbers(whole[chunk], chunk)

    def _numbers(self, part: Array, chunk: slice) -> FloatRows:
        """Return what some filters stand for, the first axis those that make channels."""
        dtype = np.float32 if part.dtype == np.float32 else np.float64
        part = np.require(part, dtype, "A")  # weights of a file may lie at odd places
        if self.integers is not None:
            part -= np.moveaxis(self.integers.zero_point, self.axis, 0)[chunk]
            part *= np.moveaxis(self.integers.scale, self.axis, 0)[chunk]
        return part.reshape(len(part), -1)

    def measure(self, of_rows: OfFilters) -> Float64Array:
        """Return a number per filter, (filters,) float64, a few filters at a time."""
        found = np.empty(self.count)
        for chunk, part in self._chunks():
            numbers = of_rows(self._numbers(part, chunk))
            if np.shape(numbers) != found[chunk].shape:  # NumPy would spread a single one
                raise ValueError(
                    f"numbers of shape {np.shape(numbers)} for {len(found[chunk])} filters"
                )
            found[chunk] = numbers
        return found

    def _chunks(self) -> Iterator[tuple[slice, Array]]:
        """Go through the filters, a few at a time."""
        if self.axis == 0:
            size = CHUNK_ELEMENTS * self.constants.forms[self.layer].dtype.itemsize
            yield from self.constants.blocks(self.layer, size)
            return
        whole = np.moveaxis(self.constants[self.layer], self.axis, 0)
        step = max(1, CHUNK_ELEMENTS // max(1, self.elements))
        for start in range(0, self.count, step):
            yield slice(start, start + step), whole[start : start + step]


def of_filters(units: Units, of_rows: OfFilters) -> list[LayerValues]:
    """Measure every layer's filters, each by itself.

    Args:
        units: The analysis of the model.
        of_rows: Takes some filters of one layer, (n, elements), which it must not change; returns
            (n,) float64, not negative.

    Returns:
        A number per filter, one entry per axis of a constant that holds filters.
    """
    return [
        LayerValues(filters.layer, filters.units, filters.measure(of_rows))
        for filters in all_filters(units)
    ]


def all_filters(units: Units) -> Iterator[Filters]:
    """Yield the filters of every layer, in the order of the file's constants.

    Quantised filters are taken for the numbers that they stand for. Integers whose scale and zero
    point are not constants beside them are left out.
    """
    quantised = _quantised_constants(units)
    for slot in units.slots:
        ids = slice(slot.offset, slot.offset + slot.size)
        if not units.is_filter[ids].all():
            continue
        form = units.constants.forms[slot.name]
        integers = quantised.get(slot.name)
        if integers is not None or form.dtype.kind not in "iu":
            members = units.slot_units(slot)
            yield Filters(slot.name, members, units.constants, slot.axis, ids, integers)


def constant_numbers(units: Units) -> Callable[[str], Float64Array | None]:
    """Return a function from a constant's name to the numbers that it stands for, in its shape.

    Of integers whose scale and zero point are not constants beside them it gives the integers, and
    of texts None.
    """
    quantised = _quantised_constants(units)

    def numbers(name: str) -> Float64Array | None:
        array = units.constants[name]
        if array.dtype.kind in "bOSU":
            return None
        found = array.astype(np.float64)
        integers = quantised.get(name)
        if integers is not None:
            found = (found - integers.zero_point) * integers.scale
        return np.asarray(found)

    return numbers


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
