"""One pass over the nodes: each rule is asked once, in topological order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import wrg_onnx.channels.rules  # noqa: F401 - fills the table
from wrg_onnx.channels.axes import Axes, Call, Coupling, Demand, Freeze, Operand, ShapeConflictError
from wrg_onnx.channels.ledger import Ledger
from wrg_onnx.channels.rules.pointwise import NARY, UNARY
from wrg_onnx.channels.sizes import (
    Sizes,
    axis_sizes,
    compute_sizes,
    constant_sizes,
    from_source,
    used_up,
)
from wrg_onnx.channels.table import Rule, find_rule
from wrg_onnx.channels.units import Analysed, Reader
from wrg_onnx.graph import Array, Graph, ModelError, Node, Shape
from wrg_onnx.graph.model import captured

RETURNED = "is the model's output"
_EVERY_POSITION_ALIKE = frozenset(
    {*UNARY, *NARY, "Dropout", "LayerNormalization", "LogSoftmax", "MatMul", "ReduceMax"}
    | {"ReduceMean", "ReduceSum", "Reshape", "Shape", "Softmax", "Squeeze", "Transpose"}
    | {"Unsqueeze"}
)
"""Operators that have no say in which position of an axis is which."""
INSIDE = "is read inside a branch or loop body"


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a pass over the nodes goes by.

    Attributes:
        elsewhere: The shapes at other sizes of the inputs, empty where there are none.
        copies: The axes that single readers of a shared vector see, by (node index, position).
        carriers: By node index, the output axes that carry the units of a divided axis.
        is_trial: Whether every factor of a divided axis gets ids of its own instead.
        head_dims: Whether activations that are contracted with each other may lose positions.
    """

    elsewhere: Mapping[str, Shape]
    copies: Mapping[Reader, Axes]
    carriers: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    is_trial: bool = False
    head_dims: bool = False


def propagate(
    graph: Graph,
    shapes: Mapping[str, Shape],
    axes: dict[str, Axes],
    ledger: Ledger,
    reading: Reading,
) -> dict[int, Analysed]:
    """Ask each node's rule in topological order; fills ``axes`` and the ledger.

    Args:
        graph: The model.
        shapes: A concrete shape by tensor name.
        axes: Those of the constants; the others are added.
        ledger: Takes what the rules say.
        reading: What this pass goes by.
    """
    nodes: dict[int, Analysed] = {}
    weights = set(graph.constants)
    vanishing: set[str] = set()
    sizes: dict[str, Sizes] = {}
    is_open = any(not isinstance(d, int) for v in graph.inputs for d in v.shape or (None,))
    for name, array in graph.constants.items():
        found = constant_sizes(array)
        if found is not None:
            sizes[name] = found
    fed = frozenset(value.name for value in graph.inputs)
    axes.update({name: Axes.inert(shapes[name]) for name in sorted(fed)})
    for node in graph.nodes:
        operands = _operands(node, graph.constants, axes, reading.copies, weights, sizes)
        operands = tuple(o and replace(o, vanishes=o.name in vanishing) for o in operands)
        call = Call(
            node,
            operands,
            tuple(shapes[n] if n else () for n in node.outputs),
            reading.carriers.get(node.index, ()),
            ledger.fresh if reading.is_trial else None,
            reading.head_dims,
        )
        rule = find_rule(node)
        coupling = _refuse(call) if rule is None else _ask(rule, call, graph.name)
        ledger.record(call, coupling, fed)
        _hold_repeated(call, reading, ledger)
        demands = _answerable(call, coupling.demands, ledger)
        _hold_captured(node, axes, sizes, ledger)
        for name, made in zip(node.outputs, coupling.outputs, strict=True):
            axes[name] = _close(call, made, reading.elsewhere.get(name), reading, ledger)
        if operands and all(o is None or o.name in weights for o in operands):
            weights.update(node.outputs)
        if _vanishes(call, coupling):
            vanishing.update(node.outputs)
        _follow_sizes(
            call, demands, sizes, ledger, _opened(call, reading.elsewhere, is_open=is_open)
        )
        outputs = tuple(axes[name] for name in node.outputs)
        nodes[node.index] = Analysed(
            call,
            outputs,
            demands,
            bool(coupling.filters),
            coupling.divisions,
            coupling.choice,
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


def _close(call: Call, axes: Axes, other: Shape | None, reading: Reading, ledger: Ledger) -> Axes:
    """Take the ids off axes whose length varies with the model's inputs.

    Heads that are merged with an open batch are an exception: at batch 1 the axis has one position
    per head, at others it repeats them, and the heads to remove are the same ones in each repeat.
    """
    if other is None or len(other) != axes.rank:
        return axes
    ids = list(axes.ids)
    for axis, own in enumerate(axes.ids):
        if own is None or axes.shape[axis] == other[axis]:
            continue
        times, rest = divmod(other[axis], axes.shape[axis])
        merged = _merges_open_batch(call, reading, times)
        if not rest and (merged or ledger.repeated.issuperset(own.tolist())):
            ledger.repeated.update(own.tolist())
            continue
        text = "makes an axis whose length varies with the model's inputs"
        ledger.freeze(own, str(call.node), text)
        ids[axis] = None
    return Axes(axes.shape, tuple(ids))


def _hold_repeated(call: Call, reading: Reading, ledger: Ledger) -> None:
    """Freeze heads merged with an open batch where a node picks positions among them."""
    if not ledger.repeated or (not call.node.domain and call.node.op in _EVERY_POSITION_ALIKE):
        return
    for operand in call.inputs:
        other = () if operand is None else reading.elsewhere.get(operand.name, ())
        if operand is None or len(other) != operand.axes.rank:
            continue
        for axis, ids in enumerate(operand.axes.ids):
            varies = operand.axes.shape[axis] != other[axis]
            if varies and ids is not None and ledger.repeated.issuperset(ids.tolist()):
                text = "picks positions of an axis that repeats them for each sample"
                ledger.freeze(ids, str(call.node), text)


_ZERO_TO_ZERO = frozenset(
    {"Add", "BatchNormalization", "Cast", "Concat", "Expand", "Gather", "Identity", "Mul", "Neg"}
    | {"Relu", "Reshape", "Slice", "Split", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze"}
)
"""Operators whose result is zero where all that they read is."""


def _vanishes(call: Call, coupling: Coupling) -> bool:
    """Tell whether a channel of the outputs is zero once the constants of its unit are."""
    if coupling.filters:
        return True
    if call.node.domain or call.node.op not in _ZERO_TO_ZERO:
        return False
    return all(o is None or o.is_weight or o.vanishes or not o.axes.live() for o in call.inputs)


def _merges_open_batch(call: Call, reading: Reading, times: int) -> bool:
    """Tell whether this is a Reshape of an axis that grows from 1 to so many positions."""
    if call.node.op != "Reshape" or call.node.domain:
        return False
    here, there = call.axes().shape, reading.elsewhere.get(call.operand(0).name, ())
    return len(here) == len(there) and (1, times) in zip(here, there, strict=True)


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
    copies: Mapping[Reader, Axes],
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
        seen = copies.get((node.index, position), axes[name])
        found.append(Operand(name, seen, name in weights, constants.get(name), own))
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
    shape = None
    if first is not None and node.op == "Shape":
        shape = axis_sizes(first.shape, first.ids, opened)
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
