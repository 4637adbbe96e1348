"""Write new weights and biases of layers into a graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.graph import Array, Edit, Graph, edited
from wrg_onnx.recover.layers import LinearLayer


@dataclass(frozen=True, slots=True, eq=False)
class LayerChange:
    """New values of one layer.

    Attributes:
        layer: The layer.
        weight: Its weight; None where it stays.
        bias: Its bias.
    """

    layer: LinearLayer
    weight: Array | None
    bias: Array


def write_weights(graph: Graph, changes: Iterable[LayerChange]) -> Graph:
    """Return a copy of the graph with new values.

    A bias goes where the old one is. A layer that shares its bias gets one of its own, and so does
    one that has none: a MatMul an Add behind it.
    """
    constants: dict[str, Array] = {}
    operands: dict[tuple[int, int], Array | None] = {}
    biases: dict[int, Array] = {}
    for change in changes:
        layer = change.layer
        if change.weight is not None:
            constants[layer.weight] = change.weight
        if layer.bias:
            constants[layer.bias] = change.bias
        elif layer.place is not None:
            operands[layer.place] = change.bias
        else:
            biases[layer.node.index] = change.bias
    return edited(graph, Edit(constants, operands=operands, biases=biases))


def with_biases(graph: Graph, layers: Sequence[LinearLayer]) -> Graph:
    """Give each layer a bias of its own, with the values of the one that it shares, or zeros."""
    changes = (LayerChange(x, None, current_bias(graph, x)) for x in layers if not x.bias)
    return write_weights(graph, changes)


def current_bias(graph: Graph, layer: LinearLayer) -> Array:
    """Return a layer's bias; zeros if it has none."""
    if layer.place is not None:
        index, position = layer.place
        node = next(node for node in graph.nodes if node.index == index)
        found = graph.constants.get(node.input(position))
        if found is not None:
            return found
    return np.zeros(layer.width, graph.constants.forms[layer.weight].dtype)
