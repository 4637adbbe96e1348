"""The one way a graph is changed: constants, attributes and a few wires, on a copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx
from onnx import helper, numpy_helper

from wrg_onnx.graph.additions import with_additions
from wrg_onnx.graph.model import Attribute, Graph
from wrg_onnx.graph.records import LARGE_COUNT, Source, as_array, new_key, read_graph, tensors
from wrg_onnx.graph.rewire import Narrowed, Rewiring, free_name, rewire
from wrg_onnx.graph.subgraphs import Subgraph, subgraphs
from wrg_onnx.graph.weights import Array, Entry
from wrg_onnx.graph.widen import as_widened
from wrg_onnx.graph.wire import key_of, refer

INPUTS_FROM_IR = 4
"""The IR version from which on an initializer need not be a graph input."""


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """What to change in a graph, by the names and indices of the flat one.

    Attributes:
        constants: New values of initializers and Constant nodes, by tensor name; large ones may be
            made when they are asked for.
        attributes: New attributes by node index; None removes one.
        operands: New constant operands by (node index, input position). The node gets a constant of
            its own, so that other readers of the same tensor keep theirs. None leaves an optional
            operand out.
        bypassed: By tensor, the one that its readers get instead; outputs of the graph stay.
        copies: By (node index, input position), both of the main graph: the node that makes this
            input is copied for this reader alone, with these constant operands by input position.
        biases: By index of a node of the main graph: what an Add of its own, behind the node, adds
            to its first output. The sum has the old name.
        narrowed: By index of a node of the main graph: what it sees of its inputs.
        lengths: By what a body is fed or returns: the new length of each axis that is declared with
            another one, None where it stays.
        metadata: New notes by key.
    """

    constants: Mapping[str, Entry] = field(default_factory=dict)
    attributes: Mapping[int, Mapping[str, Attribute | None]] = field(default_factory=dict)
    operands: Mapping[tuple[int, int], Array | None] = field(default_factory=dict)
    bypassed: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[tuple[int, int], Mapping[int, Array]] = field(default_factory=dict)
    biases: Mapping[int, Array] = field(default_factory=dict)
    narrowed: Mapping[int, Narrowed] = field(default_factory=dict)
    lengths: Mapping[str, Sequence[int | None]] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


def edited(graph: Graph, edit: Edit) -> Graph:
    """Return a copy of the graph with the edit applied; arrays that it leaves alone are shared.

    Constants and attributes are written into a copy of the message; onnx-graphsurgeon is asked
    where wires change.

    Args:
        graph: The graph to copy.
        edit: What to change.

    Returns:
        The new graph; tensor names are those of the old one, and without copies and biases node
        indices too.
    """
    source: Source = graph.source
    message = onnx.ModelProto()
    message.CopyFrom(source.message)
    weights = dict(source.weights)
    parts = subgraphs(graph)
    values = {name: _as_entry(array) for name, array in edit.constants.items()}
    changed = [part for part in parts if _set_constants(message, part, values, weights)]
    for index, attributes in edit.attributes.items():
        _set_attributes(_node(message, parts, index), attributes)
    for part in parts if edit.lengths else ():
        _set_lengths(message, part, edit.lengths)
    taken = _names(parts)
    main = message.graph

    def add(part: onnx.GraphProto, stem: str, array: Array) -> str:
        name = free_name(stem, taken)
        tensor = part.initializer.add(name=name)
        set_tensor(tensor, _as_entry(array), weights)
        if message.ir_version < INPUTS_FROM_IR and part is main:
            part.input.append(_declared(tensor))
        return name

    replaced: set[str] = set(edit.bypassed)
    for (index, position), array in edit.operands.items():
        part = _part_of(parts, index)
        own = body(message.graph, part)
        replaced.add(_set_operand(own, index - part.first, position, array, add))
    added: dict[str, str] = {}
    rewiring = Rewiring(edit.bypassed, edit.copies, edit.biases, edit.narrowed)
    if rewiring:
        added = rewire(message, rewiring, taken, add)
        replaced |= _copied_operands(graph, rewiring)
    _drop(message.graph, (replaced & set(graph.constants)) - graph.fed_constants)
    notes = with_additions(edit.metadata, {**graph.added, **added} if added else {})
    if notes:
        old = {entry.key: entry.value for entry in message.metadata_props}
        helper.set_model_props(message, old | notes)
    new = with_message(source, message, weights)
    is_rewired = bool(edit.operands) or bool(rewiring)
    simple = not (is_rewired or edit.attributes or edit.lengths) and all(
        not part.path for part in changed
    )
    if simple and not (set(edit.constants) & graph.fed_constants):
        # Nodes, inputs and outputs are the same: most edits write weights alone.
        constants = graph.constants.changed(
            {name: _kept(array) for name, array in values.items() if name in graph.constants}
        )
        return replace(graph, constants=constants, metadata={**graph.metadata, **notes}, source=new)
    return read_again(graph, new)


def with_message(source: Source, message: onnx.ModelProto, weights: Mapping[str, Entry]) -> Source:
    """Put a changed message in the place of a source's, with those weights that it refers to."""
    used = (key_of(tensor) for tensor in tensors(message.graph))
    kept = {key: weights[key] for key in used if key is not None}
    return replace(source, message=message, weights=kept, light={})


