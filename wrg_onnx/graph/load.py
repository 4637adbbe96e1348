"""Read an ONNX file: its message, its weights, and what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from google.protobuf.message import DecodeError
from onnx import external_data_helper, inliner, numpy_helper
from onnx_graphsurgeon.logger import G_LOGGER

from wrg_onnx.errors import ModelError, one_line
from wrg_onnx.graph.from_graphsurgeon import Source, read_graph
from wrg_onnx.graph.model import Array, Graph, captured

LARGE_COUNT = 1024
"""Tensors of at least this many elements leave the protobuf message as soon as it is parsed."""

OLDEST_OPSET = 7

# The library reports through exceptions alone; graphsurgeon would print what it then raises.
G_LOGGER.severity = G_LOGGER.CRITICAL + 1


def load(path: Path | str) -> Graph:
    """Read an ONNX model; local functions are inlined.

    Weights may be initializers, Constant nodes, initializers that are graph inputs too, and
    external data beside the file.

    Args:
        path: The ``.onnx`` file.

    Returns:
        The model. Each weight is held once, as a read-only array.

    Raises:
        ModelError: If the file is absent, is not an ONNX model, is truncated, lacks its external
            data, or uses an opset older than 7.
    """
    path = Path(path)
    model = _parse(path)
    try:
        external_data_helper.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(
            f"'{path}': its external data cannot be read ({one_line(error)}); "
            "put the data file beside the model"
        ) from error
    return from_proto(model, name=str(path))


def from_message(model: onnx.ModelProto) -> Graph:
    """Read an ONNX model that is in memory, and leave it as it is.

    Args:
        model: The model with its weights. Messages call it by its graph's name.

    Returns:
        As ``load``.

    Raises:
        ModelError: If it is not a valid model, or its external data was not loaded.
    """
    name = model.graph.name or "model"
    if not model.ir_version or not model.opset_import or not model.graph.node:
        raise ModelError(f"'{name}': not an ONNX model (no IR version, opset or node in it)")
    for tensor in all_tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ModelError(
                f"'{name}': the external data of '{tensor.name}' is not loaded: onnx.load(path) "
                "loads it, or give the path in place of the model"
            )
    taken = onnx.ModelProto()
    taken.CopyFrom(model)
    return from_proto(taken, name=name)


def from_proto(model: onnx.ModelProto, *, name: str) -> Graph:
    """Turn a parsed model into records; takes the message over and empties it.

    Args:
        model: The model, external data loaded. Its large tensors are cleared.
        name: What messages call it.

    Raises:
        ModelError: If the graph is not a valid one.
    """
    opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}
    if opsets.get("", OLDEST_OPSET) < OLDEST_OPSET:
        raise ModelError(
            f"'{name}': opset {opsets['']} is older than {OLDEST_OPSET}, the oldest supported; "
            "convert it with onnx.version_converter"
        )
    if model.functions:
        try:
            model = inliner.inline_local_functions(model)
        except (onnx.checker.ValidationError, RuntimeError) as error:
            raise ModelError(
                f"'{name}': its local functions cannot be inlined ({one_line(error)})"
            ) from error
    # Arrays are taken out first, so that no copy of the message carries them along.
    weights = _take_weights(model.graph, name)
    # A fresh copy, because a protobuf arena keeps the memory of cleared fields.
    slim = onnx.ModelProto()
    slim.CopyFrom(model)
    del model
    initializers = {t.name for t in slim.graph.initializer}
    initializers |= {t.values.name for t in slim.graph.sparse_initializer}
    input_names = tuple(value.name for value in slim.graph.input)
    surgeon = gs.import_onnx(slim)
    _attach(surgeon, weights, name)
    as_read = [] if _sort(surgeon, name) else _message(slim, weights)
    header = onnx.ModelProto()
    header.CopyFrom(slim)
    header.ClearField("graph")
    held = set(surgeon.tensors())
    aside = {
        tensor.name: _stored(tensor, weights)
        for tensor in slim.graph.initializer
        if tensor.name not in held
    }
    fed = frozenset(initializers & set(input_names))
    source = Source(surgeon, header, fed, input_names, aside, as_read)
    graph = read_graph(source, name=name, opsets=opsets)
    _check_names(graph)
    return graph


def _message(
    slim: onnx.ModelProto, weights: Mapping[str, Array]
) -> list[tuple[onnx.ModelProto, tuple[str, ...]]]:
    """Keep the message as it was read, if all that was taken out of it are initializers."""
    attributes = (a for node in slim.graph.node for a in node.attribute)
    if any(a.type == onnx.AttributeProto.GRAPH for a in attributes):
        return []
    large = [tensor for tensor in slim.graph.initializer if tensor.doc_string in weights]
    plain = all(weights[tensor.doc_string].dtype.kind in "fiub" for tensor in large)
    if len(large) < len(weights) or not plain:
        return []
    message = onnx.ModelProto()
    message.CopyFrom(slim)
    del message.graph.initializer[:], message.graph.value_info[:]
    small = (tensor for tensor in slim.graph.initializer if tensor.doc_string not in weights)
    message.graph.initializer.extend(small)
    return [(message, tuple(tensor.name for tensor in large))]


def _check_names(graph: Graph) -> None:
    """Refuse tensors that nothing makes, or that two nodes make."""
    known = {value.name for value in graph.inputs} | set(graph.constants)
    for node in graph.nodes:
        for tensor in sorted({*node.inputs, *captured(node)} - known - {""}):
            raise ModelError(f"'{graph.name}': {node} reads '{tensor}', which nothing makes")
        for tensor in node.outputs:
            if tensor and tensor in known:
                raise ModelError(f"'{graph.name}': {node} makes '{tensor}', which is made already")
            known.add(tensor)
    for value in graph.outputs:
        if value.name not in known:
            raise ModelError(f"'{graph.name}': nothing makes the output '{value.name}'")


def stored_bytes(path: Path, graph: Graph) -> int:
    """Return the size of a model file and of what it holds as external data."""
    size = path.stat().st_size
    if size >= sum(array.nbytes for array in graph.constants.values()):
        return size
    # Weights outside, or wider in memory (4 bits) than in the file: the message is small to read.
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    outside = (
        {entry.key: entry.value for entry in tensor.external_data}
        for tensor in tensors
        if tensor.data_location == onnx.TensorProto.EXTERNAL
    )
    return size + sum(int(entries.get("length", 0)) for entries in outside)


def _parse(path: Path) -> onnx.ModelProto:
    try:
        # Whatever its name ends in: onnx would read a .json or .txt as text.
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except FileNotFoundError as error:
        raise ModelError(f"'{path}': no such file") from error
    except OSError as error:
        raise ModelError(f"'{path}': cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise ModelError(
            f"'{path}': not an ONNX model, or a truncated one "
            f"({path.stat().st_size} bytes do not parse); export or copy it again"
        ) from error
    if not model.ir_version or not model.opset_import or not model.graph.node:
        raise ModelError(f"'{path}': not an ONNX model (no IR version, opset or node in it)")
    return model


def all_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield the initializers and the attribute tensors of a graph and of its bodies."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from all_tensors(attribute.g)


def _take_weights(graph: onnx.GraphProto, name: str) -> dict[str, Array]:
    """Move the large tensors out of the message; a key stands in for each."""
    weights: dict[str, Array] = {}
    for number, tensor in enumerate(all_tensors(graph)):
        if math.prod(tensor.dims) < LARGE_COUNT:
            continue
        try:
            array = numpy_helper.to_array(tensor)
        except (ValueError, TypeError) as error:
            raise _short(name, tensor.name, tensor.dims, error) from error
        key = f"weight {number}"
        weights[key] = array
        for payload in ("raw_data", "float_data", "int32_data", "int64_data", "double_data",
                        "uint64_data", "string_data", "external_data"):  # fmt: skip
            tensor.ClearField(payload)
        tensor.ClearField("data_location")
        tensor.doc_string = key
    return weights


def _short(name: str, tensor: str, shape: Iterable[int], error: Exception) -> ModelError:
    return ModelError(
        f"'{name}': tensor '{tensor}' does not hold its {list(shape)} values ({one_line(error)})"
    )


def _stored(tensor: onnx.TensorProto, weights: Mapping[str, Array]) -> Array:
    array = weights.get(tensor.doc_string)
    array = numpy_helper.to_array(tensor) if array is None else array
    array.setflags(write=False)
    return array


def _attach(surgeon: gs.Graph, weights: Mapping[str, Array], name: str) -> None:
    """Give the graph's constants their arrays; no protobuf message stays behind."""
    for graph in [surgeon, *surgeon.subgraphs(recursive=True)]:
        held = [t for t in graph.tensors().values() if isinstance(t, gs.Constant)]
        held += [v for n in graph.nodes for v in n.attrs.values() if isinstance(v, gs.Constant)]
        for tensor in held:
            lazy = tensor._values  # noqa: SLF001 - the public property would load the empty message
            key = getattr(getattr(lazy, "tensor", None), "doc_string", "")
            if key in weights:
                tensor.values = weights[key]
            elif not isinstance(lazy, np.ndarray):
                try:
                    tensor.values = np.asarray(tensor.values)
                except (ValueError, TypeError) as error:
                    raise _short(name, tensor.name, tensor.shape, error) from error
            tensor.data_location = None
            tensor.values.setflags(write=False)


def _sort(surgeon: gs.Graph, name: str) -> bool:
    """Bring the nodes into topological order; tell whether the file does not have them so."""
    # Sorting takes time, and may bring nodes that are in order into another one.
    made = {t.name for t in surgeon.inputs}
    for node in surgeon.nodes:
        for tensor in node.inputs:
            if tensor.inputs and tensor.name not in made and not isinstance(tensor, gs.Constant):
                try:
                    surgeon.toposort()
                except Exception as error:  # graphsurgeon raises a bare exception of its own
                    raise ModelError(
                        f"'{name}': the graph has a cycle (through {node.op} '{node.name}')"
                    ) from error
                return True
        made.update(t.name for t in node.outputs)
    return False
