"""A float16 graph as one of float32: what the same operators compute without its rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from wrg_onnx.graph.model import Array, Attribute, Graph, Node, Value
from wrg_onnx.graph.weights import Weights

_HALF, _FLOAT = 10, 1
"""The numbers of onnx.TensorProto.DataType."""

_TYPES = ("dtype", "output_datatype", "output_dtype", "softmax_precision", "to")
"""Attributes that name an element type."""


def widened(graph: Graph) -> Graph:
    """Return a graph that computes in float32 what another one does in float16.

    Every float16 becomes float32: constants, inputs, outputs, what attributes hold, and the types
    that attributes ask for, in bodies, too. The values of constants stay as they are.

    Args:
        graph: The model.

    Returns:
        The graph, for a twin alone: its nodes are not those of its source. A graph that holds no
        float16 is returned as it is.
    """
    return _widened(graph) if _holds_half(graph) else graph


def _holds_half(graph: Graph) -> bool:
    values = (*graph.inputs, *graph.outputs)
    held = [value.dtype for value in values] + [a.dtype for a in graph.constants.forms.values()]
    attributes = (pair for node in graph.nodes for pair in node.attributes.items())
    return np.dtype(np.float16) in held or any(_asks_for_half(*pair) for pair in attributes)


def _asks_for_half(name: str, value: Attribute) -> bool:
    if isinstance(value, Graph):
        return _holds_half(value)
    if isinstance(value, np.ndarray):
        return value.dtype == np.float16
    return name in _TYPES and value == _HALF


def _widened(graph: Graph) -> Graph:
    return replace(
        graph,
        nodes=tuple(_node(node) for node in graph.nodes),
        constants=Weights({name: _array(array) for name, array in graph.constants.items()}),
        inputs=tuple(_value(value) for value in graph.inputs),
        outputs=tuple(_value(value) for value in graph.outputs),
    )


def _node(node: Node) -> Node:
    attributes: Mapping[str, Attribute] = {
        name: _attribute(name, value) for name, value in node.attributes.items()
    }
    return replace(node, attributes=attributes)


def _attribute(name: str, value: Attribute) -> Attribute:
    if isinstance(value, Graph):
        return _widened(value)
    if isinstance(value, np.ndarray):
        return _array(value)
    return _FLOAT if _asks_for_half(name, value) else value


def _array(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _value(value: Value) -> Value:
    is_half = value.dtype == np.float16
    return replace(value, dtype=np.dtype(np.float32)) if is_half else value
