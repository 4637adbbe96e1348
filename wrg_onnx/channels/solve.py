"""One pass over the graph collects ties; connected components are the units."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import wrg_onnx.channels.rules  # noqa: F401 - fills the table
from wrg_onnx.channels.axes import Axes, Call, Coupling, Demand, Freeze, Operand
from wrg_onnx.channels.demands import unmet_demands
from wrg_onnx.channels.ids import INERT, BoolArray, IdArray
from wrg_onnx.channels.sizes import (
    Place,
    Size,
    Sizes,
    axis_sizes,
    compute_sizes,
    constant_sizes,
    from_source,
    used_up,
)
from wrg_onnx.channels.table import find_rule
from wrg_onnx.channels.units import Analysed, Reason, Slot, Units
from wrg_onnx.graph import Array, Graph, Node, Shape
from wrg_onnx.graph.model import captured


@dataclass(frozen=True, slots=True)
class Limits:
    """What the user wants left alone.

    Attributes:
        keep: Globs over names of nodes and constants; what matches stays whole.
        only: Such globs; where there are any, all else stays whole.
    """

    keep: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def reason(self, name: str) -> str:
        """Return why a name is left alone, empty where it is not."""
        if any(fnmatch.fnmatchcase(name, glob) for glob in self.keep):
            return "is kept on request (--keep)"
        if self.only and not any(fnmatch.fnmatchcase(name, glob) for glob in self.only):
            return "is not among those to prune (--only)"
        return ""


@dataclass(slots=True)
class _Ledger:
    """What the pass over the graph writes down.

    ``named`` is scratch: it marks the ids that one rule names, the last entry standing for INERT.
    """

    named: BoolArray
    left: list[IdArray] = field(default_factory=list)
    right: list[IdArray] = field(default_factory=list)
    frozen: list[tuple[IdArray, int]] = field(default_factory=list)
    reasons: dict[Reason, int] = field(default_factory=dict)
    filters: list[IdArray] = field(default_factory=list)
    consumed: list[IdArray] = field(default_factory=list)
    pinned: set[Place] = field(default_factory=set)

    def freeze(self, ids: IdArray, node: str, text: str) -> None:
        ids = ids[ids != INERT]
        if ids.size:
            number = self.reasons.setdefault(Reason(node, text), len(self.reasons))
            self.frozen.append((ids, number))

    def tie(self, left: IdArray, right: IdArray, node: str, met: str) -> None:
        both = (left != INERT) & (right != INERT)
        self.left.append(left[both])
        self.right.append(right[both])
        for own, other in ((left, right), (right, left)):
            self.freeze(own[other == INERT], node, f"meets {met}")

    def hold(self, sizes: Iterable[Size], node: str, text: str) -> None:
        """Keep numbers that turn into data, and the lengths that they depend on."""
        for size in sizes:
            for ids in size.ids:
                self.freeze(ids, node, text)
            if size.source is not None:
                self.pinned.add(size.source)


RETURNED = "is the model's output"
INSIDE = "is read inside a branch or loop body"


def find_units(graph: Graph, shapes: Mapping[str, Shape], limits: Limits | None = None) -> Units:
    """Analyse a graph.

    Args:
        graph: The model.
        shapes: A concrete shape by tensor name, as ``infer_shapes`` gives.
        limits: What to leave alone.

    Returns:
        The units. Those that an operator, the interface or the user holds have a reason.
    """
    slots, axes = _constant_axes(graph)
    total = sum(slot.size for slot in slots)
    ledger = _Ledger(np.zeros(total + 1, bool))
    nodes = _propagate(graph, shapes, axes, ledger)
    for value in graph.outputs:
        if value.name in axes:
            ledger.freeze(axes[value.name].flat(), f"output '{value.name}'", RETURNED)
    _apply_limits(graph, slots, limits or Limits(), ledger)
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


def _constant_axes(graph: Graph) -> tuple[tuple[Slot, ...], dict[str, Axes]]:
    """Give every axis of every constant fresh ids; int64 constants are shapes and indices."""
    slots: list[Slot] = []
    axes: dict[str, Axes] = {}
    offset = 0
    for name, array in sorted(graph.constants.items()):
        ids: list[IdArray | None] = []
        for axis, size in enumerate(array.shape):
            if size < 2 or array.dtype.kind in "bOSU" or array.dtype == np.int64:
                ids.append(None)
                continue
            slots.append(Slot(name, axis, offset, size))
            ids.append(np.arange(offset, offset + size))
            offset += size
        axes[name] = Axes(array.shape, tuple(ids))
    return tuple(slots), axes


def _propagate(
    graph: Graph, shapes: Mapping[str, Shape], axes: dict[str, Axes], ledger: _Ledger
) -> dict[int, Analysed]:
    """Ask each node's rule in topological order; fills ``axes`` and the ledger."""
    nodes: dict[int, Analysed] = {}
    weights = set(graph.constants)
    sizes: dict[str, Sizes] = {}
    is_open = any(not isinstance(d, int) for v in graph.inputs for d in v.shape or (None,))
    for name, array in graph.constants.items():
        found = constant_sizes(array)
        if found is not None:
            sizes[name] = found
    fed = frozenset(value.name for value in graph.inputs)
    axes.update({name: Axes.inert(shapes[name]) for name in sorted(fed)})
    for node in graph.nodes:
        operands = _operands(node, graph.constants, axes, weights, sizes)
        call = Call(node, operands, tuple(shapes[n] if n else () for n in node.outputs))
        rule = find_rule(node)
        coupling = _refuse(call) if rule is None else rule(call)
        _record(call, coupling, ledger, fed)
        demands = _answerable(call, coupling.demands, ledger)
        for name in sorted(captured(node)):
            if name in axes:
                ledger.freeze(axes[name].flat(), str(node), INSIDE)
            if name in sizes:
                ledger.hold(sizes[name].reshape(-1), str(node), INSIDE)
        axes.update(zip(node.outputs, coupling.outputs, strict=True))
        if operands and all(o is None or o.name in weights for o in operands):
            weights.update(node.outputs)
        _follow_sizes(call, demands, sizes, ledger, is_open=is_open)
        nodes[node.index] = Analysed(
            call, coupling.outputs, demands, bool(coupling.filters), coupling.choice
        )
    for value in graph.outputs:
        if value.name in sizes:
            ledger.hold(sizes[value.name].reshape(-1), f"output '{value.name}'", RETURNED)
    return nodes


