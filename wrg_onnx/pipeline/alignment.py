"""Which steps the layers of a model are kept in, and what it costs to have none."""

from __future__ import annotations

import numpy as np

from wrg_onnx.channels import BoolArray, IdArray, Units
from wrg_onnx.choices import BudgetKind
from wrg_onnx.latency import ChannelSteps
from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.select import Axis, Measured

WORTH_A_NOTE = 0.05
"""From which share of the multiplications on it is told what rounding costs."""


def group_steps(units: Units, steps: ChannelSteps) -> IdArray:
    """Return in which multiples each group is kept, (groups,) int64, in units.

    What a user asks for holds of every layer, and one that is narrower stays whole. On a machine a
    layer narrower than a block is kept in counts that are still fast, one that is narrower than
    that in any. A unit may be several channels in a row, such as an attention head.

    Args:
        units: The analysis.
        steps: How the machine counts channels.
    """
    groups = int(units.group.max(initial=-1)) + 1
    total = np.bincount(units.group, minlength=groups)
    channels = _channels_in_a_row(units, groups)
    wide = total * channels
    found = np.ones(groups, np.int64)
    for step in (steps.fine, steps.block):
        fits = wide >= (step if steps.fine < steps.block else 0)
        found[fits] = step // np.gcd(step, channels[fits])
    return found


def _channels_in_a_row(units: Units, groups: int) -> IdArray:
    """Return by group how many neighbours on an axis belong to one unit, (groups,) int64."""
    found = np.ones(groups, np.int64)
    seen: set[int] = set()
    for slot in units.slots:
        owned = units.slot_units(slot)
        group = int(units.group[owned[0]]) if len(owned) else -1
        if group < 0 or group in seen:
            continue
        seen.add(group)
        changes = int((owned[1:] != owned[:-1]).sum()) + 1
        found[group] = max(1, len(owned) // changes)
    return found


def layers_off(units: Units, alive: BoolArray, step: int) -> int:
    """Count the layers that lose channels, and keep another number than a multiple.

    Args:
        units: The analysis.
        alive: (units,) bool, those that stay.
        step: Of what the number was to be a multiple.
    """
    made: dict[str, int] = {}
    for slot in units.slots:
        if slot.size and units.is_filter[slot.offset]:
            left = int(alive[units.slot_units(slot)].sum())
            made[slot.name] = left if left < slot.size else 0
    return sum(left % step > 0 for left in made.values())


def rounding_note(model: Model, alive: BoolArray, steps: ChannelSteps) -> str | None:
    """Say what it costs that kernels round numbers of channels up; None where that is little.

    Args:
        model: The analysed original.
        alive: (units,) bool, what is left of it.
        steps: How the machine counts channels.
    """
    rounded = Measured.from_terms(
        [
            (term.weight, [Axis(axis, steps.inside(len(axis))) for axis in term.axes])
            for term in model.macs
        ]
    )
    counted, done = (
        [budget.cost(each) for each in (model.everything, alive)]
        for budget in (model.budget(BudgetKind.MACS), rounded)
    )
    if not counted[1] or not done[0]:
        return None
    more = (done[1] / counted[1]) / (done[0] / counted[0]) - 1
    if more < WORTH_A_NOTE:
        return None
    return (
        f"kernels here take channels {steps.block} at a time, and what is left of layers does not "
        f"divide by that: they do {more:.0%} more multiplications than are counted, and slower "
        f"ones where a count is no multiple of {steps.fine}; --align auto keeps counts that divide"
    )
