"""One pass over the nodes: each rule is asked once, in topological order.

Shape stands out: it is where axes become numbers, so that the pass treats it by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import wrg_onnx.channels.rules  # noqa: F401 - fills the table
from wrg_onnx.channels.answers import Coupling, Demand, Freeze, ShapeConflictError
from wrg_onnx.channels.axes import Axes, Call, Operand
from wrg_onnx.channels.entries import find_axes
from wrg_onnx.channels.ledger import Ledger
from wrg_onnx.channels.reasons import Kind, Why, kind_of
from wrg_onnx.channels.shape_arithmetic import compute_sizes, used_up
from wrg_onnx.channels.similar import similar_operator
from wrg_onnx.channels.sizes import (
    Sizes,
    axis_sizes,
)
from wrg_onnx.channels.table import Rule, find_rule, registered
from wrg_onnx.channels.traits import traits_of
from wrg_onnx.channels.units import Analysed, Port
from wrg_onnx.channels.varying import close_varying, hold_repeated, open_axes
from wrg_onnx.channels.zeros import Vanishing, hold_consumed, makes_zeros, moves_zeros
from wrg_onnx.errors import ModelError
from wrg_onnx.graph import Flat, Graph, Node, Shape

NORM_INSIDE = "normalises over this axis in a branch or loop body, where the proof cannot follow"
RETURNED = Why("is the model's output", Kind.OUTPUT)
NO_SHAPE = Why(
    "stands in a branch or loop body, at shapes that no run at these sizes shows", Kind.NO_SHAPE
)
NO_TENSOR = Why(
    "reads or makes a sequence, a map or an optional value, of which nothing is cut", Kind.OPERATOR
)
MOST_POSITIONS = 1 << 24
"""An axis that carries channels has no more positions: each has an id."""
TOO_LONG = f"makes an axis of more than {MOST_POSITIONS} positions, which are not told apart"
BLOCKED = Why(
    "computes in blocks of channels, as ONNX Runtime's optimiser wrote it", Kind.CONVERTED
)
BLOCKS = "com.microsoft.nchwc"
"""The domain of operators that are made for one machine, at the end of an optimisation."""


@dataclass(frozen=True, slots=True, eq=False)
class Premises:
    """What a pass over the nodes takes as given.

    Attributes:
        shapes: A concrete shape by tensor name; in a body it may be unknown.
        elsewhere: The shapes at other sizes of the inputs, empty where there are none.
        copies: The axes that single readers of a shared vector see, by (node index, position).
        carriers: By node index, the output axes that carry the units of a divided axis, or that
            whole groups of a convolution do.
        is_trial: Whether every part of a divided axis gets ids of its own instead.
        head_dims: Whether activations that are contracted with each other may lose positions.
        through_norms: Whether statistics may be taken over fewer positions.
    """

    shapes: Mapping[str, Shape]
    elsewhere: Mapping[str, Shape]
    copies: Mapping[Port, Axes]
    carriers: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    is_trial: bool = False
    head_dims: bool = False
    through_norms: bool = False


@dataclass(slots=True, eq=False)
class _Known:
    """What is known of the tensors that were made so far, by name.

    Attributes:
        axes: Their ids.
        weights: Those that depend on constants alone.
        zero: Those that the graph makes of zeros alone.
        vanishing: Tells along which axes they are zero once some constants are.
        sizes: The elements of small tensors that are computed from shapes and constants.
        is_open: Whether the model's inputs leave sizes open.
    """

    axes: dict[str, Axes]
    weights: set[str]
    is_open: bool = False
    zero: set[str] = field(default_factory=set)
    vanishing: Vanishing = field(default_factory=Vanishing)
    sizes: dict[str, Sizes] = field(default_factory=dict)


def propagate(
    flat: Flat,
    axes: dict[str, Axes],
    ledger: Ledger,
    premises: Premises,
    *,
    told: Callable[[], object] = lambda: None,
) -> dict[int, Analysed]:
    """Ask each node's rule in topological order; fills ``axes`` and the ledger.

    Args:
        flat: The model, its bodies laid out.
        axes: Those of the constants; the others are added.
        ledger: Takes what the rules say.
        premises: What this pass takes as given.
        told: Called after each node.
    """
    graph = flat.graph
    nodes: dict[int, Analysed] = {}
    known = _known_at_first(flat, axes, premises)
    ledger.plain |= set(graph.constants)
    fed = frozenset(value.name for value in graph.inputs)
    has_shape = {*premises.shapes, *graph.constants, ""}
    entries: dict[int, list[str]] = {}
    for name, entrance in flat.entries.items():
        entries.setdefault(entrance.node, []).append(name)
    for node in graph.nodes:
        for name in entries.get(node.index, ()):
            find_axes(
                name, axes, flat, premises.shapes, ledger
            )  # those that the body does not read
        call = _call(node, flat, known, premises, ledger)
        is_control = traits_of(node).runs_bodies
        has_shapes = has_shape.issuperset((*node.inputs, *node.outputs))
        if is_control or has_shapes:
            is_long = any(n > MOST_POSITIONS for shape in call.output_shapes for n in shape)
            refused = is_long and not is_control
            coupling = _refuse(call, TOO_LONG) if refused else _ask(call, graph.name)
        else:
            coupling = _refuse(call, no_shape(node, flat))
        if premises.through_norms and not call.through_norms:
            coupling = _held_inside(coupling)
        # What the rule says, and what its node must not see changed: repeated heads, and sizes
        # that nobody can write anew.
        ledger.record(call, coupling, fed)
        hold_repeated(call, premises.elsewhere, ledger)
        demands = _answerable(call, coupling.demands, ledger)
        # What its outputs carry, and what they are made of.
        for name, made in zip(node.outputs, coupling.outputs, strict=True):
            axes[name] = close_varying(call, made, name, premises.elsewhere, ledger)
        if not is_control:
            _note_origins(call, coupling, known, ledger)
        hold_consumed(call, coupling, flat.inside, ledger)
        is_shape = node.op == "Shape" and not node.domain
        opened = open_axes(call, premises.elsewhere, is_open=known.is_open) if is_shape else []
        _follow_sizes(call, demands, known.sizes, ledger, opened)
        nodes[node.index] = Analysed(
            call,
            tuple(axes[name] for name in node.outputs),
            demands,
            makes_channels=bool(coupling.filters),
            divisions=coupling.divisions,
            in_groups=coupling.in_groups,
            choice=coupling.choice,
            has_shapes=has_shapes,
            quantised=coupling.quantised,
            statistics=coupling.statistics,
        )
        told()
    _hold_ends(graph, axes, known.sizes, ledger)
    return nodes


def _known_at_first(flat: Flat, axes: dict[str, Axes], premises: Premises) -> _Known:
    """Say what is known before any node: constants, and inputs, which are inert."""
    is_open = any(not isinstance(d, int) for v in flat.graph.inputs for d in v.shape or (None,))
    known = _Known(axes, set(flat.graph.constants), is_open)
    fed = sorted({value.name for value in flat.graph.inputs})
    axes.update({name: Axes.inert(premises.shapes[name]) for name in fed})
    return known


def _note_origins(call: Call, coupling: Coupling, known: _Known, ledger: Ledger) -> None:
    """Note what the outputs of a node are made of."""
    outputs = call.node.outputs
    if call.inputs and all(o is None or o.is_weight for o in call.inputs):
        known.weights.update(outputs)
    if moves_zeros(call.node, ledger.plain, known.axes):
        ledger.plain.update(outputs)
    if makes_zeros(call.node, call.inputs):
        known.zero.update(outputs)
    known.vanishing.note(call, coupling)


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


def _call(node: Node, flat: Flat, known: _Known, premises: Premises, ledger: Ledger) -> Call:
    """Put a node's question together."""
    elsewhere = premises.elsewhere if known.is_open else premises.shapes
    constants, inside = flat.graph.constants, flat.inside
    operands: list[Operand | None] = []
    for position, name in enumerate(node.inputs):
        if not name:
            operands.append(None)
            continue
        own = find_axes(name, known.axes, flat, premises.shapes, ledger)
        operands.append(
            Operand(
                name,
                premises.copies.get((node.index, position), own),
                is_weight=name in known.weights,
                constants=constants if name in constants else None,
                computed=known.sizes.get(name),
                is_zero=name in known.zero,
                vanishing=known.vanishing.of,
                elsewhere=elsewhere.get(name),
                port=(node.index, position),
            )
        )
    return Call(
        node,
        tuple(operands),
        tuple(premises.shapes.get(name, ()) for name in node.outputs),
        carriers=premises.carriers.get(node.index, ()),
        fresh=ledger.fresh if premises.is_trial else None,
        head_dims=premises.head_dims,
        # The proof has the original take them so, too, and cannot look into bodies for that.
        through_norms=premises.through_norms and inside.isdisjoint(node.outputs),
        new_ids=ledger.fresh_made,
    )


