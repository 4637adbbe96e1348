"""Where a number that is not finite comes from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from wrg_onnx.calibrate.batches import Batch
from wrg_onnx.graph import Graph, Node, StatisticsError
from wrg_onnx.twin import Twin

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
