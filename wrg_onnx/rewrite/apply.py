"""Carry a plan out on a copy of the graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wrg_onnx.channels import IdArray
from wrg_onnx.graph import Array, Edit, Graph, edited
from wrg_onnx.rewrite.plan import Plan


def apply_plan(graph: Graph, plan: Plan) -> Graph:
    """Slice the constants and re-derive attributes.

    Args:
        graph: The model that the plan was made for, or one with the same names and shapes.
        plan: What to keep.

    Returns:
        The smaller model. Names of nodes, inputs, outputs and constants are those of ``graph``.
    """
    sliced = {name: _sliced(graph.constants[name], kept) for name, kept in plan.kept.items()}
    return edited(graph, Edit(sliced, plan.attributes, plan.operands))


def _sliced(array: Array, kept: Sequence[IdArray | None]) -> Array:
    for axis, positions in enumerate(kept):
        if positions is not None:
            array = np.take(array, positions, axis=axis)
    array.setflags(write=False)
    return array


def mask_consumers(graph: Graph, plan: Plan) -> Graph:
    """Zero what the removed units contribute, and keep every shape.

    A removed channel is only ever read through the weights of a later layer: with their slices at
    zero, whatever it holds has no effect.

    Args:
        graph: The original model.
        plan: The plan whose removed units are masked.

    Returns:
        The masked original. Only weights that consume a removed unit differ.
    """
    units = plan.units
    masked: dict[str, Array] = {}
    for name, slots in units.slots_of.items():
        for slot in slots:
            consumed = units.is_consumed[slot.offset : slot.offset + slot.size]
            gone = consumed & ~plan.alive[units.slot_units(slot)]
            if not gone.any():
                continue
            if name not in masked:
                masked[name] = graph.constants[name].copy()
            masked[name][(slice(None),) * slot.axis + (gone,)] = 0
    return edited(graph, Edit(masked))
