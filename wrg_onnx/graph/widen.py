"""Float32 in the place of bfloat16, for ONNX Runtime, whose CPU has few kernels for the latter.

Every bfloat16 is a float32, so values stay what they are; what is computed of them is rounded less.
Graphs keep their types: only the messages that sessions are made of are widened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
from onnx import numpy_helper

from wrg_onnx.graph.message import bodies
from wrg_onnx.graph.model import Array, Graph, Value
from wrg_onnx.graph.records import as_array, tensors
from wrg_onnx.graph.weights import Derived, Entry, is_bfloat16

_BFLOAT16, _FLOAT = onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT

_TYPES = (
    "dtype",
    "output_datatype",
    "output_dtype",
    "precision",
    "softmax_precision",
    "stash_type",
    "to",
)
"""Attributes that name an element type."""


def holds_bfloat16(part: onnx.GraphProto) -> bool:
    """Tell whether anything in a graph, or in a body of it, is of bfloat16."""
    return (
        any(tensor.data_type == _BFLOAT16 for tensor in tensors(part))
        or any(kind.elem_type == _BFLOAT16 for kind in _declared(part))
        or any(attribute.i == _BFLOAT16 for attribute in _naming(part))
    )


def widen_message(part: onnx.GraphProto) -> None:
    """Put float32 in the place of bfloat16, in place: in tensors, declared types and attributes.

    Args:
        part: The graph, whose tensors hold their values; its bodies are widened, too.
    """
    for tensor in tensors(part):
        if tensor.data_type == _BFLOAT16:
            wide = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    for kind in _declared(part):
        if kind.elem_type == _BFLOAT16:
            kind.elem_type = _FLOAT
    for attribute in _naming(part):
        if attribute.i == _BFLOAT16:
            attribute.i = _FLOAT


def as_widened(graph: Graph) -> Graph:
    """Return a graph of which sessions are widened, with the types that these take and return."""
    inputs, outputs = (tuple(map(_wide, values)) for values in (graph.inputs, graph.outputs))
    return replace(graph, inputs=inputs, outputs=outputs, widened=True)


def _wide(value: Value) -> Value:
    is_half = is_bfloat16(value.dtype)
    return replace(value, dtype=np.dtype(np.float32)) if is_half else value


def widen_entry(entry: Entry) -> Entry:
    """Return a weight of bfloat16 as one of float32, made when it is asked for; others as is."""
    if not is_bfloat16(entry.dtype):
        return entry
    return Derived(entry.shape, np.dtype(np.float32), partial(_read_wide, entry))


def _read_wide(entry: Entry) -> Array:
    return as_array(entry).astype(np.float32)


def widen_arrays(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return arrays by name, those of bfloat16 as float32."""
    return {
        name: array.astype(np.float32) if is_bfloat16(array.dtype) else array
        for name, array in arrays.items()
    }


def _declared(
    part: onnx.GraphProto,
) -> Iterator[onnx.TypeProto.Tensor | onnx.TypeProto.SparseTensor]:
    """Yield the types of tensors that a graph and its bodies declare."""
    for value in (*part.input, *part.output, *part.value_info):
        yield from _tensor_types(value.type)
    for node in part.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TYPE_PROTO:
                yield from _tensor_types(attribute.tp)
    for body in bodies(part):
        yield from _declared(body)


def _tensor_types(
    kind: onnx.TypeProto,
) -> Iterator[onnx.TypeProto.Tensor | onnx.TypeProto.SparseTensor]:
    """Yield what is declared of the tensors that a value is, or is made of."""
    match kind.WhichOneof("value"):
        case "tensor_type":
            yield kind.tensor_type
        case "sparse_tensor_type":
            yield kind.sparse_tensor_type
        case "sequence_type":
            yield from _tensor_types(kind.sequence_type.elem_type)
        case "optional_type":
            yield from _tensor_types(kind.optional_type.elem_type)
        case "map_type":
            yield from _tensor_types(kind.map_type.value_type)


def _naming(part: onnx.GraphProto) -> Iterator[onnx.AttributeProto]:
    """Yield the attributes of a graph and its bodies that name an element type."""
    for node in part.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.INT and attribute.name in _TYPES:
                yield attribute
    for body in bodies(part):
        yield from _naming(body)
