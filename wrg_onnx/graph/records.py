"""The records of ``model.py``, read off a message whose large tensors refer to weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from wrg_onnx.errors import ModelError, one_line
from wrg_onnx.graph.additions import read_additions
from wrg_onnx.graph.mapped import MappedFile
from wrg_onnx.graph.model import Attribute, Graph, Kind, Node, Value
from wrg_onnx.graph.weights import Array, Entry, Weights
from wrg_onnx.graph.wire import key_of

LARGE_COUNT = 1024
"""Tensors of at least this many elements are outside of the message."""

_KEYS = itertools.count()


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What the records were read from.

    Attributes:
        message: The model without its large weights: their tensors refer to ``weights``. It is
            never changed. The types that it records of intermediate tensors are those of the file,
            whatever was edited since.
        weights: Large weights by key.
        files: What they are read from.
        stored_bytes: The size of the model's files, of one in memory that of the message.
        light: The messages of ``message.without_weights`` once they are known, by what they lack.
    """

    message: onnx.ModelProto
    weights: Mapping[str, Entry]
    files: tuple[MappedFile, ...]
    stored_bytes: int
    light: dict[tuple[str, ...], onnx.ModelProto] = field(default_factory=dict)


def new_key() -> str:
    """Return a key that no weight has."""
    return str(next(_KEYS))


def entry_of(tensor: onnx.TensorProto, weights: Mapping[str, Entry]) -> Entry:
    """Return the array of a tensor of the message."""
    key = key_of(tensor)
    if key is not None:
        return weights[key]
    found = numpy_helper.to_array(tensor)
    if found.flags.writeable:
        found.setflags(write=False)
    return found


def read_graph(source: Source, *, name: str) -> Graph:
    """Read the records.

    Raises:
        ModelError: If a tensor does not hold its values, or is of an unknown type.
    """
    message = source.message
    opsets = {one.domain: one.version for one in message.opset_import}
    metadata = {entry.key: entry.value for entry in message.metadata_props}
    graph = _read_part(message.graph, source, name, opsets)
    constants = frozenset(graph.constants)
    return Graph(
        name=name,
        nodes=graph.nodes,
        constants=graph.constants,
        inputs=tuple(value for value in graph.inputs if value.name not in constants),
        outputs=graph.outputs,
        opsets=opsets,
        source=source,
        fed_constants=frozenset(v.name for v in graph.inputs) & constants,
        metadata=metadata,
        added=read_additions(metadata, graph),
    )


def _read_part(
    part: onnx.GraphProto, source: Source, name: str, opsets: Mapping[str, int]
) -> Graph:
    """Read the main graph or a body."""
    constants: dict[str, Entry] = {}
    for tensor in part.initializer:
        constants[tensor.name] = _checked(tensor, tensor.name, source, name)
    nodes = []
    for index, node in enumerate(part.node):
        op, domain = node.op_type, node.domain
        if op == "Constant" and not domain and len(node.output) == 1:
            value = _constant_value(node, source, name)
            if value is not None:
                constants[node.output[0]] = value
                continue
        attributes: dict[str, Attribute] = {}
        for attribute in node.attribute:
            found = _attribute(attribute, source, name, opsets)
            if found is not None:
                attributes[attribute.name] = found
        nodes.append(
            Node(
                index=index,
                name=node.name or f"{op}_{index}",
                op=op,
                domain=domain,
                version=opsets.get(domain, 1),
                inputs=tuple(node.input),
                outputs=tuple(node.output),
                attributes=attributes,
            )
        )
    return Graph(
        name=name,
        nodes=tuple(nodes),
        constants=Weights(constants),
        inputs=tuple(_value(value, name) for value in part.input),
        outputs=tuple(_value(value, name) for value in part.output),
        opsets=opsets,
        source=None,
    )


