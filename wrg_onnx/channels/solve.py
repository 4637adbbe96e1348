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
from wrg_onnx.graph import Graph, Shape

MOST_TURNED_DOWN = 2
"""How many other ways to divide an axis are tried: 3 x heads x head dim has two."""


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
    turned_down: dict[int, int] = {}
    units = _analyse(graph, shapes, limits or Limits(), elsewhere or {}, turned_down)
    for attempt in range(1, MOST_TURNED_DOWN + 1):
        stuck = _stuck_choices(units, attempt)
        if not stuck:
            continue
        others = turned_down | dict.fromkeys(stuck, attempt)
        again = _analyse(graph, shapes, limits or Limits(), elsewhere or {}, others)
        if _removable_positions(again) > _removable_positions(units):
            units, turned_down = again, others
    return units


def _stuck_choices(units: Units, attempt: int) -> tuple[int, ...]:
    """Find the nodes that divided an axis so that all of it stays, and those that divided alike.

    Only those whose axis has more factors than ``attempt`` ones are of interest.

    Where the positions inside each group of channels are normalised together, say, the groups may
    go; this is seen only once the whole graph has been asked. Queries and keys that cannot lose a
    position in their heads may lose heads, if values divide the same way.
    """
    can_go = _can_go(units)
    choices = {
        index: node.choice
        for index, node in units.nodes.items()
        if node.choice.count(" x ") >= attempt
    }
    stuck = {
        choice
        for index, choice in choices.items()
        if not any(
            can_go[units.of(ids[ids != INERT])].any()
            for ids in units.nodes[index].outputs[0].ids
            if ids is not None
        )
    }
    return tuple(index for index, choice in choices.items() if choice in stuck)


def _can_go(units: Units) -> BoolArray:
    """Tell which units may go and are not the only one of their group, which never goes."""
    size = np.bincount(units.group, minlength=1)
    return np.asarray(units.removable & (size[units.group] > 1))


def _removable_positions(units: Units) -> int:
    """Count the positions that can go at most: all but one unit of a group."""
    going = np.flatnonzero(_can_go(units))
    last = np.bincount(units.group[~units.removable], minlength=units.count) == 0
    groups, first = np.unique(units.group[going], return_index=True)
    return int(units.sizes[going].sum() - units.sizes[going[first]][last[groups]].sum())


def _analyse(
    graph: Graph,
    shapes: Mapping[str, Shape],
    limits: Limits,
    elsewhere: Mapping[str, Shape],
    turned_down: Mapping[int, int],
) -> Units:
    slots, axes = constant_axes(graph)
    total = sum(slot.size for slot in slots)
    ledger = Ledger(np.zeros(total + 1, bool))
    nodes = propagate(graph, shapes, axes, ledger, elsewhere, turned_down)
    for value in graph.outputs:
        if value.name in axes:
            ledger.freeze(axes[value.name].flat(), f"output '{value.name}'", RETURNED)
    apply_limits(graph, slots, limits, ledger)
    while True:
        units = _solve(graph, slots, total, axes, nodes, ledger)
        unmet = unmet_demands(units)
        if not unmet:
            break
        for ids, node, text in unmet:
            ledger.freeze(ids, node, text)
    lonely = list(_may_be_emptied(units))
    for ids, node in lonely:
        ledger.freeze(ids, node, "would be left without any channel")
    return _solve(graph, slots, total, axes, nodes, ledger) if lonely else units


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
    graph: Graph,
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
        graph=graph,
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
