"""What keeps numbers right: repeatable algorithms, rounding to float16, naming what diverged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from wrg_onnx.errors import StatisticsError
from wrg_onnx.graph import Graph, Node
from wrg_onnx.twin import Twin
from wrg_onnx.twin.batches import Batch

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Ask torch for deterministic algorithms and seed its global generator.

    Whoever meets an operator that has no deterministic algorithm may switch them off inside. The
    generators' states and the settings are restored at the end.
    """
    strict = torch.are_deterministic_algorithms_enabled()
    lenient = torch.is_deterministic_algorithms_warn_only_enabled()
    workspace = os.environ.get(_WORKSPACE)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # cuBLAS reads it when it starts, and is not deterministic without it.
        os.environ.setdefault(_WORKSPACE, ":4096:8")
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=lenient)
            if workspace is None:
                del os.environ[_WORKSPACE]


def lacks_determinism(error: RuntimeError) -> bool:
    """Tell whether torch refuses an operator because it cannot repeat it."""
    return "determinis" in str(error).lower()


@contextmanager
def as_written(twin: Twin, half_weights: frozenset[str]) -> Iterator[None]:
    """Round weights for a while to what the file can hold.

    Args:
        twin: Its parameters are changed, and brought back in the end.
        half_weights: The names of those that are float16 in the file.
    """
    if not half_weights:
        yield
        return
    exact = copied(twin)
    with torch.no_grad():
        for name, parameter in twin.parameters_by_name().items():
            if name in half_weights:
                parameter.copy_(parameter.half())
    try:
        yield
    finally:
        twin.load_state_dict(exact)


def copied(twin: Twin) -> dict[str, Tensor]:
    """Return a copy of what a twin holds."""
    return {name: value.detach().clone() for name, value in twin.state_dict().items()}


_HINT = "lower --learning-rate, and check the inputs and --scale, --mean and --std"


def diverged(graph: Graph, twin: Twin, batch: Batch) -> StatisticsError:
    """Return the error for a loss that is not finite; it names the first layer that is broken."""
    for name, parameter in twin.parameters_by_name().items():
        if not parameter.isfinite().all():
            return _error(f"the weight '{name}' holds NaN or infinity")
    for name, value in batch.feeds.items():
        if value.is_floating_point() and not value.isfinite().all():
            return _error(f"the input '{name}' holds NaN or infinity")
    weights = set(twin.parameters_by_name())
    names = [name for node in graph.nodes for name in node.outputs if name]
    with torch.no_grad():
        values = twin(batch.feeds, names)
    for node in graph.nodes:
        for name in node.outputs:
            if name and _is_broken(values[name]):
                return _error(f"{_place(graph, node, weights)} gives NaN or infinity")
    return _error("the loss of finite outputs is NaN or infinity")


def diverged_gradient(gradients: Mapping[str, Tensor | None]) -> StatisticsError:
    """Return the error for a gradient that is not finite.

    Args:
        gradients: By initializer, in the order of the graph. It comes from the output backwards, so
            the last one that is broken is the first that broke.
    """
    broken = [n for n, g in gradients.items() if g is not None and not g.isfinite().all()]
    where = f"the gradient of '{broken[-1]}'" if broken else "the norm of the gradient"
    return _error(f"{where} is NaN or infinity")


def _is_broken(value: Tensor) -> bool:
    return value.is_floating_point() and not bool(value.isfinite().all())


def _place(graph: Graph, node: Node, weights: set[str]) -> str:
    """Name a node and what it reads: a constant that is broken itself, else its first weight."""
    floats = [
        n for n in node.inputs if n in graph.constants and graph.constants[n].dtype.kind == "f"
    ]
    broken = [name for name in floats if not np.isfinite(graph.constants[name]).all()]
    own = broken or [name for name in node.inputs if name in weights]
    return f"{node} with the weight '{own[0]}'" if own else str(node)


def _error(problem: str) -> StatisticsError:
    return StatisticsError(f"fine-tuning diverged: {problem}; {_HINT}")
