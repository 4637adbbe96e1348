"""What a file may say in several ways, or leave out, brought into one before it is read."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from wrg_onnx.errors import ModelError, one_line
from wrg_onnx.graph.external import ExternalData

DENSE_COUNT = 1 << 28
"""How many values sparse initializers may stand for, all of a model together."""

LEAST_DENSE_COUNT = 1 << 24
THINNEST = 256
"""As many they may always stand for, and for so many times those that they hold."""


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and the bodies in it."""
    found = [graph]
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
    for part in (*_graphs(model.graph), *model.functions):
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


def densify(graph: onnx.GraphProto, external: ExternalData, name: str) -> None:
    """Write sparse initializers of a graph and of its bodies as what they stand for.

    Raises:
        ModelError: If one does not describe its values, or they stand for far more than they hold.
    """
    held = [(part, sparse) for part in _graphs(graph) for sparse in part.sparse_initializer]
    most = LEAST_DENSE_COUNT + THINNEST * sum(math.prod(s.values.dims) for _, s in held)
    total = 0
    for part, sparse in held:
        for tensor in (sparse.values, sparse.indices):
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                file, payload = external.find(tensor)
                tensor.ClearField("external_data")
                tensor.ClearField("data_location")
                tensor.raw_data = file.read(payload.offset, payload.length).tobytes()
        total += math.prod(sparse.dims)
        if total > min(most, DENSE_COUNT):
            raise _vague(sparse, name, "they are too many to be written out")
        part.initializer.append(_dense(sparse, name))
    for part, _ in held:
        del part.sparse_initializer[:]


def _dense(sparse: onnx.SparseTensorProto, name: str) -> onnx.TensorProto:
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
