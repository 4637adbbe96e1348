"""Whose rules and twin operators a model needs: what is measured with them changes as they do."""

from __future__ import annotations

from wrg_onnx.extensions import Kind, Origin, foreign, load_all
from wrg_onnx.graph import Graph, flatten


def brought(kind: Kind, graph: Graph) -> tuple[Origin, ...]:
    """Return who brings what the operators of a model need, this package aside.

    Args:
        kind: Rules or twin operators; those of installed packages are loaded.
        graph: The model.
    """
    load_all(kind)
    nodes = flatten(graph).graph.nodes
    return foreign(kind, ((node.domain, node.op) for node in nodes))
