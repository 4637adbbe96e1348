"""A model as it is handed in: a file, or in memory as the bytes of one or as an ONNX message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import onnx

from wrg_onnx.graph import Graph, fill_inputs, from_bytes, from_message, load
from wrg_onnx.rewrite import decide_branches, fold

Source: TypeAlias = "Path | bytes | onnx.ModelProto"
"""A message is never changed. ``Graph.name`` is what reports and errors call a model."""


def read_for(source: Source, numbers: Mapping[str, float]) -> Graph:
    """Read a model that is used with given numbers for some inputs.

    Args:
        source: The model.
        numbers: By input. A branch that they decide is laid flat.

    Raises:
        ModelError: If it is not a valid model, or its external data is not there.
        UsageError: If there is no such input, or its type cannot hold the number.
    """
    return decide_branches(fill_inputs(read_source(source), numbers))


def read_source(source: Source) -> Graph:
    """Read a model; what depends on no input in it is computed, and is a constant from then on.

    Raises:
        ModelError: If it is not a valid one, or its external data is not there.
    """
    return fold(read_as_it_is(source))


def read_as_it_is(source: Source) -> Graph:
    """Read a model, and compute nothing.

    Raises:
        ModelError: As ``read_source``.
    """
    if isinstance(source, Path):
        return load(source)
    return from_bytes(source) if isinstance(source, bytes) else from_message(source)