def _checked(tensor: onnx.TensorProto, name: str, source: Source, model: str) -> Entry:
    try:
        return entry_of(tensor, source.weights)
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"'{model}': tensor '{name}' does not hold its {list(tensor.dims)} values "
            f"({one_line(error)})"
        ) from error


def _constant_value(node: onnx.NodeProto, source: Source, model: str) -> Entry | None:
    """Return the tensor of a Constant node, None for forms that stay nodes (sparse, strings)."""
    for attribute in node.attribute:
        if attribute.name == "value":
            return _checked(attribute.t, node.output[0], source, model)
        if attribute.name == "value_float":
            return np.asarray(attribute.f, np.float32)
        if attribute.name == "value_floats":
            return np.asarray(attribute.floats, np.float32)
        if attribute.name == "value_int":
            return np.asarray(attribute.i, np.int64)
        if attribute.name == "value_ints":
            return np.asarray(attribute.ints, np.int64)
    return None


def _attribute(
    attribute: onnx.AttributeProto, source: Source, name: str, opsets: Mapping[str, int]
) -> Attribute | None:
    """Read an attribute; None for kinds that no operator of ours has (types, sparse tensors)."""
    kind = attribute.type
    if kind == onnx.AttributeProto.TENSOR:
        return as_array(_checked(attribute.t, attribute.name, source, name))
    if kind == onnx.AttributeProto.GRAPH:
        return _read_part(attribute.g, source, name, opsets)
    read = _PLAIN.get(kind)
    return None if read is None else read(attribute)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")


_PLAIN: dict[int, Callable[[onnx.AttributeProto], Attribute]] = {
    onnx.AttributeProto.INT: lambda attribute: attribute.i,
    onnx.AttributeProto.INTS: lambda attribute: tuple(attribute.ints),
    onnx.AttributeProto.FLOAT: lambda attribute: attribute.f,
    onnx.AttributeProto.FLOATS: lambda attribute: tuple(attribute.floats),
    onnx.AttributeProto.STRING: lambda attribute: _text(attribute.s),
    onnx.AttributeProto.STRINGS: lambda attribute: tuple(map(_text, attribute.strings)),
}
"""How attributes that are no tensors and no graphs are read, by their type."""


def _value(info: onnx.ValueInfoProto, model: str) -> Value:
    kind = info.type
    tensor = kind.sequence_type.elem_type.tensor_type if kind.HasField("sequence_type") else None
    if kind.HasField("tensor_type"):
        tensor = kind.tensor_type
    dtype, dims = np.dtype(np.float32), None
    if tensor is not None and tensor.elem_type:
        try:
            dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        except KeyError as error:
            raise ModelError(
                f"'{model}': '{info.name}' is of the unknown element type {tensor.elem_type}"
            ) from error
    if tensor is not None and kind.HasField("tensor_type") and tensor.HasField("shape"):
        dims = tuple(_dim(dim) for dim in tensor.shape.dim)
    return Value(info.name, dtype, dims, kind=_KINDS.get(kind.WhichOneof("value"), "tensor"))


_KINDS: dict[str | None, Kind] = {
    "sequence_type": "sequence",
    "map_type": "map",
    "optional_type": "optional value",
    "sparse_tensor_type": "sparse tensor",
}
"""What is no tensor, by the field of its type."""


def _dim(dim: Any) -> int | str | None:
    if dim.dim_param:
        return str(dim.dim_param)
    # A size of 0 or below is an exporter's way to say "unknown".
    return int(dim.dim_value) if dim.dim_value > 0 else None


def all_nodes(part: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph and of the bodies in it."""
    for node in part.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from all_nodes(attribute.g)


def tensors(part: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield the initializers and the attribute tensors of a graph and of its bodies."""
    yield from part.initializer
    for node in part.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from tensors(attribute.g)


def as_array(entry: Entry) -> Array:
    """Return an array, reading it if it is not in memory."""
    return entry if isinstance(entry, np.ndarray) else entry.read()
