"""One unit of a net: the slices of all constants that go together."""

from __future__ import annotations

import numpy as np

from pictures.frame import MARGIN, WIDTH, Picture, key, rectangle, text
from wrg_onnx.channels import Units

_ROW, _HEAD = 48, 50
_CELL = 18


def draw_unit(units: Units, constant: str) -> Picture:
    """Draw the unit of a constant's first position on its first axis.

    Args:
        units: The analysis of the net.
        constant: The name of a weight, whose filters are on axis 0.
    """
    unit = units.slot_units(units.slots_of[constant][0])[0]
    slots = [slot for slot in units.slots if (units.slot_units(slot) == unit).any()]
    longest = max(slot.size for slot in slots)
    cell = (WIDTH - 2 * MARGIN) / longest
    parts = key(22, [("b", "this unit"), ("a", "its group"), ("rest", "other units")])
    told = []
    for row, slot in enumerate(slots):
        y = _HEAD + row * _ROW
        along = units.slot_units(slot)
        (position,) = np.flatnonzero(along == unit)
        told.append(f"{slot.name}, axis {slot.axis}, position {position} of {slot.size}")
        parts.append(text(MARGIN, y, told[-1]))
        for place, other in enumerate(along):
            same = units.group[other] == units.group[unit]
            tone = "b" if other == unit else "a" if same else "rest"
            parts.append(rectangle(MARGIN + place * cell, y + 7, cell - 1, _CELL, tone))
    return Picture(
        title="One unit of a net",
        says=f"A unit is one slice of each of {len(slots)} constants: {'; '.join(told)}.",
        height=_HEAD + len(slots) * _ROW,
        parts=parts,
    )
