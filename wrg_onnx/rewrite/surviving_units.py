"""Which units of the original are left after several cuts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from wrg_onnx.channels import BoolArray, IdArray, Units

Slices: TypeAlias = Mapping[str, tuple[IdArray | None, ...]]

UNKNOWN = -1
"""Stands for the unit of the original where a unit of a later round has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Survivors:
    """The units of the original so far, seen from the model of one round.

    Attributes:
        alive: (units of the original,) bool, those of which anything is left.
        origin: (units of this round's model,) int64, the unit of the original that each comes from,
            or ``UNKNOWN``.
    """

    alive: BoolArray
    origin: IdArray

    @classmethod
    def all_of(cls, units: Units) -> Survivors:
        """Return those of the original, before any cut."""
        return cls(np.ones(units.count, bool), np.arange(units.count))

    def after(self, alive: BoolArray) -> Survivors:
        """Return what a cut leaves; ``alive`` is (units of this round's model,) bool."""
        known = self.origin != UNKNOWN
        left = self.alive.copy()
        left[self.origin[known & ~alive]] = False
        # A later analysis may part what was one unit: it is left while any part of it is.
        left[self.origin[known & alive]] = True
        return Survivors(left, self.origin)

    def seen_from(self, units: Units, before: Units, slices: Slices) -> Survivors:
        """Return the same, seen from the model of the next round.

        Args:
            units: The analysis of what this round's cut left. Constants keep their names and the
                order of their positions; those that edits add have no unit of the original.
            before: The analysis of this round's model.
            slices: The kept positions per axis of each sliced constant, as the plan has them.
        """
        origin = np.full(units.count, UNKNOWN)
        for name, slots in units.slots_of.items():
            if name in before.shared:  # its name may stand for other positions now
                continue
            old = {slot.axis: slot for slot in before.slots_of.get(name, ())}
            for slot in slots:
                if slot.axis not in old:
                    continue
                found = before.slot_units(old[slot.axis])
                kept = slices[name][slot.axis] if name in slices else None
                origin[units.slot_units(slot)] = self.origin[found if kept is None else found[kept]]
        return Survivors(self.alive, origin)
