"""The one way a graph is changed: constants and attributes, on a copy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import onnx
import onnx_graphsurgeon as gs

from wrg_onnx.graph.from_graphsurgeon import Source, read_graph
from wrg_onnx.graph.model import Array, Attribute, Graph, Node
from wrg_onnx.graph.subgraphs import Subgraph, subgraphs


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """What to change in a graph, by the names and indices of the flat one.

    Attributes:
        constants: New values of initializers and Constant nodes, by tensor name.
        attributes: New attributes by node index; None removes one.
        operands: New constant operands by (node index, input position). The node gets a constant of
            its own, so that other readers of the same tensor keep theirs. None leaves an optional
            operand out.
        bypassed: By tensor, the one that its readers get instead; outputs of the graph stay.
        copies: By (node index, input position), both of the main graph: the node that makes this
            input is copied for this reader alone, with these constant operands by input position.
        biases: By index of a node of the main graph: what an Add of its own, behind the node, adds
            to its first output. The sum has the old name.
        metadata: New notes by key.
    """

    constants: Mapping[str, Array] = field(default_factory=dict)
    attributes: Mapping[int, Mapping[str, Attribute | None]] = field(default_factory=dict)
    operands: Mapping[tuple[int, int], Array | None] = field(default_factory=dict)
    bypassed: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[tuple[int, int], Mapping[int, Array]] = field(default_factory=dict)
    biases: Mapping[int, Array] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


def edited(graph: Graph, edit: Edit) -> Graph:
    """Return a copy of the graph with the edit applied; arrays that it leaves alone are shared.

    Args:
        graph: The graph to copy.
        edit: What to change.

    Returns:
        The new graph; tensor names are those of the old one, and without copies and biases node
        indices too.
    """
    source: Source = graph.source
    surgeon = source.surgeon.copy()
    taken: set[str] = set(source.aside)
    # By their indices in the flat graph, whatever is put between them later.
    nodes: dict[int, gs.Node] = {}
    for subgraph in subgraphs(graph):
        part = _find(surgeon, subgraph)
        _set_constants(part, subgraph, edit.constants)
        taken.update(part.tensors())
        nodes.update({subgraph.first + index: node for index, node in enumerate(part.nodes)})
    for index, attributes in edit.attributes.items():
        node = nodes[index]
        node.attrs = {**node.attrs, **attributes}
        node.attrs = {k: _to_surgeon(v) for k, v in node.attrs.items() if v is not None}
    _bypass(surgeon, edit.bypassed)
    for (index, position), array in edit.operands.items():
        node = nodes[index]
        if array is None:
            node.inputs[position] = gs.Variable.empty()
            continue
        # The operand keeps the old name with a suffix; a name that is new takes the node's.
        old = node.inputs[position].name if position < len(node.inputs) else ""
        constant = gs.Constant(_free_name(old or f"{node.name or node.op}_operand", taken), array)
        taken.add(constant.name)
        while len(node.inputs) <= position:
            node.inputs.append(gs.Variable.empty())
        node.inputs[position] = constant
    for (index, position), operands in edit.copies.items():
        _copy_maker(surgeon, nodes[index], position, operands, taken)
    for index, array in edit.biases.items():
        _add_bias(surgeon, nodes[index], array, taken)
    aside = {name: edit.constants.get(name, array) for name, array in source.aside.items()}
    header = _with_notes(source.header, edit.metadata)
    source = replace(source, surgeon=surgeon, header=header, aside=aside, exported=[])
    return read_graph(source, name=graph.name, opsets=graph.opsets)


def _with_notes(header: onnx.ModelProto, notes: Mapping[str, str]) -> onnx.ModelProto:
    if not notes:
        return header
    noted = onnx.ModelProto()
    noted.CopyFrom(header)
    old = {entry.key: entry.value for entry in header.metadata_props}
    onnx.helper.set_model_props(noted, old | dict(notes))
    return noted


def _find(surgeon: gs.Graph, subgraph: Subgraph) -> gs.Graph:
    """Walk down to a body."""
    for index, attribute in subgraph.path:
        surgeon = surgeon.nodes[index].attrs[attribute]
    return surgeon


def _set_constants(part: gs.Graph, subgraph: Subgraph, constants: Mapping[str, Array]) -> None:
    """Write new values, also into the copies of outer constants that graphsurgeon makes."""
    for name, tensor in part.tensors().items():
        # An initializer is a Constant of graphsurgeon; what a Constant node makes is a variable.
        values = constants.get(subgraph.unique(name))
        if values is None:
            continue
        if isinstance(tensor, gs.Constant):
            tensor.values = values
        elif tensor.inputs and tensor.inputs[0].op == "Constant":
            tensor.inputs[0].attrs = {"value": gs.Constant(name, values)}


def _bypass(surgeon: gs.Graph, bypassed: Mapping[str, str]) -> None:
    tensors = surgeon.tensors()
    for node in surgeon.nodes:
        for position, tensor in enumerate(node.inputs):
            if tensor.name in bypassed:
                node.inputs[position] = tensors[bypassed[tensor.name]]


def _copy_maker(
    surgeon: gs.Graph,
    reader: gs.Node,
    position: int,
    operands: Mapping[int, Array],
    taken: set[str],
) -> None:
    """Put a copy of the node that makes an input before its reader."""
    old = reader.inputs[position]
    maker = old.inputs[0]
    inputs = list(maker.inputs)
    for place, array in operands.items():
        inputs[place] = gs.Constant(_free_name(inputs[place].name, taken), array)
        taken.add(inputs[place].name)
    made = gs.Variable(_free_name(old.name, taken), old.dtype, old.shape)
    taken.add(made.name)
    name = f"{maker.name}_{made.name}" if maker.name else ""
    copy = gs.Node(maker.op, name, dict(maker.attrs), inputs, [made], domain=maker.domain)
    reader.inputs[position] = made
    surgeon.nodes.insert(next(i for i, n in enumerate(surgeon.nodes) if n is reader), copy)


def _add_bias(surgeon: gs.Graph, node: gs.Node, bias: Array, taken: set[str]) -> None:
    """Put an Add behind a node."""
    result = node.outputs[0]
    made = gs.Variable(_free_name(result.name, taken), result.dtype, result.shape)
    constant = gs.Constant(_free_name(f"{result.name}_bias", taken), bias)
    taken.update((made.name, constant.name))
    node.outputs[0] = made
    name = f"{node.name}_bias" if node.name else ""
    add = gs.Node("Add", name, inputs=[made, constant], outputs=[result])
    surgeon.nodes.insert(1 + next(i for i, n in enumerate(surgeon.nodes) if n is node), add)


def _to_surgeon(value: Attribute | gs.Graph) -> Attribute | gs.Graph | list[Attribute]:
    return list(value) if isinstance(value, tuple) else value


def _free_name(stem: str, taken: set[str]) -> str:
    number = 1
    while f"{stem}_pruned{number}" in taken:
        number += 1
    return f"{stem}_pruned{number}"


_NUMBERED = re.compile(r"(.+)_pruned\d+")


def without_additions(graph: Graph) -> tuple[Node, ...]:
    """Return the nodes of a graph, less those that edits have put in."""
    return tuple(node for node in graph.nodes if not _is_copy(graph, node) and not _is_bias(node))


def without_bias(graph: Graph, name: str) -> str:
    """Return the name that a tensor had before an edit put a bias behind it, mostly its own."""
    old = _NUMBERED.fullmatch(name)
    readers = graph.consumers.get(name, ())
    return old[1] if old and len(readers) == 1 and _is_bias(readers[0]) else name


def _is_copy(graph: Graph, node: Node) -> bool:
    old = _NUMBERED.fullmatch(node.outputs[0]) if node.outputs else None
    maker = graph.producers.get(old[1]) if old else None
    return maker is not None and (maker.domain, maker.op) == (node.domain, node.op)


def _is_bias(node: Node) -> bool:
    old = _NUMBERED.fullmatch(node.input(0))
    return node.op == "Add" and old is not None and old[1] == node.outputs[0]
