"""Constants in the place of the nodes that compute them, on a copy of the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx
from onnx import helper

from wrg_onnx.graph.constant_part import ConstantPart, fed_constants
from wrg_onnx.graph.edit import INPUTS_FROM_IR, body, read_again, set_tensor, with_message
from wrg_onnx.graph.model import Array, Graph, Node
from wrg_onnx.graph.records import Source
from wrg_onnx.graph.subgraphs import Subgraph, subgraphs
from wrg_onnx.graph.weights import Entry


@dataclass(frozen=True, slots=True)
class _Constant:
    """A constant, by its name in the flat graph and by that in the graph that holds it."""

    flat: str
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    """What is done to a model, by flat names and indices.

    Attributes:
        values: Tensors that become constants.
        passed: By tensor that an Identity makes of a constant: that constant, which its readers get
            where no graph on the way has another tensor of that name.
        nodes: The nodes that go.
        constants: The constants that go.
    """

    values: Mapping[str, Array]
    passed: Mapping[str, _Constant]
    nodes: frozenset[int]
    constants: frozenset[str]


def with_constants(graph: Graph, part: ConstantPart, values: Mapping[str, Array]) -> Graph:
    """Put values in the place of what computes them, and let constants be read past Identity nodes.

    Args:
        graph: The model, which stays as it is.
        part: Its constant part.
        values: Of tensors that the part makes, by their flat names.

    Returns:
        The model without the nodes and constants that nobody needs any more; the graph itself if
        nothing changes.
    """
    change = _plan(graph, part, values)
    if not change.nodes:
        return graph
    source: Source = graph.source
    message = onnx.ModelProto()
    message.CopyFrom(source.message)
    weights = dict(source.weights)
    # From the inside out: an index in a path is that of the node before any is gone.
    for subgraph in reversed(subgraphs(graph)):
        _rewrite(message, subgraph, change, weights)
    return read_again(graph, with_message(source, message, weights))


def _plan(graph: Graph, part: ConstantPart, values: Mapping[str, Array]) -> _Change:
    """Find what goes when some tensors are known."""
    inner = {node.index for node in part.nodes}
    passed = _passed(graph, part, inner)
    read_by: dict[int, set[str]] = {}
    # What is read whatever happens: by the nodes that stay, by callers, and by what runs a body.
    before = {value.name for value in graph.outputs}
    after = set(before)
    for subgraph in subgraphs(graph):
        returned = {subgraph.unique(v.name) for v in subgraph.graph.outputs if subgraph.path}
        before |= returned
        after |= returned
        for node in subgraph.graph.nodes:
            read = set(map(subgraph.unique, node.inputs))
            before |= read
            seen = {_seen(subgraph, name, passed) for name in node.inputs}
            if subgraph.first + node.index in inner:
                read_by[subgraph.first + node.index] = {constant.flat for constant in seen}
            else:
                after.update(constant.flat for constant in seen)
    known = dict(values)
    while True:
        kept, read = _needed(part, known, read_by, after)
        # A node that stays makes all of its outputs.
        made_anyway = {name for node in kept for name in node.outputs if name in known}
        if not made_anyway:
            break
        for name in made_anyway:
            del known[name]
    gone = inner - {node.index for node in kept}
    fed = fed_constants(graph)
    unread = {name for name in before - read if name in part.constants and name not in fed}
    return _Change(
        {name: array for name, array in known.items() if name in read},
        passed,
        frozenset(gone),
        frozenset(unread),
    )


def _passed(graph: Graph, part: ConstantPart, inner: set[int]) -> dict[str, _Constant]:
    """Find what Identity nodes make of constants."""
    found = {}
    for subgraph in subgraphs(graph):
        for node in subgraph.graph.nodes:
            if node.op == "Identity" and subgraph.first + node.index in inner:
                constant = _Constant(subgraph.unique(node.inputs[0]), node.inputs[0])
                if constant.flat in part.constants:
                    found[subgraph.unique(node.outputs[0])] = constant
    return found


def _seen(subgraph: Subgraph, name: str, passed: Mapping[str, _Constant]) -> _Constant:
    """Return what a node of a graph is to read in the place of a tensor, mostly the tensor."""
    unique = subgraph.unique(name)
    constant = passed.get(unique)
    if constant is None or subgraph.unique(constant.name) != constant.flat:
        return _Constant(unique, name)
    return constant


def _needed(
    part: ConstantPart,
    known: Mapping[str, Array],
    read_by: Mapping[int, set[str]],
    after: set[str],
) -> tuple[list[Node], set[str]]:
    """Return the nodes that are needed still, and all tensors that are read then."""
    kept: list[Node] = []
    read = set(after)
    for node in reversed(part.nodes):
        if any(name in read and name not in known for name in node.outputs if name):
            kept.append(node)
            read |= read_by[node.index]
    return kept, read


def _rewrite(
    message: onnx.ModelProto, subgraph: Subgraph, change: _Change, weights: dict[str, Entry]
) -> None:
    """Rewrite the main graph or a body, in place."""
    part = body(message.graph, subgraph)
    made = {subgraph.unique(name): name for node in part.node for name in node.output if name}
    nodes = list(_nodes(part, subgraph, change))
    initializers = [t for t in part.initializer if subgraph.unique(t.name) not in change.constants]
    declared = [v for v in part.input if subgraph.unique(v.name) not in change.constants]
    for old, new in (
        (part.node, nodes), (part.initializer, initializers), (part.input, declared)
    ):  # fmt: skip
        if len(old) != len(new):
            # Lists are made anew: deleting single entries of a protobuf list is quadratic.
            copies = [type(each).FromString(each.SerializeToString()) for each in new]
            del old[:]
            old.extend(copies)
    for unique, array in change.values.items():
        if unique not in made:
            continue
        if message.ir_version < INPUTS_FROM_IR and subgraph.path:
            # What a body holds would have to be fed to it there.
            part.node.insert(0, _constant_node(made[unique], array, weights))
            continue
        tensor = part.initializer.add(name=made[unique])
        set_tensor(tensor, array, weights)
        if message.ir_version < INPUTS_FROM_IR:
            info = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            part.input.append(info)


def _constant_node(name: str, array: Array, weights: dict[str, Entry]) -> onnx.NodeProto:
    node = onnx.NodeProto(op_type="Constant", output=[name])
    attribute = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    set_tensor(attribute.t, array, weights)
    return node


def _nodes(part: onnx.GraphProto, subgraph: Subgraph, change: _Change) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that stay, with what they read from now on."""
    for index, node in enumerate(part.node):
        if subgraph.first + index in change.nodes:
            continue
        is_constant = node.op_type == "Constant" and len(node.output) == 1
        if is_constant and subgraph.unique(node.output[0]) in change.constants:
            continue
        for position, name in enumerate(node.input):
            seen = _seen(subgraph, name, change.passed).name
            if seen != name:
                node.input[position] = seen
        yield node
