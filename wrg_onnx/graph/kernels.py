"""Whether ONNX Runtime computes a model in its own types: its CPU runs next to no bfloat16."""

from __future__ import annotations

from dataclasses import replace

from wrg_onnx.errors import MissingPackageError, ModelError
from wrg_onnx.graph.edit import read_again
from wrg_onnx.graph.message import declare_inputs, without_weights
from wrg_onnx.graph.model import Graph
from wrg_onnx.graph.records import Source
from wrg_onnx.graph.session import start_session
from wrg_onnx.graph.weights import is_bfloat16
from wrg_onnx.graph.widen import as_widened, holds_bfloat16


def fit_to_kernels(graph: Graph) -> Graph:
    """Decide, once for all runs of a model and of what becomes of it, in which types it is run.

    A model that holds bfloat16 is opened as it is. If ONNX Runtime refuses it so, but not with
    float32 in the place of bfloat16, it is run like that. So is one that is fed bfloat16 or returns
    it, which ONNX Runtime does not take from Python.

    Args:
        graph: The model.

    Returns:
        The model, ``widened`` where it is run in float32. What ONNX Runtime refuses either way
        stays as it is, as does every model where it is not installed: who runs it says so.
    """
    source: Source = graph.source
    if not holds_bfloat16(source.message.graph):
        return graph
    wide = as_widened(graph)
    try:
        is_fed = any(is_bfloat16(value.dtype) for value in (*graph.inputs, *graph.outputs))
        if not is_fed and _opens(graph):
            return graph
        return wide if _opens(wide) else graph
    except MissingPackageError:
        return graph


def as_written(graph: Graph) -> Graph:
    """Return a graph with the types of its file, in which a widened one is not run."""
    return read_again(replace(graph, widened=False), graph.source) if graph.widened else graph


def _opens(graph: Graph) -> bool:
    """Try it; large weights are left out, as which kernels there are does not depend on them."""
    model, absent = without_weights(graph)
    declare_inputs(model, {name: graph.constants.forms[name] for name in absent})
    outputs = tuple(value.name for value in graph.outputs)
    try:
        start_session(model, {}, outputs, graph.name, exact=True, widened=graph.widened)
    except ModelError:
        return False
    return True
