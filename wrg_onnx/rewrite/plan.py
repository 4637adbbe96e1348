"""What to keep of every constant, before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from wrg_onnx.channels import BoolArray, IdArray, Units, alive_ids, meet_demands
from wrg_onnx.channels.table import find_derivation
from wrg_onnx.channels.units import Port
from wrg_onnx.graph import Array, Attribute


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Kept positions per constant axis, and the attributes that count them.

    Attributes:
        units: The analysis that the plan is made for.
        alive: (units,) bool, the units that stay.
        kept: By constant, per axis the kept positions (ascending), None where all are kept.
            Constants that stay whole are not listed.
        attributes: New attributes by node index; None removes one.
        operands: New constant operands by (node index, input position); None leaves one out.
        copies: By (node index, input position), constant operands of a copy of the node that makes
            this input; the copy is for this reader alone.
    """

    units: Units
    alive: BoolArray
    kept: Mapping[str, tuple[IdArray | None, ...]]
    attributes: Mapping[int, Mapping[str, Attribute | None]]
    operands: Mapping[tuple[int, int], Array | None]
    copies: Mapping[Port, Mapping[int, Array]] = field(default_factory=dict)


def plan_slices(units: Units, alive: BoolArray) -> Plan:
    """Turn a selection into kept positions.

    Args:
        units: The analysis.
        alive: (units,) bool.

    Returns:
        The plan. It is pure data; nothing has changed yet.

    Raises:
        ValueError: If a unit that must stay is not alive.
    """
    if not alive[~units.removable].all():
        raise ValueError("a frozen unit is selected for removal")
    kept: dict[str, tuple[IdArray | None, ...]] = {}
    own = _own_vectors(units, alive)
    divided = {units.nodes[index].call.node.inputs[position] for index, position in own}
    for name, slots in units.slots_of.items():
        if name in divided and slots[0].reader is not None:
            continue  # whoever still reads it keeps it whole
        # A slot is one axis of a constant; its positions name units, which are alive or not.
        cut = {slot.axis: alive[units.slot_units(slot)] for slot in slots}
        if all(mask.all() for mask in cut.values()):
            continue
        kept[name] = tuple(
            None if axis not in cut or cut[axis].all() else np.flatnonzero(cut[axis])
            for axis in range(units.axes[name].rank)
        )
    # What counts channels is derived anew by each operator's rule, from the ids that are left.
    look = alive_ids(units, alive)
    attributes: dict[int, Mapping[str, Attribute | None]] = {}
    sizes, copies = meet_demands(units, look)
    operands: dict[tuple[int, int], Array | None] = {**own, **sizes}
    for index, analysed in units.nodes.items():
        derive = find_derivation(analysed.call.node)
        if derive is None or not analysed.has_shapes:
            continue
        derived = derive(analysed.call, analysed.outputs, look)
        if derived.attributes:
            attributes[index] = derived.attributes
        for position, array in derived.operands.items():
            operands[index, position] = array
    return Plan(units, alive, kept, attributes, operands, copies)


def _own_vectors(units: Units, alive: BoolArray) -> dict[Port, Array]:
    """Give the readers of a shared vector their own where they do not keep the same positions.

    Whoever has no ids of his own reads it under its name, sliced if need be, as do those that keep
    the same positions. Without such a reader it stays whole for those that keep it whole; the
    others get theirs, since its name cannot stand for different positions.
    """
    own: dict[Port, Array] = {}
    for name, slots in units.shared.items():
        masks = [alive[units.slot_units(slot)] for slot in slots]
        if all(np.array_equal(mask, masks[0]) for mask in masks):
            continue
        # The first slot is that of the readers without ids of their own, if there are any.
        named = masks[0] if slots[0].reader is None else np.ones(slots[0].size, bool)
        vector = units.constants[name]
        for slot, mask in zip(slots, masks, strict=True):
            if slot.reader is not None and not np.array_equal(mask, named):
                own[slot.reader] = np.compress(mask, vector, axis=slot.axis)
    return own
