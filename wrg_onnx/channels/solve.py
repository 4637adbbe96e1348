"""From ties to units: connected components, groups, and what may not be emptied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wrg_onnx.channels.axes import Axes
from wrg_onnx.channels.demands import unmet_demands
from wrg_onnx.channels.ids import INERT, BoolArray, IdArray
from wrg_onnx.channels.ledger import Ledger
from wrg_onnx.channels.limits import Limits, apply_limits
from wrg_onnx.channels.propagate import RETURNED, constant_axes, propagate
from wrg_onnx.channels.units import Analysed, Slot, Units
from wrg_onnx.graph import Flat, Graph, Shape, flatten


def find_units(
    graph: Graph,
    shapes: Mapping[str, Shape],
    limits: Limits | None = None,
    *,
    elsewhere: Mapping[str, Shape] | None = None,
) -> Units:
    """Analyse a graph.

    Args:
        graph: The model.
        shapes: A concrete shape by tensor name, as ``infer_shapes`` gives.
        limits: What to leave alone.
        elsewhere: The shapes at other sizes of the inputs that leave them open. An axis that
            differs there carries no channels. None where the model allows one size only.

    Returns:
        The units. Those that an operator, the interface or the user holds have a reason.
    """
    flat = flatten(graph)
    if elsewhere:
        # Of a tensor in a body nobody saw the shape; one that is not known twice may vary.
        shapes = {n: s for n, s in shapes.items() if n in elsewhere or n not in flat.inside}
    slots, axes = constant_axes(flat.graph)
    total = sum(slot.size for slot in slots)
    ledger = Ledger(np.zeros(total + 1, bool))
    nodes = propagate(flat, shapes, axes, ledger, elsewhere or {})
    for value in graph.outputs:
        if value.name in axes:
            ledger.freeze(axes[value.name].flat(), f"output '{value.name}'", RETURNED)
    apply_limits(flat.graph, slots, limits or Limits(), ledger)
    while True:
        units = _solve(flat, slots, total, axes, nodes, ledger)
        unmet = unmet_demands(units)
        if not unmet:
            break
        for ids, node, text in unmet:
            ledger.freeze(ids, node, text)
    lonely = list(_may_be_emptied(units))
    for ids, node in lonely:
        ledger.freeze(ids, node, "would be left without any channel")
    return _solve(flat, slots, total, axes, nodes, ledger) if lonely else units


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
            members = np.unique(units.of(ids))
            if members[0] == INERT or not removable[members].all():
                continue
            groups, count = np.unique(units.group[members], return_counts=True)
            if (count < size[groups]).all():
                removable[units.of(ids[:1])] = False
                yield ids[:1], str(analysed.call.node)


def _solve(
    flat: Flat,
    slots: tuple[Slot, ...],
    total: int,
    axes: Mapping[str, Axes],
    nodes: Mapping[int, Analysed],
    ledger: Ledger,
) -> Units:
    left = np.concatenate([*ledger.left, np.empty(0, np.int64)])
    right = np.concatenate([*ledger.right, np.empty(0, np.int64)])
    edges = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(total, total))
    count, components = connected_components(edges, directed=False)
    labels = np.asarray(components, np.int64)
    never = len(ledger.reasons)
    reason = np.full(count, never, np.int64)
    for ids, number in ledger.frozen:
        np.minimum.at(reason, labels[ids], number)
    reason[reason == never] = -1
    return Units(
        graph=flat.model,
        flat=flat,
        slots=slots,
        labels=labels,
        reason=reason,
        reasons=tuple(ledger.reasons),
        group=_groups(slots, labels, count),
        is_filter=_marked(ledger.filters, total),
        is_consumed=_marked(ledger.consumed, total),
        axes=axes,
        nodes=nodes,
        pinned=frozenset(ledger.pinned),
        plain=frozenset(ledger.plain),
    )


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
    np.add.at(keys, labels, per_id)
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))  # number the groups by their first unit
    return np.asarray(order[group], np.int64)
