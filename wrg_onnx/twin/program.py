"""A graph and its bodies, compiled: each node with its twin, under names that are unique."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from wrg_onnx.channels.similar import similar_operator
from wrg_onnx.errors import UnsupportedOperatorError
from wrg_onnx.graph.model import Array, Graph, Node, Value
from wrg_onnx.graph.subgraphs import Path, Subgraph, flatten, subgraphs
from wrg_onnx.twin.table import TwinOp, lookup, registered

_MOMENTUM = 0.9
"""Of running statistics whose node says 1, by which they would never move."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node, ready to run.

    Attributes:
        node: The node under unique names, without its bodies.
        op: Its entry in the table.
        last: Names of the tensors that no later step reads.
        training: What runs in place of the node while the twin trains; None for the node itself.
            Its outputs behind the first are the running statistics under their own names.
        bodies: The compiled bodies of a control-flow node, by attribute.
    """

    node: Node
    op: TwinOp
    last: tuple[str, ...]
    training: Node | None = None
    bodies: Mapping[str, Program] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A graph, ready to run.

    Attributes:
        inputs: The unique names of what it is fed.
        outputs: The unique names of what it returns; in a body they may be outer tensors.
        returned: What the file says of the outputs.
        steps: In the order of the nodes.
        own: The names that it writes, its inputs included.
        outer: The names that it reads of the graphs around it; constants are among them.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    returned: tuple[Value, ...]
    steps: tuple[Step, ...]
    own: frozenset[str]
    outer: frozenset[str]


@dataclass(frozen=True, slots=True)
class Role:
    """What a constant is for.

    Attributes:
        meets_data: Whether it meets float data, on whatever device that is.
        is_weight: Whether it trains.
    """

    meets_data: bool
    is_weight: bool


def compile_graph(graph: Graph, constants: Mapping[str, Array], *, trains: bool) -> Program:
    """Find the twin of every node, bodies included.

    Args:
        graph: The model.
        constants: All constants of the model and its bodies, by unique name.
        trains: Whether BatchNormalization moves its running statistics in training.

    Returns:
        The program of the main graph.

    Raises:
        UnsupportedOperatorError: If an operator has no twin.
    """
    main, *inner = subgraphs(graph)
    movable: frozenset[str] = frozenset()
    if trains:
        reads = Counter(name for node in flatten(graph).graph.nodes for name in node.inputs)
        movable = frozenset(name for name in constants if reads[name] == 1)
    return _compile(main, {subgraph.path: subgraph for subgraph in inner}, movable)


def all_steps(program: Program) -> Iterator[Step]:
    """Yield the steps of a program and of its bodies."""
    for step in program.steps:
        yield step
        for body in step.bodies.values():
            yield from all_steps(body)


def roles(program: Program, constants: Mapping[str, Array]) -> dict[str, Role]:
    """Tell what each constant that is read at all is for."""
    uses: dict[str, list[tuple[TwinOp, int]]] = {name: [] for name in program.outputs}
    for step in all_steps(program):
        for position, name in enumerate(step.node.inputs):
            found = uses.setdefault(name, [])
            # What a body is fed is used inside, under another name.
            if not step.bodies:
                found.append((step.op, position))
        for body in step.bodies.values():
            uses.update({name: [] for name in body.outputs if name not in uses})
    return {name: _role(array, uses[name]) for name, array in constants.items() if name in uses}


def _role(array: Array, uses: list[tuple[TwinOp, int]]) -> Role:
    # The second name is that of ml_dtypes, which numpy does not count among the floats.
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        return Role(meets_data=False, is_weight=False)
    data = [(op, position) for op, position in uses if position not in op.host]
    return Role(
        meets_data=bool(data),
        is_weight=_is_finite(array)
        and any(
            position not in op.fixed and not (op.pointwise and array.size == 1)
            for op, position in data
        ),
    )


def _is_finite(array: Array) -> bool:
    """Tell whether all elements are finite: a mask of infinities does not train."""
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _compile(
    subgraph: Subgraph, inner: Mapping[Path, Subgraph], movable: frozenset[str]
) -> Program:
    inputs = tuple(subgraph.unique(value.name) for value in subgraph.graph.inputs)
    outputs = tuple(subgraph.unique(value.name) for value in subgraph.graph.outputs)
    steps = []
    for node in subgraph.graph.nodes:
        bodies = {
            attribute: _compile(inner[*subgraph.path, (node.index, attribute)], inner, movable)
            for attribute, body in node.attributes.items()
            if isinstance(body, Graph)
        }
        renamed = replace(
            node,
            inputs=tuple(subgraph.unique(name) for name in node.inputs),
            outputs=tuple(subgraph.unique(name) for name in node.outputs),
            attributes={k: v for k, v in node.attributes.items() if not isinstance(v, Graph)},
        )
        steps.append(Step(renamed, _entry(node), (), _training_form(renamed, movable), bodies))
    own = {name for step in steps for name in step.node.outputs if name} | set(inputs)
    read = {name for step in steps for name in read_by(step)} | set(outputs)
    last = _last_readers(steps, own - set(outputs))
    return Program(
        inputs,
        outputs,
        subgraph.graph.outputs,
        tuple(replace(step, last=names) for step, names in zip(steps, last, strict=True)),
        frozenset(own),
        frozenset(read - own),
    )


def read_by(step: Step) -> set[str]:
    """Return what a step reads, its bodies included."""
    return {*step.node.inputs, *(n for body in step.bodies.values() for n in body.outer)} - {""}


def _last_readers(steps: list[Step], names: set[str]) -> list[tuple[str, ...]]:
    """Return, by step, the tensors that no later step reads."""
    last_reader: dict[str, int] = {}
    for position, step in enumerate(steps):
        # An output that nobody reads dies where it is born.
        for name in sorted(read_by(step)) + list(step.node.outputs):
            last_reader[name] = position
    last: list[list[str]] = [[] for _ in steps]
    for name, position in last_reader.items():
        if name in names:
            last[position].append(name)
    return [tuple(dying) for dying in last]


def _training_form(node: Node, movable: frozenset[str]) -> Node | None:
    """Return a BatchNormalization that moves its running statistics, None for any other node.

    Exporters let equal constants share an initializer. One that is read elsewhere as well, as a
    scale or as the statistics of another layer, cannot follow this layer's batches.
    """
    running = node.inputs[3:5]
    if node.op != "BatchNormalization" or node.domain or any(node.outputs[1:]):
        return None
    if node.int("training_mode", 0) or not node.int("spatial", 1):
        return None
    if not movable.issuperset(running):
        return None
    attributes = {**node.attributes, "training_mode": 1}
    if node.attributes.get("momentum", _MOMENTUM) == 1:
        # Some exports freeze the statistics so; whoever asks to train them means them to move.
        attributes["momentum"] = _MOMENTUM
    return replace(node, attributes=attributes, outputs=(node.outputs[0], *running))


def _entry(node: Node) -> TwinOp:
    entry = lookup(node.domain, node.op, node.version)
    if entry is None:
        op = f"{node.domain}.{node.op}" if node.domain else node.op
        meant = similar_operator(node.domain, node.op, {entry[:2] for entry in registered()})
        raise UnsupportedOperatorError(
            f"no differentiable twin for '{op}' (opset {node.version}){meant} at node "
            f"'{node.name}': use a criterion without gradient, such as --criterion wr",
            op=op,
            node=node.name,
        )
    return entry
