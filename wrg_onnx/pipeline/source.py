"""A model as it is handed in: a file, or an ONNX message in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import onnx

from wrg_onnx.graph import (
    Graph,
    file_problem,
    from_message,
    load,
    message_bytes,
    message_problem,
    stored_bytes,
)

Source: TypeAlias = Path | onnx.ModelProto
"""A message is never changed. ``Graph.name`` is what reports and errors call a model."""


def read_source(source: Source) -> Graph:
    """Read a model.

    Raises:
        ModelError: If it is not a valid one, or its external data is not there.
    """
    return load(source) if isinstance(source, Path) else from_message(source)


def source_bytes(source: Source, graph: Graph) -> int:
    """Return the size of a file with its external data, or that of the file of a message.

    Args:
        source: The model.
        graph: What was read from it.
    """
    return stored_bytes(source, graph) if isinstance(source, Path) else message_bytes(graph)


def source_problem(source: Source, graph: Graph) -> str | None:
    """Return why the ONNX checker refuses a model as it is, in one line; None if it does not.

    Args:
        source: The model.
        graph: What was read from it.
    """
    if isinstance(source, Path):
        return file_problem(source, graph)
    return message_problem(source, graph)
