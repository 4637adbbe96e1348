"""Carry a plan out on a copy of the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels import (
    Axes,
    BoolArray,
    IdArray,
    Quantised,
    alive_ids,
    random_feeds,
    traits_of,
)
from wrg_onnx.graph import Array, Edit, Graph, edited, flatten, open_session
from wrg_onnx.rewrite.plan import Plan

CHUNK_BYTES = 16 * 2**20
"""How much of a weight is copied at a time on the way to its slice."""


def apply_plan(graph: Graph, plan: Plan) -> Graph:
    """Slice the constants and re-derive attributes.

    Args:
        graph: The model that the plan was made for, or one with the same names and shapes.
        plan: What to keep.

    Returns:
        The smaller model. Names of nodes, inputs, outputs and constants are those of ``graph``.
    """
    constants = flatten(graph).graph.constants
    sliced = {name: _sliced(constants[name], kept) for name, kept in plan.kept.items()}
    return edited(graph, Edit(sliced, plan.attributes, plan.operands, copies=plan.copies))


def _sliced(array: Array, kept: Sequence[IdArray | None]) -> Array:
    """Take the kept positions of every axis, a few rows at a time to bound the memory."""
    lengths = [n if k is None else len(k) for n, k in zip(array.shape, kept, strict=True)]
    rows = np.arange(len(array)) if kept[0] is None else kept[0]
    out = np.empty(lengths, array.dtype)
    # As many rows as fill a chunk: a row has nbytes / len(array) bytes.
    step = max(1, CHUNK_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(rows), step):
        part = array[rows[start : start + step]]
        for axis, positions in enumerate(kept[1:], start=1):
            if positions is not None:
                part = np.take(part, positions, axis=axis)
        out[start : start + step] = part
    out.setflags(write=False)
    return out


def mask_consumers(graph: Graph, plan: Plan) -> Graph:
    """Zero what the removed units contribute, and keep every shape.

    A removed channel is only ever read through the weights of a later layer: with their slices at
    zero, whatever it holds has no effect. Where two activations are summed up over it (head dims,
    on request), nothing consumes it, and what makes it is zeroed instead.
    The zero of a quantised weight is its zero point.

    Args:
        graph: The original model.
        plan: The plan whose removed units are masked.

    Returns:
        The masked original. Only weights that consume or make a removed unit differ.
    """
    units = plan.units
    masked: dict[str, Array] = {}
    constants = flatten(graph).graph.constants
    operands: dict[tuple[int, int], Array | None] = dict(_masked_operands(graph, plan))
    # Per unit: whether two activations are summed up over it.
    contracted = np.zeros(units.count, bool)
    contracted[units.labels[units.is_contracted]] = True
    for slot in units.slots:
        own = units.slot_units(slot)
        consumed = units.is_consumed[slot.offset : slot.offset + slot.size]
        gone = (consumed | contracted[own]) & ~plan.alive[own]
        if not gone.any():
            continue
        # One reader's view of a shared vector is masked by itself; a constant with several axes to
        # mask is copied once and masked axis by axis.
        array = constants[slot.name].copy() if slot.reader else masked.get(slot.name)
        if array is None:
            array = masked[slot.name] = constants[slot.name].copy()
        array[(slice(None),) * slot.axis + (gone,)] = 0
        if slot.reader is not None:
            operands[slot.reader] = array
    return edited(graph, Edit(masked, operands=operands))


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A weight that a node is to get masked, because zeros in the file do not do."""

    name: str
    gone: list[tuple[int, BoolArray]]
    zero_point: str
    quantised: Quantised | None


def _masked_operands(graph: Graph, plan: Plan) -> dict[tuple[int, int], Array]:
    """Mask the slices of weights that the graph computes, or whose zero is another number."""
    places: dict[tuple[int, int], _Place] = {}
    for index, analysed in plan.units.nodes.items():
        present = [operand for operand in analysed.call.inputs if operand is not None]
        # A node of weights alone makes another weight, which is masked where it is read.
        is_computed = all(operand.is_weight for operand in present) and not analysed.quantised
        if is_computed or traits_of(analysed.call.node).runs_bodies:
            continue
        for position, operand in enumerate(analysed.call.inputs):
            if operand is None or not operand.is_weight:
                continue
            gone = _gone(plan, operand.axes)
            quantised = analysed.quantised_at(position)
            zero_point = "" if quantised is None else analysed.call.node.input(quantised.zero_point)
            if gone and (zero_point or operand.name not in plan.units.plain):
                places[index, position] = _Place(operand.name, gone, zero_point, quantised)
    values = _weights(graph, plan, {n for p in places.values() for n in (p.name, p.zero_point)})
    masked = {}
    for key, place in places.items():
        array = values[place.name].copy()
        zero = np.zeros((), array.dtype)
        if place.quantised is not None and place.zero_point:
            zero = place.quantised.spread(values[place.zero_point], array.shape)
        zeros = np.broadcast_to(zero, array.shape)
        for axis, positions in place.gone:
            where = (slice(None),) * axis + (positions,)
            array[where] = zeros[where]
        masked[key] = array
    return masked


def _weights(graph: Graph, plan: Plan, names: set[str]) -> dict[str, Array]:
    """Return the values of tensors that depend on constants alone."""
    constants = flatten(graph).graph.constants
    found = {name: constants[name] for name in names if name in constants}
    computed = sorted(names - set(found) - {""})
    if computed:
        shapes = {value.name: plan.units.axes[value.name].shape for value in graph.inputs}
        feeds = random_feeds(graph, shapes, np.random.default_rng(0))
        found |= open_session(graph, outputs=computed, exact=True).run(feeds)
    return found


def _gone(plan: Plan, axes: Axes) -> list[tuple[int, BoolArray]]:
    """Return the consumed positions of removed units, by axis."""
    alive, found = alive_ids(plan.units, plan.alive), []
    for axis, ids in enumerate(axes.ids):
        if ids is not None:
            gone = plan.units.is_consumed[np.maximum(ids, 0)] & ~alive(ids)
            if gone.any():
                found.append((axis, gone))
    return found
