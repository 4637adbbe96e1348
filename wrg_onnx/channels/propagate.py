"""One pass over the nodes: each rule is asked once, in topological order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

import wrg_onnx.channels.rules  # noqa: F401 - fills the table
from wrg_onnx.channels.axes import Axes, Call, Coupling, Demand, Freeze, Operand, ShapeConflictError
from wrg_onnx.channels.ids import IdArray
from wrg_onnx.channels.ledger import Ledger
from wrg_onnx.channels.rules.control import CONTROL
from wrg_onnx.channels.sizes import (
    Sizes,
    axis_sizes,
    compute_sizes,
    constant_sizes,
    from_source,
    used_up,
)
from wrg_onnx.channels.table import Rule, find_rule
from wrg_onnx.channels.units import Analysed, Slot
from wrg_onnx.graph import Array, Flat, Graph, ModelError, Node, Shape

RETURNED = "is the model's output"
NO_SHAPE = "stands in a branch or loop body, at shapes that are not known before run time"
NO_ZEROS = "computes this weight in a branch or loop body"


def constant_axes(graph: Graph) -> tuple[tuple[Slot, ...], dict[str, Axes]]:
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


def propagate(
    flat: Flat,
    shapes: Mapping[str, Shape],
    axes: dict[str, Axes],
    ledger: Ledger,
    elsewhere: Mapping[str, Shape],
) -> dict[int, Analysed]:
    """Ask each node's rule in topological order; fills ``axes`` and the ledger."""
    graph = flat.graph
    nodes: dict[int, Analysed] = {}
    ledger.plain |= set(graph.constants)
    known = {*shapes, *graph.constants, ""}
    weights = set(graph.constants)
    zeros: set[str] = set()
    sizes: dict[str, Sizes] = {}
    is_open = any(not isinstance(d, int) for v in graph.inputs for d in v.shape or (None,))
    for name, array in graph.constants.items():
        found = constant_sizes(array)
        if found is not None:
            sizes[name] = found
    fed = frozenset(value.name for value in graph.inputs)
    axes.update({name: Axes.inert(shapes[name]) for name in sorted(fed)})
    axes.update({name: Axes.inert(shapes.get(name, ())) for name in flat.entries})
    for node in graph.nodes:
        operands = _operands(node, graph.constants, axes, weights, sizes, zeros)
        call = Call(node, operands, tuple(shapes.get(n, ()) for n in node.outputs))
        rule = find_rule(node)
        is_control = node.op in CONTROL and not node.domain
        has_shapes = known.issuperset((*node.inputs, *node.outputs))
        if not (is_control or has_shapes):
            coupling = _refuse(call, NO_SHAPE)
        elif rule is None:
            coupling = _refuse(call, f"has no rule (opset {node.version})")
        else:
            coupling = _ask(rule, call, graph.name)
        ledger.record(call, coupling, fed)
        demands = _answerable(call, coupling.demands, ledger)
        for name, made in zip(node.outputs, coupling.outputs, strict=True):
            axes[name] = _close(made, elsewhere.get(name), node, ledger)
        if operands and all(o is None or o.name in weights for o in operands) and not is_control:
            weights.update(node.outputs)
        if _moves_zeros(node, ledger.plain, axes):
            ledger.plain.update(node.outputs)
        _hold_consumed(call, coupling, flat.inside, ledger)
        if _makes_zeros(node, operands):
            zeros.update(node.outputs)
        _follow_sizes(call, demands, sizes, ledger, _opened(call, elsewhere, is_open=is_open))
        outputs = tuple(axes[name] for name in node.outputs)
        nodes[node.index] = Analysed(
            call, outputs, demands, bool(coupling.filters), coupling.choice, has_shapes
        )
    _hold_ends(graph, axes, sizes, ledger)
    return nodes


def _hold_consumed(call: Call, coupling: Coupling, inside: frozenset[str], ledger: Ledger) -> None:
    """Freeze what is summed over by a weight that a body computes.

    The proof zeroes the slices of removed units where they are consumed. Zeros in the file do not
    reach such a weight, and nobody can look into a body to write them there.
    """
    consumed = np.concatenate([*coupling.consumed, np.empty(0, np.int64)])
    for operand in call.inputs:
        if operand is None or not operand.is_weight or operand.name not in inside:
            continue
        if operand.name not in ledger.plain:
            ids = operand.axes.flat()
            ledger.freeze(ids[np.isin(ids, consumed)], str(call.node), NO_ZEROS)


def _hold_ends(
    graph: Graph, axes: Mapping[str, Axes], sizes: Mapping[str, Sizes], ledger: Ledger
) -> None:
    """Freeze constants that nobody reads, and sizes that the model returns."""
    read = {*graph.consumers, *(value.name for value in graph.outputs)}
    for name in sorted(set(graph.constants) - read):
        ledger.freeze(axes[name].flat(), f"'{name}'", "is read by no node")
    for value in graph.outputs:
        if value.name in sizes:
            ledger.hold(sizes[value.name].reshape(-1), f"output '{value.name}'", RETURNED)


