"""W: what the filters themselves say."""

from __future__ import annotations

import numpy as np

from wrg_onnx.calibrate.statistics import Float64Array, LayerValues
from wrg_onnx.channels import Units
from wrg_onnx.graph import Array

CHUNK_ELEMENTS = 1 << 22
"""How many weights are looked at in float64 at a time."""


def filter_norms(units: Units) -> tuple[list[LayerValues], list[LayerValues]]:
    """Take the norms of every layer's filters, one per output channel.

    Args:
        units: The analysis of the model.

    Returns:
        The L2 norms and the L1 norms, one entry per axis of a constant that holds filters.
    """
    l2: list[LayerValues] = []
    l1: list[LayerValues] = []
    for slot in units.slots:
        if not units.is_filter[slot.offset : slot.offset + slot.size].all():
            continue
        array = units.constants[slot.name]
        squares, absolutes = _sums(array, slot.axis)
        members = units.slot_units(slot)
        l2.append(LayerValues(slot.name, members, np.sqrt(squares)))
        l1.append(LayerValues(slot.name, members, absolutes))
    return l2, l1


def _sums(array: Array, axis: int) -> tuple[Float64Array, Float64Array]:
    """Sum squares and absolute values over all other axes."""
    filters = np.moveaxis(array, axis, 0)
    squares, absolutes = np.empty(len(filters)), np.empty(len(filters))
    step = max(1, CHUNK_ELEMENTS // max(1, filters[0].size))
    for start in range(0, len(filters), step):
        part = filters[start : start + step].astype(np.float64).reshape(-1, filters[0].size)
        squares[start : start + step] = np.einsum("ij,ij->i", part, part)
        absolutes[start : start + step] = np.abs(part).sum(axis=1)
    return squares, absolutes
