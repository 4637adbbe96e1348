"""One pass over the nodes: each rule is asked once, in topological order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

import wrg_onnx.channels.rules  # noqa: F401 - fills the table
from wrg_onnx.channels.axes import Axes, Call, Coupling, Demand, Freeze, Operand, ShapeConflictError
from wrg_onnx.channels.ids import IdArray
from wrg_onnx.channels.ledger import Ledger
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
from wrg_onnx.graph import Array, Graph, ModelError, Node, Shape
from wrg_onnx.graph.model import captured

RETURNED = "is the model's output"
INSIDE = "is read inside a branch or loop body"


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
    graph: Graph,
    shapes: Mapping[str, Shape],
    axes: dict[str, Axes],
    ledger: Ledger,
    elsewhere: Mapping[str, Shape],
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
        coupling = _refuse(call) if rule is None else _ask(rule, call, graph.name)
        ledger.record(call, coupling, fed)
        demands = _answerable(call, coupling.demands, ledger)
        _hold_captured(node, axes, sizes, ledger)
        for name, made in zip(node.outputs, coupling.outputs, strict=True):
            axes[name] = _close(made, elsewhere.get(name), node, ledger)
        if operands and all(o is None or o.name in weights for o in operands):
            weights.update(node.outputs)
        _follow_sizes(call, demands, sizes, ledger, _opened(call, elsewhere, is_open=is_open))
        outputs = tuple(axes[name] for name in node.outputs)
        makes_channels = bool(coupling.filters)
        nodes[node.index] = Analysed(
            call, outputs, demands, makes_channels, coupling.choice, coupling.quantised
        )
    _hold_ends(graph, axes, sizes, ledger)
    return nodes


def _hold_captured(
    node: Node, axes: Mapping[str, Axes], sizes: Mapping[str, Sizes], ledger: Ledger
) -> None:
    """Freeze what a branch or loop body reads from outside."""
    for name in sorted(captured(node)):
        if name in axes:
            ledger.freeze(axes[name].flat(), str(node), INSIDE)
        if name in sizes:
            ledger.hold(sizes[name].reshape(-1), str(node), INSIDE)


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