def _opened(call: Call, elsewhere: Mapping[str, Shape], *, is_open: bool) -> list[bool]:
    """Tell which axes of a node's first input vary; without other sizes to compare, all may."""
    first = call.inputs[0] if call.inputs else None
    if first is None:
        return []
    other = elsewhere.get(first.name)
    if other is None or len(other) != first.axes.rank:
        return [is_open] * first.axes.rank
    return [a != b for a, b in zip(first.axes.shape, other, strict=True)]


def _close(axes: Axes, other: Shape | None, node: Node, ledger: Ledger) -> Axes:
    """Take the ids off axes whose length varies with the model's inputs."""
    if other is None or len(other) != axes.rank:
        return axes
    varying = [a for a in range(axes.rank) if axes.shape[a] != other[a] and axes.ids[a] is not None]
    for axis in varying:
        text = "makes an axis whose length varies with the model's inputs"
        ledger.freeze(axes.at(axis), str(node), text)
    ids = tuple(None if axis in varying else own for axis, own in enumerate(axes.ids))
    return Axes(axes.shape, ids)


def _ask(rule: Rule, call: Call, name: str) -> Coupling:
    try:
        return rule(call)
    except ShapeConflictError as error:
        raise ModelError(f"'{name}': {call.node} gets shapes that do not fit: {error}") from error


def _answerable(call: Call, demands: Sequence[Demand], ledger: Ledger) -> tuple[Demand, ...]:
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
    zeros: set[str],
) -> tuple[Operand | None, ...]:
    found: list[Operand | None] = []
    for position, name in enumerate(node.inputs):
        if not name:
            found.append(None)
            continue
        own = sizes.get(name)
        if own is not None and name in constants:
            own = from_source(own, node, position)
        value = constants.get(name)
        found.append(Operand(name, axes[name], name in weights, value, own, name in zeros))
    return tuple(found)


_KEEPS_ZEROS = frozenset({
    "Cast", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze",
    "Tile", "Transpose", "Unsqueeze",
})  # fmt: skip


def _moves_zeros(node: Node, plain: set[str], axes: Mapping[str, Axes]) -> bool:
    """Tell whether zeros in the constants behind a node are zeros in its outputs, at their ids."""
    if node.domain:
        return False
    made = axes[node.outputs[0]]
    if node.op != "Concat":
        first = node.input(0)
        if node.op not in _KEEPS_ZEROS or first not in plain:
            return False
        # Of ids that a Reshape ties, it carries one; zeros would stand at that one alone.
        return node.op != "Reshape" or bool(np.isin(axes[first].flat(), made.flat()).all())
    own = [axes[name] for name in node.inputs]
    if any(x.rank != made.rank for x in own) or not made.rank:
        return False  # of unknown shape
    axis = node.axis("axis", rank=made.rank)
    others = [a for a in range(made.rank) if a != axis]
    # On the other axes it carries the ids of its first operand; zeros stand at those of each.
    same = all(np.array_equal(x.at(a), made.at(a)) for x in own for a in others)
    return same and plain.issuperset(node.inputs)


def _makes_zeros(node: Node, operands: Sequence[Operand | None]) -> bool:
    """Tell whether a node's outputs are zeros alone: an exporter's initial state, say."""
    if node.op == "ConstantOfShape" and not node.domain:
        value = node.attributes.get("value")
        return value is None or (isinstance(value, np.ndarray) and not value.any())
    if node.op not in _KEEPS_ZEROS or node.domain:
        return False
    first = operands[0]
    if first is None or first.value is None:
        return first is not None and first.is_zero
    return bool(first.value.size) and not first.value.reshape(-1)[0] and not first.value.any()


def _refuse(call: Call, reason: str) -> Coupling:
    """Freeze everything around an operator."""
    frozen = [Freeze(o.axes.flat(), reason) for o in call.inputs if o is not None]
    return Coupling(tuple(Axes.inert(s) for s in call.output_shapes), frozen=tuple(frozen))


def _follow_sizes(
    call: Call,
    demands: Sequence[Demand],
    sizes: dict[str, Sizes],
    ledger: Ledger,
    opened: Sequence[bool],
) -> None:
    """Evaluate shape arithmetic; a live axis whose length turns into data stays."""
    node = call.node
    operands = [None if o is None else o.sizes for o in call.inputs]
    first = call.inputs[0].axes if call.inputs and call.inputs[0] is not None else None
    shape = None if first is None else axis_sizes(first.shape, first.ids, opened)
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