def read_again(graph: Graph, source: Source) -> Graph:
    """Read the records of a changed message; what the user fills inputs with is as before."""
    found = read_graph(source, name=graph.name)
    given = {value.name: value.number for value in graph.inputs}
    inputs = tuple(replace(v, number=given.get(v.name)) for v in found.inputs)
    again = replace(found, inputs=inputs, folded=graph.folded, decided=graph.decided)
    return as_widened(again) if graph.widened else again


def _copied_operands(graph: Graph, rewiring: Rewiring) -> set[str]:
    """Return what the originals of copied nodes read where the copies read constants."""
    nodes = {node.index: node for node in graph.nodes}
    makers = {place: graph.producers[nodes[place[0]].input(place[1])] for place in rewiring.copies}
    return {makers[place].input(p) for place, own in rewiring.copies.items() for p in own}


def _drop(graph: onnx.GraphProto, names: set[str]) -> None:
    """Drop those initializers among some that nothing reads any more."""
    unread = names - _read(graph) if names else names
    if unread:
        # The list is made anew: deleting single entries of a protobuf list is quadratic.
        kept = [tensor for tensor in graph.initializer if tensor.name not in unread]
        copies = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
        del graph.initializer[:]
        graph.initializer.extend(copies)


def _read(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all tensors that nodes, bodies included, and outputs read."""
    names = {value.name for value in graph.output}
    for node in graph.node:
        names.update(node.input)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                names |= _read(attribute.g)
    return names


def body(graph: onnx.GraphProto, subgraph: Subgraph) -> onnx.GraphProto:
    """Walk down to a body."""
    for index, name in subgraph.path:
        graph = next(a.g for a in graph.node[index].attribute if a.name == name)
    return graph


def _part_of(parts: tuple[Subgraph, ...], index: int) -> Subgraph:
    """Find the graph that a node is in, by its index in the flat graph."""
    return next(part for part in reversed(parts) if part.first <= index)


def _node(message: onnx.ModelProto, parts: tuple[Subgraph, ...], index: int) -> onnx.NodeProto:
    """Find a node by its index in the flat graph."""
    part = _part_of(parts, index)
    found: onnx.NodeProto = body(message.graph, part).node[index - part.first]
    return found


def _set_constants(
    message: onnx.ModelProto,
    subgraph: Subgraph,
    constants: Mapping[str, Entry],
    weights: dict[str, Entry],
) -> bool:
    """Write new values into the constants of a graph; tell whether it has any of them."""
    own = {name: constants[u] for name in subgraph.graph.constants
           if (u := subgraph.unique(name)) in constants}  # fmt: skip
    if not own:
        return False
    part = body(message.graph, subgraph)
    fed = {value.name: value for value in part.input}
    for tensor in part.initializer:
        if tensor.name in own:
            set_tensor(tensor, own[tensor.name], weights)
            if tensor.name in fed:
                fed[tensor.name].type.CopyFrom(_declared(tensor).type)
    for node in part.node:
        if node.op_type == "Constant" and node.output and node.output[0] in own:
            _set_constant_node(node, own[node.output[0]], weights)
    return True


def _set_lengths(
    message: onnx.ModelProto, subgraph: Subgraph, lengths: Mapping[str, Sequence[int | None]]
) -> None:
    """Declare other lengths of what a body is fed and returns, where they are declared."""
    if not subgraph.path:
        return  # the interface of a model keeps its sizes
    part = body(message.graph, subgraph)
    for info in (*part.input, *part.output):
        dims = info.type.tensor_type.shape.dim
        new = lengths.get(subgraph.unique(info.name), ())
        for dim, length in zip(dims, new, strict=True) if len(dims) == len(new) else ():
            if length is not None and dim.HasField("dim_value"):
                dim.dim_value = length


def set_tensor(tensor: onnx.TensorProto, entry: Entry, weights: dict[str, Entry]) -> None:
    """Give a tensor other values; its name and what is said about it stay."""
    if entry.size >= LARGE_COUNT and entry.dtype.kind not in "OSU":
        tensor.data_type = helper.np_dtype_to_tensor_dtype(entry.dtype)
        tensor.dims[:] = entry.shape
        key = new_key()
        weights[key] = _read_only(entry)
        refer(tensor, key)
        return
    kept = onnx.TensorProto(
        name=tensor.name, doc_string=tensor.doc_string, metadata_props=tensor.metadata_props
    )
    tensor.CopyFrom(numpy_helper.from_array(as_array(entry)))
    tensor.MergeFrom(kept)


def _as_entry(entry: Entry | np.generic) -> Entry:
    """Make an array of a number: numpy turns one without axes into it wherever it computes."""
    return np.asarray(entry) if isinstance(entry, np.generic) else entry


def _kept(entry: Entry) -> Entry:
    """Copy a small array, as the message does; a large one is not to be written to any more."""
    if isinstance(entry, np.ndarray) and entry.size < LARGE_COUNT:
        entry = entry.copy()
    return _read_only(entry)


def _read_only(entry: Entry) -> Entry:
    if isinstance(entry, np.ndarray):
        entry.setflags(write=False)
    return entry


def _set_constant_node(node: onnx.NodeProto, entry: Entry, weights: dict[str, Entry]) -> None:
    """Give a Constant node other values, as a tensor whatever it had."""
    for attribute in node.attribute:
        if attribute.name == "value":
            set_tensor(attribute.t, entry, weights)
            return
    del node.attribute[:]
    attribute = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    set_tensor(attribute.t, entry, weights)


def _set_operand(
    part: onnx.GraphProto,
    index: int,
    position: int,
    array: Array | None,
    add: Callable[[onnx.GraphProto, str, Array], str],
) -> str:
    """Give a node an operand of its own; return the name of the one that it had."""
    node = part.node[index]
    node.input.extend([""] * (position + 1 - len(node.input)))
    old: str = node.input[position]
    # The operand keeps the old name with a suffix; a name that is new takes the node's.
    stem = old or f"{node.name or node.op_type}_operand"
    node.input[position] = "" if array is None else add(part, stem, array)
    return old


def _names(parts: tuple[Subgraph, ...]) -> set[str]:
    """Return every name that a model uses."""
    names: set[str] = set()
    for part in parts:
        names.update(value.name for value in (*part.graph.inputs, *part.graph.outputs))
        names.update(part.graph.constants)
        for node in part.graph.nodes:
            names.update(node.inputs)
            names.update(node.outputs)
    return names


def _set_attributes(node: onnx.NodeProto, attributes: Mapping[str, Attribute | None]) -> None:
    old = {attribute.name: attribute for attribute in node.attribute}
    for name, value in attributes.items():
        if value is None:
            if name in old:
                node.attribute.remove(old[name])
        elif name in old:
            old[name].CopyFrom(_attribute(name, value, old[name].type))
        else:
            node.attribute.append(_attribute(name, value, None))


def _attribute(name: str, value: Attribute, kind: int | None) -> onnx.AttributeProto:
    if isinstance(value, np.ndarray):
        value = numpy_helper.from_array(value)
    elif isinstance(value, tuple):
        # An empty list does not tell its type.
        return helper.make_attribute(name, list(value), attr_type=None if value else kind)
    return helper.make_attribute(name, value)


def _declared(tensor: onnx.TensorProto) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
