"""What a file may say in several ways, or leave out, brought into one before it is read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from wrg_onnx.errors import ModelError, one_line
from wrg_onnx.graph.external import ExternalData

DENSE_COUNT = 1 << 28
"""How many values a sparse initializer may stand for."""


def check_texts(model: onnx.ModelProto, name: str) -> None:
    """Refuse names that are no text: protobuf hands them out as bytes."""
    for part in _graphs(model):
        names = [part.name, *(t.name for t in part.initializer)]
        names += [info.name for side in (part.input, part.output) for info in side]
        for tensor in part.initializer:
            names += [text for e in tensor.external_data for text in (e.key, e.value)]
        for node in part.node:
            names += (node.op_type, node.domain, node.name, *node.input, *node.output)
            names += [attribute.name for attribute in node.attribute]
        if not all(isinstance(text, str) for text in names):
            raise ModelError(f"'{name}': not an ONNX model (a name in it is no UTF-8)")


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """Yield the graph and the bodies in it."""
    found: list[Any] = [model.graph]
    for part in found:  # grows while it is walked
        found += [a.g for node in part.node for a in node.attribute if a.HasField("g")]
    yield from found


def settle(model: onnx.ModelProto) -> None:
    """Write what may be left out, and what has two names, in one way, in place.

    The standard domain is called by its short name, the empty one; attributes get their type, which
    the first files leave out.
    """
    for imports in (model.opset_import, *(f.opset_import for f in model.functions)):
        for one in imports:
            if one.domain == "ai.onnx":
                one.domain = ""
    for part in (*_graphs(model), *model.functions):
        for node in part.node:
            if node.domain == "ai.onnx":
                node.domain = ""
            for attribute in node.attribute:
                if not attribute.type:
                    attribute.type = _type_of(attribute)


_KINDS = {
    name: onnx.AttributeProto.AttributeType.Value(kind)
    for name, kind in (
        ("f", "FLOAT"), ("i", "INT"), ("s", "STRING"), ("t", "TENSOR"), ("g", "GRAPH"),
        ("floats", "FLOATS"), ("ints", "INTS"), ("strings", "STRINGS"),
    )
}  # fmt: skip


def _type_of(attribute: onnx.AttributeProto) -> int:
    """Tell the type of an attribute by what it holds."""
    held = {field.name for field, _ in attribute.ListFields()}
    return next((kind for name, kind in _KINDS.items() if name in held), 0)


def densify(part: onnx.GraphProto, external: ExternalData, name: str) -> None:
    """Write sparse initializers as what they stand for."""
    for sparse in part.sparse_initializer:
        for tensor in (sparse.values, sparse.indices):
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                file, payload = external.find(tensor)
                tensor.ClearField("external_data")
                tensor.ClearField("data_location")
                tensor.raw_data = file.read(payload.offset, payload.length).tobytes()
        part.initializer.append(_dense(sparse, name))
    del part.sparse_initializer[:]
    for node in part.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                densify(attribute.g, external, name)


def _dense(sparse: onnx.SparseTensorProto, name: str) -> onnx.TensorProto:
    if math.prod(sparse.dims) >= DENSE_COUNT:
        raise _vague(sparse, name, "they are too many to be written out")
    try:
        values, indices = map(numpy_helper.to_array, (sparse.values, sparse.indices))
        dense = np.zeros(tuple(sparse.dims), values.dtype)
        # (NNZ,) places in the flat array, or (NNZ, rank) places along each axis.
        where = (indices,) if indices.ndim == 1 else tuple(indices.T)
        target = dense.reshape(-1) if indices.ndim == 1 else dense
        target[where] = values
        found = numpy_helper.from_array(dense, sparse.values.name)
        below = any((i < 0).any() for i in where)
    except (ValueError, TypeError, KeyError, IndexError, MemoryError, NotImplementedError) as error:
        raise _vague(sparse, name, one_line(error)) from error
    if below:
        raise _vague(sparse, name, "a place is below 0")
    return found


def _vague(sparse: onnx.SparseTensorProto, name: str, why: str) -> ModelError:
    return ModelError(
        f"'{name}': sparse tensor '{sparse.values.name}' does not describe its "
        f"{list(sparse.dims)} values ({why})"
    )
