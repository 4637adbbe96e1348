"""Write a model file that is complete and loads, or none at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx

from wrg_onnx.errors import OutputError, UsageError
from wrg_onnx.files import check_output, locked
from wrg_onnx.graph.check import checker_problem
from wrg_onnx.graph.message import payload, to_write
from wrg_onnx.graph.model import Graph
from wrg_onnx.graph.pair import renamed_pair, renamed_single
from wrg_onnx.graph.records import Source, as_array, tensors
from wrg_onnx.graph.weights import Entry, blocks
from wrg_onnx.graph.wire import key_of, put_payloads

ONE_FILE_BYTES = 2**31 - 2**24
"""Protobuf messages end at 2 GiB; larger weights go to ``NAME.data`` beside the model."""

ALIGNMENT = 4096
"""Where a weight begins in the data file: at a multiple of this, so that it can be mapped."""


def check_model_output(path: Path, *, external_data: bool = False, force: bool) -> None:
    """Refuse a path for a model early, before the work is done.

    Args:
        path: Where a model is going to be written.
        external_data: Whether its weights go beside it.
        force: Whether existing files may be replaced.

    Raises:
        OutputError: As ``check_output``, or if a model cannot name the file of its weights, or its
            folder stays locked.
        UsageError: If the name does not end in .onnx.
    """
    check_output(path, force=force)
    if external_data:
        check_output(data_path(path), force=force)
        _check_location(path)
        _check_lock(path)
    if path.suffix.lower() != ".onnx":
        raise UsageError(
            f"output '{path}' must end in .onnx, such as '{path.with_suffix('.onnx')}'"
        )


def data_path(path: Path) -> Path:
    """Return where the weights of a model file go that are not in it."""
    return path.with_name(path.name + ".data")


def _check_location(path: Path) -> None:
    """Refuse a name that a model's message cannot hold; its folder's is not in there."""
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        raise OutputError(
            f"'{path}': a model names the file of its weights in UTF-8, which this name is not: "
            "choose another"
        ) from error


def _check_lock(path: Path) -> None:
    """Refuse a folder that another program keeps locked: both files could not be replaced there."""
    if not path.parent.is_dir():  # it will be made
        return
    try:
        with locked(path.parent):
            return
    except OSError as error:
        raise OutputError(f"'{path}': cannot be written: {error.strerror}") from error


def check_sources(graph: Graph, path: Path, *, external_data: bool) -> None:
    """Refuse to write over a file that weights are read from; the model's own may be replaced.

    Args:
        graph: The model.
        path: Where a model that is made of it is going to be written.
        external_data: Whether its weights go beside it.

    Raises:
        OutputError: If weights are read from there.
    """
    source: Source = graph.source
    targets = {path: source.files[1:]} | ({data_path(path): source.files} if external_data else {})
    for target, files in targets.items():
        if any(file.is_at(target) for file in files):
            raise OutputError(f"'{target}' holds weights of the model: name another output")


def save(
    graph: Graph,
    path: Path,
    *,
    external_data: bool = False,
    force: bool = False,
    ready: Callable[[Path], None] = lambda _: None,
) -> int:
    """Write a graph as an ONNX file, after the checker with full shape inference passed.

    Weights are read, or made, one after another as they are written. The file is written under a
    temporary name in the same folder and then renamed, so that a reader never sees a part of it.

    Args:
        graph: The model.
        path: Where to. Missing folders are made.
        external_data: Whether weights go to ``NAME.data`` beside the file although they fit into
            it.
        force: Whether an existing file may be replaced.
        ready: Told the temporary path of the model, once it is whole and before it takes its place.

    Returns:
        The size of the model's files in bytes, its weights included.

    Raises:
        OutputError: If the path is taken or cannot be written, or the checker refuses the model.
        ModelError: If a file that weights are read from has changed meanwhile.
    """
    check_output(path, force=force)
    source: Source = graph.source
    check_sources(graph, path, external_data=external_data)
    problem = checker_problem(graph)
    if problem is not None:
        raise OutputError(
            f"'{path}': not written, because the ONNX checker refuses the result: {problem}"
        )
    model = to_write(graph)
    keys = [key for key in map(key_of, tensors(model.graph)) if key is not None]
    inside = {key: _written_bytes(source.weights[key]) for key in keys}
    outside: list[onnx.TensorProto] = []
    if external_data or model.ByteSize() + sum(inside.values()) >= ONE_FILE_BYTES:
        outside = [tensor for tensor in tensors(model.graph) if key_of(tensor) is not None]
        check_output(data_path(path), force=force)
        check_sources(graph, path, external_data=True)
        _check_location(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if outside:
            return _save_both(source, path, model, outside, ready)
        with renamed_single(path, data_path(path)) as part:
            size = _write_model(part, model, inside, source)
            ready(part)
    except OSError as error:
        raise OutputError(f"'{path}': cannot be written: {error.strerror}") from error
    return size


def file_bytes(graph: Graph, *, external_data: bool = False) -> int:
    """Return the size that ``save`` would return, without writing anything.

    Args:
        graph: The model.
        external_data: As for ``save``.
    """
    source: Source = graph.source
    model = to_write(graph)
    large = [tensor for tensor in tensors(model.graph) if key_of(tensor) is not None]
    inside = {key_of(tensor) or "": 0 for tensor in large}
    sizes = {key: _written_bytes(source.weights[key]) for key in inside}
    size = 0
    if external_data or model.ByteSize() + sum(sizes.values()) >= ONE_FILE_BYTES:
        for tensor in large:
            length = sizes[key_of(tensor) or ""]
            place = size + -size % ALIGNMENT
            _refer(tensor, "x" * len(f"{graph.name}.data"), place, length)
            size = place + length
        sizes = {}
    return size + sum(
        len(piece) + (0 if key is None else sizes[key]) for piece, key in put_payloads(model, sizes)
    )


def _save_both(
    source: Source,
    path: Path,
    model: onnx.ModelProto,
    outside: list[onnx.TensorProto],
    ready: Callable[[Path], None],
) -> int:
    data = data_path(path)
    with renamed_pair(path, data) as (part, data_part):
        size = _write_data(data_part, outside, source.weights, data.name)
        size += _write_model(part, model, {}, source)
        ready(part)
    return size


def _write_model(
    path: Path, model: onnx.ModelProto, inside: Mapping[str, int], source: Source
) -> int:
    """Write the model with the weights that are in it, one at a time; return its size."""
    with path.open("wb") as stream:
        for piece, key in put_payloads(model, inside):
            stream.write(piece)
            if key is not None:
                _write(stream, source.weights[key])
        size = stream.tell()
    for file in source.files:
        file.check()
    return size


def _write_data(
    path: Path, outside: list[onnx.TensorProto], weights: Mapping[str, Entry], location: str
) -> int:
    """Write weights one after another, and note in their tensors where they are."""
    with path.open("wb") as stream:
        for tensor in outside:
            entry = weights[key_of(tensor) or ""]
            stream.write(b"\0" * (-stream.tell() % ALIGNMENT))
            place, length = stream.tell(), _written_bytes(entry)
            _write(stream, entry)
            _refer(tensor, location, place, length)
        return stream.tell()


def _refer(tensor: onnx.TensorProto, location: str, place: int, length: int) -> None:
    """Let a tensor say where its payload is."""
    del tensor.external_data[:]
    for name, value in (("location", location), ("offset", place), ("length", length)):
        tensor.external_data.add(key=name, value=str(value))


def _written_bytes(entry: Entry) -> int:
    """Return the bytes that an array takes in a file, where a byte may hold several elements."""
    if entry.dtype.kind == "V":
        return len(payload(np.empty(entry.shape, entry.dtype)))
    return entry.nbytes


def _write(stream: BinaryIO, entry: Entry) -> None:
    """Write an array as a file has it; of a large one a piece after the other is in memory."""
    if entry.dtype.kind == "V":
        stream.write(payload(as_array(entry)))
        return
    pieces = (np.ascontiguousarray(block).reshape(-1) for _, block in blocks(entry))
    stream.writelines(piece.view(np.uint8).data for piece in pieces)
