"""Read an ONNX file: its message, where its weights are, and what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from wrg_onnx.errors import ModelError, one_line
from wrg_onnx.graph.external import ExternalData
from wrg_onnx.graph.functions import inline
from wrg_onnx.graph.mapped import Bytes, HeldBytes, MappedFile, Stored
from wrg_onnx.graph.message import infer_outputs
from wrg_onnx.graph.model import Graph, captured
from wrg_onnx.graph.order import sort_nodes
from wrg_onnx.graph.records import (
    LARGE_COUNT,
    Source,
    new_key,
    read_graph,
    tensors,
)
from wrg_onnx.graph.screen import screen
from wrg_onnx.graph.settle import densify, settle
from wrg_onnx.graph.weights import Entry, held
from wrg_onnx.graph.wire import ExcessError, Payload, key_of, refer, take_payloads

OLDEST_OPSET = 7

_ANY_SIZE = (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING)
"""Tensors of these types stay in the message: their elements are of any length."""

_PACKED = frozenset(
    number
    for name, number in onnx.TensorProto.DataType.items()
    if name in ("INT4", "UINT4", "FLOAT4E2M1", "INT2", "UINT2", "FLOAT6E2M3", "FLOAT6E3M2")
)
"""Types of which a byte holds several elements, or parts of them."""


def load(path: Path | str) -> Graph:
    """Read an ONNX model; local functions are inlined.

    Weights may be initializers, dense or sparse, Constant nodes, initializers that are graph inputs
    too, and external data beside the file.

    Args:
        path: The ``.onnx`` file. It must stay as it is as long as the graph is used: large weights
            are read from it when they are asked for.

    Returns:
        The model.

    Raises:
        ModelError: If the file is absent, is not an ONNX model, is truncated, lacks its external
            data, or uses an opset older than 7.
    """
    path = Path(path)
    try:
        file = MappedFile(path)
    except FileNotFoundError as error:
        raise ModelError(f"'{path}': no such file") from error
    except OSError as error:
        raise ModelError(f"'{path}': cannot be read: {error.strerror}") from error
    except ValueError as error:  # a zero in it
        raise ModelError(f"{str(path)!r}: no path ({error})") from error
    return _read(file, name=str(path), folder=path.parent)


def from_bytes(content: bytes | bytearray | memoryview, *, name: str = "model") -> Graph:
    """Read an ONNX model that is in memory as the bytes of a file.

    Args:
        content: The bytes. Large weights are views of them.
        name: What messages call it.

    Returns:
        As ``load``.

    Raises:
        ModelError: As ``load``, or if its weights are outside of it.
    """
    held = np.frombuffer(content, np.uint8)
    held.setflags(write=False)
    return _read(HeldBytes(held), name=name, folder=None)


def from_message(model: onnx.ModelProto) -> Graph:
    """Read an ONNX model that is in memory, and leave it as it is.

    Args:
        model: The model with its weights. Messages call it by its graph's name.

    Returns:
        As ``load``.

    Raises:
        ModelError: If it is not a valid model, is larger than a message may be, or its external
            data was not loaded.
    """
    return from_proto(model, name=model.graph.name or "model")


def from_proto(model: onnx.ModelProto, *, name: str) -> Graph:
    """Read an ONNX model that is in memory, and leave it as it is.

    Args:
        model: The model with its weights.
        name: What messages call it.

    Returns:
        As ``load``.

    Raises:
        ModelError: As ``from_message``.
    """
    try:
        content = model.SerializeToString()
    except (ValueError, RuntimeError) as error:  # protobuf raises either
        raise ModelError(
            f"'{name}': a message of more than 2 GiB cannot be read from memory: give the path of "
            f"its file ({one_line(error)})"
        ) from error
    return from_bytes(content, name=name)


def _read(content: Bytes, *, name: str, folder: Path | None) -> Graph:
    """Read a model from the bytes of its file."""
    places: dict[str, Payload] = {}

    def place(payload: Payload) -> str:
        key = new_key()
        places[key] = payload
        return key

    model = _parsed(content, place, name)
    settle(model)
    _check_opset(model, name)
    screen(model, name)
    model = inline(model, name)
    sort_nodes(model, name)
    external = ExternalData(folder, name)
    densify(model.graph, external, name)
    weights: dict[str, Entry] = {}
    for tensor in tensors(model.graph):
        if any(size < 0 for size in tensor.dims):
            raise _short(name, tensor, "a size below 0")
        key = key_of(tensor)
        if key in places:
            payload = places[key]
            _take(tensor, content, payload.offset, payload.length, weights, name)
        elif tensor.data_location == onnx.TensorProto.EXTERNAL:
            file, payload = external.find(tensor)
            _take(tensor, file, payload.offset, payload.length, weights, name)
        elif _count(tensor) >= LARGE_COUNT and tensor.data_type not in _ANY_SIZE:
            _take_values(tensor, weights, name)
    size = content.size + external.length
    files = (content,) if isinstance(content, MappedFile) else ()
    source = Source(model, weights, (*files, *external.files), size)
    graph = read_graph(source, name=name)
    _check_names(graph)
    if infer_outputs(graph):
        graph = read_graph(source, name=name)
    return graph


def _parsed(content: Bytes, place: Callable[[Payload], str], name: str) -> onnx.ModelProto:
    """Parse a message without the payloads of its large tensors."""
    try:
        model = take_payloads(content.read(0, content.size).data, place)
    except ExcessError as error:
        raise ModelError(f"'{name}': not a sound model: {error}") from error
    except DecodeError as error:
        raise ModelError(
            f"'{name}': not an ONNX model, or a truncated one ({content.size} bytes do not parse); "
            "export or copy it again"
        ) from error
    if not model.ir_version or not model.opset_import or not model.graph.node:
        raise ModelError(f"'{name}': not an ONNX model (no IR version, opset or node in it)")
    return model


def _check_opset(model: onnx.ModelProto, name: str) -> None:
    for one in model.opset_import:
        if not one.domain and one.version < OLDEST_OPSET:
            raise ModelError(
                f"'{name}': opset {one.version} is older than {OLDEST_OPSET}, the oldest "
                "supported; convert it with onnx.version_converter"
            )


def _count(tensor: onnx.TensorProto) -> int:
    return math.prod(tensor.dims)


def _take(
    tensor: onnx.TensorProto,
    content: Bytes,
    offset: int,
    length: int,
    weights: dict[str, Entry],
    name: str,
) -> None:
    """Let a tensor refer to its bytes; a small one gets them."""
    if _count(tensor) < LARGE_COUNT or tensor.data_type in _PACKED or tensor.data_type in _ANY_SIZE:
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = content.read(offset, length).tobytes()
        if _count(tensor) >= LARGE_COUNT and tensor.data_type not in _ANY_SIZE:
            _take_values(tensor, weights, name)
        return
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
    except KeyError as error:
        raise _short(name, tensor, f"unknown type {tensor.data_type}") from error
    if length != _count(tensor) * dtype.itemsize:
        raise _short(name, tensor, f"{length} bytes of {dtype}")
    key = new_key()
    weights[key] = held(Stored(content, offset, dtype, tuple(tensor.dims)))
    refer(tensor, key)


def _take_values(tensor: onnx.TensorProto, weights: dict[str, Entry], name: str) -> None:
    """Bring the values of a tensor into memory that the message holds as a list, or packed."""
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:
        raise _short(name, tensor, one_line(error)) from error
    array.setflags(write=False)
    key = new_key()
    weights[key] = array
    refer(tensor, key)


def _short(name: str, tensor: onnx.TensorProto, why: str) -> ModelError:
    shape = list(tensor.dims)
    return ModelError(f"'{name}': tensor '{tensor.name}' does not hold its {shape} values ({why})")


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


def stored_bytes(graph: Graph) -> int:
    """Return the size of a model's file and of what it holds as external data.

    Of a model that was in memory it is that of its message; a graph that was edited has the size of
    the file that it came from.
    """
    source: Source = graph.source
    return source.stored_bytes
