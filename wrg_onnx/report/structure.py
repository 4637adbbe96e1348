"""Layer widths as a graph: which one feeds which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from wrg_onnx.channels import BoolArray, Slot, Units
from wrg_onnx.report.details import (
    MOST_EDGES,
    MOST_MEMBERS,
    MOST_NODES,
    Structure,
    WidthEdge,
    WidthNode,
)
from wrg_onnx.report.small import short_text
from wrg_onnx.report.widths import Width, widths_in_order


def structure_of(units: Units, alive: BoolArray) -> Structure | None:
    """Return the graph of a model's layer widths; None where it has none.

    A weight whose filters make one width and that sums over another one is an edge between both.
    Widths that meet, as in a sum, are one.

    Args:
        units: What can be removed.
        alive: (units,) bool, those that are left.
    """
    widths = widths_in_order(units)
    if not widths:
        return None
    # Of too many widths such as follow each other stand for one node.
    parts = np.array_split(np.arange(len(widths)), min(MOST_NODES, len(widths)))
    nodes = tuple(_node([widths[place] for place in part], alive) for part in parts)
    node_of = {widths[place].group: at for at, part in enumerate(parts) for place in part}
    counts = Counter(
        (node_of[source], node_of[target])
        for source, target in _feeds(units)
        if source in node_of and target in node_of
    )
    # What is within a node is not seen, unless a width feeds itself.
    edges = [
        WidthEdge(source, target, layers)
        for (source, target), layers in sorted(counts.items())
        if source != target or nodes[source].widths == 1
    ]
    return Structure(nodes, tuple(edges[:MOST_EDGES]), len(edges[MOST_EDGES:]))


def _node(widths: Sequence[Width], alive: BoolArray) -> WidthNode:
    constants = dict.fromkeys(slot.name for width in widths for slot in width.slots)
    return WidthNode(
        name=short_text(widths[0].title),
        widths=len(widths),
        units=sum(len(width.members) for width in widths),
        kept=sum(int(alive[width.members].sum()) for width in widths),
        members=tuple(short_text(name) for name in list(constants)[:MOST_MEMBERS]),
        constants=len(constants),
    )


def _feeds(units: Units) -> Iterator[tuple[int, int]]:
    """Yield of each weight the groups that it sums over, with those that its filters make."""
    for slots in units.slots_of.values():
        made = {group for slot in slots for group in _groups(units, slot, units.is_filter)}
        read = {group for slot in slots for group in _groups(units, slot, units.is_consumed)}
        yield from ((source, target) for source in sorted(read) for target in sorted(made))


def _groups(units: Units, slot: Slot, on: BoolArray) -> list[int]:
    """Return the groups of an axis' positions that are of some kind."""
    is_such = on[slot.offset : slot.offset + slot.size]
    found: list[int] = np.unique(units.group[units.slot_units(slot)[is_such]]).tolist()
    return found
