"""Which tensors of a pruned model may differ from the original's at all."""

from __future__ import annotations

import numpy as np

from wrg_onnx.graph import Graph, Weights
from wrg_onnx.graph.model import bodies, captured
from wrg_onnx.recover.layers import LinearLayer


def reached_tensors(original: Graph, pruned: Graph) -> frozenset[str]:
    """Find what is computed from a constant that is not as it was.

    Args:
        original: The original model.
        pruned: What cuts left of it: some of its nodes, with constants of the same names.

    Returns:
        The names of tensors. All others have the original's values, to the last bit.
    """
    reached = {
        name
        for name in pruned.constants
        if not _is_same(name, pruned.constants, original.constants)
    }
    for node in pruned.nodes:
        # What a body holds of its own is not looked into.
        if any(bodies(node)) or not reached.isdisjoint((*node.inputs, *captured(node))):
            reached.update(node.outputs)
    return frozenset(reached - {""})


def is_reached(layer: LinearLayer, reached: frozenset[str]) -> bool:
    """Tell whether a layer, or what it makes up for, may be another one than in the original."""
    return layer.target in reached or layer.shortcut in reached


def _is_same(name: str, after: Weights, before: Weights) -> bool:
    if name not in before:
        return False
    if after.entries[name] is before.entries[name]:
        return True
    new, old = after.forms[name], before.forms[name]
    if new.shape != old.shape or new.dtype != old.dtype:
        return False
    return np.array_equal(after[name], before[name])
