"""What a model's layer widths hold: rows of the reports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wrg_onnx.channels import BoolArray, CostTerm, Units
from wrg_onnx.report.records import GroupReport


def group_reports(
    units: Units, parameters: Sequence[CostTerm], alive: BoolArray
) -> tuple[GroupReport, ...]:
    """List the layer widths that may shrink, in the order of the file's constants.

    Args:
        units: What can be removed.
        parameters: The terms of the parameter count.
        alive: (units,) bool, those that are left.
    """
    held = _parameters_per_unit(units, parameters)
    first = {int(g): int(u) for u, g in reversed(list(enumerate(units.group)))}
    slots: dict[int, list[str]] = {}
    makers: dict[int, str] = {}
    for slot in units.slots:
        for group in np.unique(units.group[units.slot_units(slot)]):
            slots.setdefault(int(group), []).append(slot.name)
            if units.is_filter[slot.offset]:
                makers.setdefault(int(group), slot.name)
    sizes = np.bincount(units.group)
    kept = np.bincount(units.group, weights=alive)
    free = np.bincount(units.group, weights=units.removable)
    return tuple(
        GroupReport(
            name=makers.get(group, slots[group][0]),
            units=int(sizes[group]),
            kept=int(kept[group]),
            removable=int(free[group]),
            parameters=round(held[first[group]]),
            members=len(slots[group]),
        )
        for group in sorted(slots, key=lambda g: first[g])
        if free[group]
    )


def _parameters_per_unit(units: Units, parameters: Sequence[CostTerm]) -> np.ndarray:
    """Count the parameters in the rows and columns of each unit; overlaps count for each."""
    held = np.zeros(units.count)
    for term in parameters:
        lengths = [len(axis) for axis in term.axes]
        size = term.weight * float(np.prod(lengths))
        for axis, length in zip(term.axes, lengths, strict=True):
            np.add.at(held, axis, size / length)
    return held