def _answerable(call: Call, demands: Sequence[Demand], ledger: _Ledger) -> tuple[Demand, ...]:
    """Drop demands on operands that are computed at run time, and freeze what they count."""
    found = []
    for demand in demands:
        if call.operand(demand.position).sizes is not None:
            found.append(demand)
            continue
        for ids in (demand.ids, demand.rest):
            if ids is not None:
                text = "takes the size of this axis from values computed at run time"
                ledger.freeze(ids, str(call.node), text)
    return tuple(found)


def _operands(
    node: Node,
    constants: Mapping[str, Array],
    axes: Mapping[str, Axes],
    weights: set[str],
    sizes: Mapping[str, Sizes],
) -> tuple[Operand | None, ...]:
    found: list[Operand | None] = []
    for position, name in enumerate(node.inputs):
        if not name:
            found.append(None)
            continue
        own = sizes.get(name)
        if own is not None and name in constants:
            own = from_source(own, node, position)
        found.append(Operand(name, axes[name], name in weights, constants.get(name), own))
    return tuple(found)


def _refuse(call: Call) -> Coupling:
    """Freeze everything around an operator that has no rule."""
    reason = f"has no rule (opset {call.node.version})"
    frozen = [Freeze(o.axes.flat(), reason) for o in call.inputs if o is not None]
    return Coupling(tuple(Axes.inert(s) for s in call.output_shapes), frozen=tuple(frozen))


