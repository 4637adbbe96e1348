"""Write a model file that is complete and loads, or none at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from wrg_onnx.errors import OutputError, UsageError
from wrg_onnx.files import check_output, renamed
from wrg_onnx.graph.check import checker_problem
from wrg_onnx.graph.message import declare_external, to_proto, write_message
from wrg_onnx.graph.model import Array, Graph

ONE_FILE_BYTES = 2**31 - 2**24
"""Protobuf messages end at 2 GiB; larger weights go to ``NAME.data`` beside the model."""


def check_model_output(path: Path, *, force: bool) -> None:
    """Refuse a path for a model early, before the work is done.

    Raises:
        OutputError: As ``check_output``.
        UsageError: If the name does not end in .onnx.
    """
    check_output(path, force=force)
    if path.suffix.lower() != ".onnx":
        raise UsageError(
            f"output '{path}' must end in .onnx, such as '{path.with_suffix('.onnx')}'"
        )


def save(graph: Graph, path: Path, *, force: bool = False) -> int:
    """Write a graph as an ONNX file, after the checker with full shape inference passed.

    The file is written under a temporary name in the same folder and then renamed, so that a
    reader never sees a part of it.

    Args:
        graph: The model.
        path: Where to. Missing folders are made.
        force: Whether an existing file may be replaced.

    Returns:
        The size of the model with its weights in bytes.

    Raises:
        OutputError: If the path is taken or cannot be written, or the checker refuses the model.
    """
    check_output(path, force=force)
    model, weights = to_proto(graph)
    problem = checker_problem(model, weights)
    if problem is not None:
        raise OutputError(
            f"'{path}': not written, because the ONNX checker refuses the result: {problem}"
        )
    size = sum(array.nbytes for array in weights.values())
    sidecar = path.with_name(path.name + ".data")
    if size >= ONE_FILE_BYTES:
        check_output(sidecar, force=force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if size < ONE_FILE_BYTES:
            with renamed(path) as part, part.open("wb") as stream:
                stream.writelines(write_message(model, weights))
        else:
            declare_external(model, weights, sidecar.name)
            # The weights take their place first: a model file that is there is complete.
            with renamed(path) as part, renamed(sidecar) as data_part:
                _write_sidecar(model, weights, data_part)
                part.write_bytes(model.SerializeToString())
    except OSError as error:
        raise OutputError(f"'{path}': cannot be written: {error.strerror}") from error
    return path.stat().st_size + (size if size >= ONE_FILE_BYTES else 0)


def _write_sidecar(model: onnx.ModelProto, weights: Mapping[str, Array], part: Path) -> None:
    """Write the weights one after another, each at a multiple of 4 KiB, and note where."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    with part.open("wb") as stream:
        for name, array in weights.items():
            stream.write(b"\0" * (-stream.tell() % 4096))
            entries = tensors[name].external_data
            entries.add(key="offset", value=str(stream.tell()))
            entries.add(key="length", value=str(array.nbytes))
            stream.write(array.reshape(-1).view(np.uint8).data)
