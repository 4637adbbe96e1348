"""W: what the filters themselves say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wrg_onnx.calibrate.statistics import Float64Array, LayerValues
from wrg_onnx.channels import Units
from wrg_onnx.graph import Array

CHUNK_ELEMENTS = 1 << 18
"""How many weights are looked at at a time: few enough to stay in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class _Integers:
    """What the elements of a quantised constant stand for; both broadcast to its shape."""

    zero_point: Array
    scale: Array


def filter_norms(units: Units) -> tuple[list[LayerValues], list[LayerValues]]:
    """Take the norms of every layer's filters, one per output channel.

    Quantised filters are taken for the numbers that they stand for. Integers whose scale and zero
    point are not constants beside them are left out.

    Args:
        units: The analysis of the model.

    Returns:
        The L2 norms and the L1 norms, one entry per axis of a constant that holds filters.
    """
    quantised = _quantised_constants(units)
    l2: list[LayerValues] = []
    l1: list[LayerValues] = []
    for slot in units.slots:
        if not units.is_filter[slot.offset : slot.offset + slot.size].all():
            continue
        array = units.constants[slot.name]
        integers = quantised.get(slot.name)
        if integers is None and array.dtype.kind in "iu":
            continue
        squares, absolutes = _sums(array, slot.axis, integers)
        members = units.slot_units(slot)
        l2.append(LayerValues(slot.name, members, np.sqrt(squares)))
        l1.append(LayerValues(slot.name, members, absolutes))
    return l2, l1


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


def _sums(array: Array, axis: int, integers: _Integers | None) -> tuple[Float64Array, Float64Array]:
    """Sum squares and absolute values over all other axes."""
    filters = np.moveaxis(array, axis, 0)
    squares, absolutes = np.empty(len(filters)), np.empty(len(filters))
    step = max(1, CHUNK_ELEMENTS // max(1, filters[0].size))
    for start in range(0, len(filters), step):
        chunk = slice(start, start + step)
        part = filters[chunk]
        if part.dtype != np.float32:
            part = part.astype(np.float64)
        if integers is not None:
            part -= np.moveaxis(integers.zero_point, axis, 0)[chunk]
            part *= np.moveaxis(integers.scale, axis, 0)[chunk]
        part = np.abs(part.reshape(-1, filters[0].size))
        absolutes[chunk] = part.sum(axis=1, dtype=np.float64)
        squares[chunk] = np.square(part, out=part).sum(axis=1, dtype=np.float64)
    return squares, absolutes