def _record(call: Call, coupling: Coupling, ledger: _Ledger, fed: frozenset[str]) -> None:
    node = str(call.node)
    reads_input = not fed.isdisjoint(call.node.inputs)
    met = "the model's input" if reads_input else "an axis that stays as it is"
    for tie in coupling.ties:
        ledger.tie(tie.left, tie.right, node, met)
    for freeze in coupling.frozen:
        ledger.freeze(freeze.ids, node, freeze.reason)
    ledger.filters += coupling.filters
    ledger.consumed += coupling.consumed
    # A position that the rule names nowhere is one it did not think of: it stays.
    named = [axes.flat() for axes in coupling.outputs]
    named += [ids for tie in coupling.ties for ids in (tie.left, tie.right)]
    named += [freeze.ids for freeze in coupling.frozen]
    named += coupling.dropped
    known = np.concatenate(named) if named else np.empty(0, np.int64)
    ledger.named[known] = True
    for position, operand in enumerate(call.inputs):
        if operand is not None:
            own = operand.axes.flat()
            is_shape = position > 0 and call.node.op in _READS_SIZES and not call.node.domain
            text = "" if is_shape else "uses this axis as a whole"
            ledger.freeze(own[~ledger.named[own]], node, text)
    ledger.named[known] = False


def _follow_sizes(
    call: Call,
    demands: Sequence[Demand],
    sizes: dict[str, Sizes],
    ledger: _Ledger,
    *,
    is_open: bool,
) -> None:
    """Evaluate shape arithmetic; a live axis whose length turns into data stays."""
    node = call.node
    operands = [None if o is None else o.sizes for o in call.inputs]
    first = call.inputs[0].axes if call.inputs and call.inputs[0] is not None else None
    shape = None if first is None else axis_sizes(first.shape, first.ids, is_open=is_open)
    try:
        computed = compute_sizes(node, operands, shape)
    except (IndexError, ValueError, OverflowError, TypeError):
        computed = None  # not shape arithmetic after all; its operands are frozen below
    if computed is not None and node.outputs and computed.shape == call.output_shapes[0]:
        sizes[node.outputs[0]] = computed
        ledger.pinned |= used_up(node, operands, computed)
        return
    text = "computes with the length of this axis"
    if node.op == "Shape" and first is not None:
        ledger.freeze(first.flat(), str(node), text)
    answered = {(demand.position, demand.element) for demand in demands}
    for position, operand in enumerate(call.inputs):
        # A constant of the file belongs to its reader alone: nobody else writes to it.
        if operand is not None and operand.sizes is not None and operand.value is None:
            flat = enumerate(operand.sizes.reshape(-1))
            ledger.hold([s for e, s in flat if (position, e) not in answered], str(node), text)


_READS_SIZES = frozenset({"Reshape", "Expand", "Resize", "Slice", "Tile", "Upsample", "Split"})


def _apply_limits(graph: Graph, slots: Sequence[Slot], limits: Limits, ledger: _Ledger) -> None:
    if not (limits.keep or limits.only):
        return
    readers = {name: [n.name for n in nodes] for name, nodes in graph.consumers.items()}
    for slot in slots:
        names = (slot.name, *readers.get(slot.name, ()))
        reasons = [limits.reason(name) for name in names]
        kept = next((r for r in reasons if "--keep" in r), "")
        if kept or all(reasons):
            ids = np.arange(slot.offset, slot.offset + slot.size)
            ledger.freeze(ids, f"'{slot.name}'", kept or reasons[0])


def _solve(
    graph: Graph,
    slots: tuple[Slot, ...],
    total: int,
    axes: Mapping[str, Axes],
    nodes: Mapping[int, Analysed],
    ledger: _Ledger,
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
