"""From ties to units: connected components, groups, and what may not be emptied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from wrg_onnx.channels.axes import WHOLE_GROUPS, Axes
from wrg_onnx.channels.carrying_axis import DivisionTrial, choose_carriers, in_doubt, most_removable
from wrg_onnx.channels.constants import Constants, number_constants
from wrg_onnx.channels.demands import unmet_demands
from wrg_onnx.channels.group_choice import choose_groups, grouped_convolutions
from wrg_onnx.channels.ids import INERT, BoolArray, IdArray
from wrg_onnx.channels.ledger import Ledger
from wrg_onnx.channels.limits import Limits, apply_limits
from wrg_onnx.channels.propagate import RETURNED, Premises, propagate
from wrg_onnx.channels.reasons import Reason
from wrg_onnx.channels.units import Analysed, Slot, Units, is_parameter
from wrg_onnx.graph import Flat, Graph, Shape, flatten
from wrg_onnx.progress import Counter, Progress, silent


def find_units(
    graph: Graph,
    shapes: Mapping[str, Shape],
    limits: Limits | None = None,
    *,
    elsewhere: Mapping[str, Shape] | None = None,
    progress: Progress = silent,
) -> Units:
    """Analyse a graph.

    Args:
        graph: The model.
        shapes: A concrete shape by tensor name, as ``infer_shapes`` gives.
        limits: What to leave alone.
        elsewhere: The shapes at other sizes of the inputs that leave them open. An axis that
            differs there carries no channels. None where the model allows one size only.
        progress: Told how many nodes were asked; what their answers leave open asks all again, so
            that there are more to ask then.

    Returns:
        The units. Those that an operator, the interface or the user holds have a reason.
    """
    flat = flatten(graph)
    if elsewhere:
        # Of a tensor in a body nobody saw the shape; one that is not known twice may vary.
        shapes = {n: s for n, s in shapes.items() if n in elsewhere or n not in flat.inside}
    constants = number_constants(flat.graph)
    model = _Model(flat, shapes, elsewhere or {}, limits or Limits(), constants,
                   Counter(progress, "analyse"))  # fmt: skip
    found = _run_pass(model, {})
    units = _solve(model, found)
    groups = _choose_groups(model, units)
    if groups:
        found = _run_pass(model, groups)
        units = _solve(model, found)
    if not in_doubt(units):
        units = _settle(model, found, units)
        if not in_doubt(units):
            return units
    parts = choose_carriers(_try_parts(model, groups), finest=model.limits.head_dims)
    other = _run_pass(model, {**groups, **parts})
    chosen = _settle(model, other, _solve(model, other))
    # What is not settled yet can only lose: the first reading needs no more work if it is behind.
    if most_removable(chosen) >= most_removable(units):
        return chosen
    units = _settle(model, found, units)
    return chosen if most_removable(chosen) >= most_removable(units) else units


def _choose_groups(model: _Model, positions: Units) -> Carriers:
    """Choose which grouped convolutions lose whole groups; ``positions``: none of them does."""
    nodes = grouped_convolutions(positions)
    if not nodes:
        return {}
    every = _run_pass(model, dict.fromkeys(nodes, (WHOLE_GROUPS,)))
    return choose_groups(positions, _solve(model, every))


Carriers: TypeAlias = Mapping[int, tuple[int, ...]]
"""By node index, the output axes that carry the units of a divided axis, or ``WHOLE_GROUPS``."""


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """What every pass starts from."""

    flat: Flat
    shapes: Mapping[str, Shape]
    elsewhere: Mapping[str, Shape]
    limits: Limits
    constants: Constants
    counter: Counter


@dataclass(frozen=True, slots=True, eq=False)
class _Pass:
    """What a pass over the nodes found."""

    axes: Mapping[str, Axes]
    nodes: Mapping[int, Analysed]
    ledger: Ledger


def _run_pass(model: _Model, carriers: Carriers, *, is_trial: bool = False) -> _Pass:
    """Ask every rule once, and add what the interface and the user hold.

    A trial gives every part of a division ids of its own.
    """
    premises = Premises(
        model.shapes,
        model.elsewhere,
        model.constants.copies,
        carriers,
        is_trial=is_trial,
        head_dims=model.limits.head_dims,
        through_norms=model.limits.through_norms,
    )
    axes = dict(model.constants.axes)
    ledger = Ledger(np.zeros(sum(slot.size for slot in model.constants.slots) + 1, bool))
    model.counter.total += len(model.flat.graph.nodes)
    nodes = propagate(model.flat, axes, ledger, premises, told=model.counter.add)
    for value in model.flat.graph.outputs:
        if value.name in axes:
            ledger.freeze(axes[value.name].flat(), f"output '{value.name}'", RETURNED)
    apply_limits(model.flat.graph, model.constants.slots, model.limits, ledger)
    return _Pass(axes, nodes, ledger)


def _settle(model: _Model, found: _Pass, units: Units) -> Units:
    """Freeze what cannot be met or would be emptied."""
    while unmet := unmet_demands(units):
        for ids, node, text in unmet:
            found.ledger.freeze(ids, node, text)
        units = _solve(model, found)
    lonely = list(_may_be_emptied(units))
    for ids, node in lonely:
        found.ledger.freeze(ids, node, "would be left without any channel")
    return _solve(model, found) if lonely else units


def _try_parts(model: _Model, groups: Carriers) -> DivisionTrial:
    """Give every part of every division ids of its own, and see what becomes of them."""
    found = _run_pass(model, groups, is_trial=True)
    labels, reason = _components(found.ledger)
    weight = np.zeros(found.ledger.total)
    for slot in model.constants.slots:
        array = model.flat.graph.constants.forms[slot.name]
        if is_parameter(array):
            weight[slot.offset : slot.offset + slot.size] = array.size / slot.size
    divisions = {i: node.divisions for i, node in found.nodes.items() if node.divisions}
    return DivisionTrial(divisions, labels, reason >= 0, weight)


def _may_be_emptied(units: Units) -> Iterator[tuple[IdArray, str]]:
    """Find axes that could lose all their positions although each group keeps a unit.

    A Split takes a part of a group, say; ONNX Runtime refuses most operators on no channels. One
    position of each such axis is to stay, whichever comes first.
    """
    removable = units.removable.copy()
    size = np.bincount(units.group, minlength=1)
    seen: dict[int, IdArray] = {}
    for analysed in units.nodes.values():
        for ids in (i for axes in analysed.outputs for i in axes.ids):
            if ids is None or id(ids) in seen or not ids.size:
                continue
            seen[id(ids)] = ids
            members = units.of(ids)
            if members.min() == INERT or not removable[members].all():
                continue
            groups, count = np.unique(units.group[np.unique(members)], return_counts=True)
            if (count < size[groups]).all():
                removable[units.of(ids[:1])] = False
                yield ids[:1], str(analysed.call.node)


def _components(ledger: Ledger) -> tuple[IdArray, IdArray]:
    """Return the unit of each id, and per unit the first reason to freeze it, or -1."""
    total = ledger.total
    left = np.concatenate([*ledger.left, np.empty(0, np.int64)])
    right = np.concatenate([*ledger.right, np.empty(0, np.int64)])
    # In the form that scipy works on: it would convert any other.
    edges = csr_array((np.ones(len(left)), (left, right)), shape=(total, total))
    count, components = connected_components(edges, directed=False)
    labels = np.asarray(components, np.int64)
    never = len(ledger.reasons)
    reason = np.full(count, never, np.int64)
    for ids, number in ledger.frozen:
        np.minimum.at(reason, labels[ids], number)
    reason[reason == never] = -1
    return labels, reason


def _solve(model: _Model, found: _Pass) -> Units:
    labels, reason = _components(found.ledger)
    total = found.ledger.total
    bare = _without_constants(model, labels)
    reason[bare] = found.ledger.number(Reason("", ""))
    freezes = tuple(found.ledger.frozen)
    if bare.size:  # there is nothing to tell of them
        freezes = tuple((ids[~np.isin(labels[ids], bare)], number) for ids, number in freezes)
    return Units(
        graph=model.flat.model,
        flat=model.flat,
        slots=model.constants.slots,
        labels=labels,
        reason=reason,
        reasons=tuple(found.ledger.reasons),
        freezes=freezes,
        group=_groups(model.constants.slots, labels, len(reason)),
        is_filter=_marked(found.ledger.filters, total),
        is_consumed=_marked(found.ledger.consumed, total),
        is_contracted=_marked(found.ledger.contracted, total),
        axes=found.axes,
        nodes=found.nodes,
        pinned=frozenset(found.ledger.pinned),
        plain=frozenset(found.ledger.plain),
    )


def _without_constants(model: _Model, labels: IdArray) -> IdArray:
    """Return the units that hold no position of a constant: axes that nodes make from numbers."""
    held = sum(slot.size for slot in model.constants.slots)
    return np.setdiff1d(labels[held:], labels[:held])


def _marked(parts: Sequence[IdArray], total: int) -> BoolArray:
    mask = np.zeros(total, bool)
    for ids in parts:
        mask[ids[ids != INERT]] = True
    return mask


def _groups(slots: Sequence[Slot], labels: IdArray, count: int) -> IdArray:
    """Number the sets of units that have equally many positions in each slot.

    The count vector of a unit over all slots is too long to compare; a random 64-bit weight per
    slot, summed over the unit's positions, tells them apart as well.
    """
    weights = np.random.default_rng(0).integers(1, 2**63, len(slots), dtype=np.uint64)
    per_id = np.repeat(weights, [slot.size for slot in slots])
    keys = np.zeros(count, np.uint64)
    np.add.at(keys, labels[: len(per_id)], per_id)
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))  # number the groups by their first unit
    return np.asarray(order[group], np.int64)
