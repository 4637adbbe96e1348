"""What a model's layer widths hold: rows of the reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from wrg_onnx.channels import BoolArray, CostTerm, IdArray, Slot, Units
from wrg_onnx.report.records import GroupReport


@dataclass(frozen=True, slots=True, eq=False)
class Width:
    """A layer width: a group of units.

    Attributes:
        group: Its number.
        name: The first weight that makes it, or else the first constant whose axis it is.
        members: (n,) int64, its units.
        slots: The axes of constants that have some of them, in the order of the file.
        is_made: Whether a weight makes them; those of the model's inputs are only read.
    """

    group: int
    name: str
    members: IdArray
    slots: tuple[Slot, ...]
    is_made: bool

    @property
    def title(self) -> str:
        """The name beside others: the weight may make a width of its own, too."""
        return self.name if self.is_made else f"what {self.name} reads"


def find_widths(units: Units) -> tuple[Width, ...]:
    """List all groups of units that constants have, in the order of the file's constants."""
    order = np.argsort(units.group, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(units.group))[:-1])
    slots: dict[int, list[Slot]] = {}
    makers: dict[int, str] = {}
    for slot in units.slots:
        for group in np.unique(units.group[units.slot_units(slot)]):
            slots.setdefault(int(group), []).append(slot)
            if units.is_filter[slot.offset]:
                makers.setdefault(int(group), slot.name)
    return tuple(
        Width(
            group,
            makers.get(group, slots[group][0].name),
            members[group],
            tuple(slots[group]),
            group in makers,
        )
        for group in sorted(slots, key=lambda g: int(members[g][0]))
    )


def widths_in_order(units: Units) -> tuple[Width, ...]:
    """List the widths of channels in the order in which the model computes with them.

    Groups of other positions, such as the rows of a kernel, are not among them.
    """
    last = len(units.flat.graph.nodes)
    readers = units.flat.graph.consumers

    def place(width: Width) -> tuple[int, bool]:
        makers = [slot.name for slot in width.slots if units.is_filter[slot.offset]]
        names = makers or [slot.name for slot in width.slots]
        first = min((node.index for name in names for node in readers.get(name, ())), default=last)
        return first, bool(makers)  # what a weight reads comes before what it makes

    return tuple(sorted(filter(partial(_has_channels, units), find_widths(units)), key=place))


def _has_channels(units: Units, width: Width) -> bool:
    reasons = units.reason[width.members]
    # Positions that are no channels stay for a reason without words.
    return any(reason < 0 or units.reasons[reason].text for reason in np.unique(reasons))


def group_reports(
    units: Units, parameters: Sequence[CostTerm], alive: BoolArray
) -> tuple[GroupReport, ...]:
    """List the layer widths that may shrink, in the order of the file's constants.

    Args:
        units: What can be removed.
        parameters: The terms of the parameter count.
        alive: (units,) bool, those that are left.
    """
    held = parameters_per_unit(units, parameters)
    return tuple(
        GroupReport(
            name=width.name,
            units=len(width.members),
            kept=int(alive[width.members].sum()),
            removable=int(units.removable[width.members].sum()),
            parameters=round(held[width.members[0]]),
            members=len(width.slots),
        )
        for width in find_widths(units)
        if units.removable[width.members].any()
    )


def parameters_per_unit(units: Units, parameters: Sequence[CostTerm]) -> np.ndarray:
    """Count the parameters in the rows and columns of each unit; overlaps count for each."""
    held = np.zeros(units.count)
    for term in parameters:
        lengths = [len(axis) for axis in term.axes]
        size = term.weight * float(np.prod(lengths))
        for axis, length in zip(term.axes, lengths, strict=True):
            np.add.at(held, axis, size / length)
    return held