def _ask(call: Call, name: str) -> Coupling:
    """Ask the rule of a node; without one, everything around it stays.

    Args:
        call: The node.
        name: The model's, for an error.
    """
    rule: Rule | None = find_rule(call.node)
    if rule is None:
        return _refuse(call, no_rule(call.node))
    try:
        return rule(call)
    except ShapeConflictError as error:
        raise ModelError(f"'{name}': {call.node} gets shapes that do not fit: {error}") from error


def _held_inside(coupling: Coupling) -> Coupling:
    """Say why a normalisation holds its axis though channels may go through others."""
    frozen = tuple(
        Freeze(one.ids, NORM_INSIDE) if kind_of(one.reason) is Kind.NORMALISED else one
        for one in coupling.frozen
    )
    return replace(coupling, frozen=frozen)


def no_shape(node: Node, flat: Flat) -> Why:
    """Say why a node stays whole that reads or makes something without a shape."""
    # In the main graph every tensor has one: it was run to see it.
    is_inside = not flat.inside.isdisjoint((*node.inputs, *node.outputs))
    return NO_SHAPE if is_inside else NO_TENSOR


def no_rule(node: Node) -> Why:
    """Say why what an operator without a rule reads stays."""
    if node.domain == BLOCKS:
        return BLOCKED
    return Why(f"has no rule (opset {node.version}){_similar(node.domain, node.op)}", Kind.NO_RULE)


@cache
def _similar(domain: str, op: str) -> str:
    """Ask once for all nodes of an operator: some models have thousands of them."""
    return similar_operator(domain, op, {entry[:2] for entry in registered()})


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
    """Evaluate shape arithmetic; a live axis whose length turns into data stays.

    Args:
        call: The node.
        demands: The numbers among its operands that it answers for itself.
        sizes: The small tensors that are known; its output is added, if it is one.
        ledger: Takes what stays.
        opened: Of a Shape, per axis of its input, whether its size varies.
    """
    node = call.node
    is_computed = traits_of(node).sizes is not None or node.op == "Shape"
    operands = [o.sizes if o is not None and is_computed else None for o in call.inputs]
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
    text = "computes with the length of this axis, which must then stay"
    if node.op == "Shape" and first is not None:
        ledger.freeze(first.flat(), str(node), text)
    answered = {(demand.position, demand.element) for demand in demands}
    for position, operand in enumerate(call.inputs):
        # A constant of the file belongs to its reader alone: nobody else writes to it.
        if operand is not None and operand.computed is not None:
            flat = enumerate(operand.computed.reshape(-1))
            ledger.hold([s for e, s in flat if (position, e) not in answered], str(node), text)
