"""Branches that are always taken, laid into the graph around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx

from wrg_onnx.graph.constant_part import fed_constants
from wrg_onnx.graph.edit import body, read_again, with_message
from wrg_onnx.graph.model import Graph
from wrg_onnx.graph.records import Source
from wrg_onnx.graph.subgraphs import Path, Subgraph, flatten, subgraphs


def lay_flat(graph: Graph) -> Graph:
    """Put the nodes of a branch in the place of the If that always takes it.

    Args:
        graph: The model, which stays as it is.

    Returns:
        The model without those If nodes whose condition is a constant of the file, nested ones
        included; the graph itself where there is none.
    """
    while True:
        found = _outermost_flat(graph)
        if found is graph:
            return graph
        graph = found


def _outermost_flat(graph: Graph) -> Graph:
    """Lay flat all such nodes that are in no branch of another one."""
    constants = flatten(graph).graph.constants
    fed = fed_constants(graph)
    parts = subgraphs(graph)
    taken: dict[Path, dict[int, str]] = {}
    for part in parts:
        if any(part.path[:depth] in taken and part.path[depth][0] in taken[part.path[:depth]]
               for depth in range(len(part.path))):  # fmt: skip
            continue
        own = {}
        for node in part.graph.nodes:
            condition = part.unique(node.input(0))
            if node.op == "If" and not node.domain and condition in constants.keys() - fed:
                own[node.index] = "then_branch" if constants[condition].all() else "else_branch"
        if own:
            taken[part.path] = own
    if not taken:
        return graph
    source: Source = graph.source
    message = onnx.ModelProto()
    message.CopyFrom(source.message)
    names = {part.path: part for part in parts}
    # From the inside out: an index in a path is that of the node before any is gone.
    for part in reversed(parts):
        if part.path in taken:
            _lay(body(message.graph, part), part, taken[part.path], names)
    return read_again(graph, with_message(source, message, source.weights))


def _lay(
    part: onnx.GraphProto,
    own: Subgraph,
    taken: Mapping[int, str],
    parts: Mapping[Path, Subgraph],
) -> None:
    """Lay branches into the graph that they are in, in place."""
    nodes: list[onnx.NodeProto] = []
    for index, node in enumerate(part.node):
        if index not in taken:
            nodes.append(node)
            continue
        branch = next(a.g for a in node.attribute if a.name == taken[index])
        nodes += _inlined(node, branch, (*own.path, (index, taken[index])), parts)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del part.node[:]
    part.node.extend(copies)


def _inlined(
    node: onnx.NodeProto, branch: onnx.GraphProto, path: Path, parts: Mapping[Path, Subgraph]
) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a branch under names that are free, its constants among them."""
    inner = parts[path]
    names = {name: inner.unique(name) for name in _names_in(branch)}
    # What the branch makes takes the name under which the If returned it; what it returns twice,
    # or merely hands on, gets there through an Identity.
    handed: list[tuple[str, str]] = []
    for value, name in zip(branch.output, node.output, strict=False):
        if name and value.name in names and names[value.name] == inner.unique(value.name):
            names[value.name] = name
        elif name:
            handed.append((value.name, name))
    for tensor in branch.initializer:
        # A Constant node, since files of the first IR versions declare initializers as inputs.
        made = onnx.helper.make_node("Constant", [], [names[tensor.name]])
        attribute = made.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
        attribute.t.CopyFrom(tensor)
        yield made
    for index, each in enumerate(branch.node):
        _rename(each, (*path, index), names, parts)
        yield each
    for source, name in handed:
        yield onnx.helper.make_node("Identity", [names.get(source, source)], [name])


def _rename(
    node: onnx.NodeProto,
    place: tuple[object, ...],
    names: Mapping[str, str],
    parts: Mapping[Path, Subgraph],
) -> None:
    """Rename what a node reads and makes, and all in the bodies in it, in place.

    Args:
        node: The node.
        place: The path of the graph that it is in, and its index there.
        names: The new names, by those that are used there.
        parts: The graphs of the model before it was changed.
    """
    for side in (node.input, node.output):
        side[:] = [names.get(name, name) for name in side]
    *path, index = place
    for attribute in node.attribute:
        if attribute.type != onnx.AttributeProto.GRAPH:
            continue
        part, within = attribute.g, (*path, (index, attribute.name))
        # Around it there are other names from now on, and its own shall be none of these.
        own = {name: parts[within].unique(name) for name in _names_in(part)}  # type: ignore[index]
        inner = {**names, **own}
        for number, each in enumerate(part.node):
            _rename(each, (*within, number), inner, parts)
        for value in (*part.input, *part.initializer, *part.output, *part.value_info):
            value.name = inner.get(value.name, value.name)


def _names_in(part: onnx.GraphProto) -> set[str]:
    """Return the names of all that a graph is fed, holds or makes itself."""
    names = {value.name for value in part.input} | {tensor.name for tensor in part.initializer}
    return names | {name for node in part.node for name in node.output if name}
