"""Carry a plan out on a copy of the graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels import (
    Axes,
    BoolArray,
    IdArray,
    Quantised,
    alive_ids,
    traits_of,
)
from wrg_onnx.graph import (
    Array,
    Derived,
    Edit,
    Entry,
    Graph,
    PartSessions,
    Weights,
    edited,
    flatten,
    held,
    subgraphs,
)
from wrg_onnx.rewrite.plan import Plan

IN_CACHE_BYTES = 4 << 20
"""How much of a weight is copied and zeroed at a time."""


def apply_plan(graph: Graph, plan: Plan) -> Graph:
    """Slice the constants and re-derive attributes.

    Args:
        graph: The model that the plan was made for, or one with the same names and shapes.
        plan: What to keep.

    Returns:
        The smaller model. Names of nodes, inputs, outputs and constants are those of ``graph``.
    """
    constants = flatten(graph).graph.constants
    sliced = {name: _sliced(constants, name, kept) for name, kept in plan.kept.items()}
    lengths = dict(_declared_lengths(graph, plan))
    edit = Edit(sliced, plan.attributes, plan.operands, copies=plan.copies, lengths=lengths)
    return edited(graph, edit)


def _declared_lengths(graph: Graph, plan: Plan) -> Iterator[tuple[str, list[int | None]]]:
    """Yield what bodies are fed and return that loses positions, with the lengths of those axes."""
    alive = alive_ids(plan.units, plan.alive)
    for part in subgraphs(graph):
        for value in (*part.graph.inputs, *part.graph.outputs) if part.path else ():
            name = part.unique(value.name)
            left = [None if ids is None else alive(ids) for ids in plan.units.axes[name].ids]
            if any(mask is not None and not mask.all() for mask in left):
                yield name, [None if mask is None else int(mask.sum()) for mask in left]


def _sliced(constants: Weights, name: str, kept: Sequence[IdArray | None]) -> Entry:
    """Take the kept positions of every axis; a large weight is sliced when it is asked for."""
    form = constants.forms[name]
    shape = tuple(n if k is None else len(k) for n, k in zip(form.shape, kept, strict=True))
    return held(Derived(shape, form.dtype, lambda: _slice(constants, name, kept)))


def _slice(constants: Weights, name: str, kept: Sequence[IdArray | None]) -> Array:
    """Take the kept positions of every axis, a few rows at a time to bound the memory."""
    form = constants.forms[name]
    rows = np.arange(form.shape[0]) if kept[0] is None else kept[0]
    out = np.empty([n if k is None else len(k) for n, k in zip(form.shape, kept, strict=True)],
                   form.dtype)  # fmt: skip
    for place, block in constants.blocks(name):
        # The kept rows ascend: those of this block are a run of them.
        first, end = np.searchsorted(rows, (place.start, place.stop))
        part = block if kept[0] is None else block[rows[first:end] - place.start]
        for axis, positions in enumerate(kept[1:], start=1):
            if positions is not None:
                part = np.take(part, positions, axis=axis)
        out[first:end] = part
    return out


def mask_consumers(graph: Graph, plan: Plan) -> Graph:
    """Zero what the removed units contribute, and keep every shape.

    A removed channel is only ever read through the weights of a later layer: with their slices at
    zero, whatever it holds has no effect. Where it is summed up over without such a weight (by two
    activations, in a reduction), what makes one of them is zeroed instead.
    The zero of a quantised weight is its zero point.

    Args:
        graph: The original model.
        plan: The plan whose removed units are masked.

    Returns:
        The masked original. Only weights that consume or make a removed unit differ.
    """
    units = plan.units
    constants = flatten(graph).graph.constants
    masks: dict[str, list[tuple[int, BoolArray]]] = {}
    operands: dict[tuple[int, int], Array | None] = dict(_masked_operands(graph, plan))
    silenced = units.is_consumed | units.is_contracted
    for slot in units.slots:
        own = units.slot_units(slot)
        gone = silenced[slot.offset : slot.offset + slot.size] & ~plan.alive[own]
        if not gone.any():
            continue
        if slot.reader is None:
            masks.setdefault(slot.name, []).append((slot.axis, gone))
        else:  # one reader's view of a shared vector is masked by itself
            operands[slot.reader] = _zeroed(constants, slot.name, [(slot.axis, gone)])
    masked = {name: _masked(constants, name, places) for name, places in masks.items()}
    return edited(graph, Edit(masked, operands=operands))


def _masked(constants: Weights, name: str, places: Sequence[tuple[int, BoolArray]]) -> Entry:
    """Zero positions along axes of a constant; of a large one when it is asked for."""
    form = constants.forms[name]
    return held(Derived(form.shape, form.dtype, lambda: _zeroed(constants, name, places)))


def _zeroed(constants: Weights, name: str, places: Sequence[tuple[int, BoolArray]]) -> Array:
    """Copy a constant, a few rows at a time to bound the memory, and zero positions of it."""
    form = constants.forms[name]
    out = np.empty(form.shape, form.dtype)
    stays, dropped = np.ones(form.shape[1:], bool), np.zeros(form.shape[0], bool)
    for axis, gone in places:
        if axis:
            stays[(slice(None),) * (axis - 1) + (gone,)] = False
        else:
            dropped |= gone
    # Of a row, the bits that stay: it is copied and zeroed in one pass.
    bits = np.repeat(np.where(stays.ravel(), 255, 0).astype(np.uint8), form.dtype.itemsize)
    for rows, block in constants.blocks(name, IN_CACHE_BYTES):
        own = out[rows]
        given, made = (
            part.reshape(len(own), stays.size).view(np.uint8)
            for part in (np.ascontiguousarray(block), own)
        )
        np.bitwise_and(given, bits, out=made)
        own[dropped[rows]] = 0
    return out


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
    values = _weights(graph, {n for p in places.values() for n in (p.name, p.zero_point)})
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


def _weights(graph: Graph, names: set[str]) -> dict[str, Array]:
    """Return the values of tensors that depend on constants alone."""
    constants = flatten(graph).graph.constants
    found = {name: constants[name] for name in names if name in constants}
    computed = sorted(names - set(found) - {""})
    if computed:
        found |= PartSessions(graph).open({}, computed, exact=True).run({})
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
