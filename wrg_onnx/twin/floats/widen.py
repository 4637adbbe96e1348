"""A half-precision graph as one of float32: the same operators without its rounding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from wrg_onnx.graph.model import Array, Attribute, Graph, Node, Value
from wrg_onnx.graph.weights import Weights

_HALVES = {"float16": 10, "bfloat16": 16}
"""By the name of a type its number in onnx.TensorProto.DataType."""

_FLOAT = 1
"""That of float32."""

_TYPES = ("dtype", "output_datatype", "output_dtype", "softmax_precision", "to")
"""Attributes that name an element type."""


def widened(graph: Graph) -> Graph:
    """Return a graph that computes in float32 what another one does in half precision.

    Every float16 becomes float32: constants, inputs, outputs, what attributes hold, and the types
    that attributes ask for, in bodies, too. So does bfloat16 in a graph that ONNX Runtime runs like
    that. The values of constants stay as they are.

    Args:
        graph: The model.

    Returns:
        The graph, for a twin alone: its nodes are not those of its source. A graph that holds none
        of these is returned as it is.
    """
    widening = _Widening(("float16", "bfloat16") if graph.widened else ("float16",))
    return widening.graph(graph) if widening.applies_to(graph) else graph


class _Widening:
    """Puts float32 in the place of some types."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self._numbers = frozenset(_HALVES[name] for name in names)

    def applies_to(self, graph: Graph) -> bool:
        """Tell whether a graph holds any of the types."""
        held = [value.dtype.name for value in (*graph.inputs, *graph.outputs)]
        held += [array.dtype.name for array in graph.constants.forms.values()]
        attributes = (pair for node in graph.nodes for pair in node.attributes.items())
        return not self._names.isdisjoint(held) or any(self._asks(*pair) for pair in attributes)

    def _asks(self, name: str, value: Attribute) -> bool:
        if isinstance(value, Graph):
            return self.applies_to(value)
        if isinstance(value, np.ndarray):
            return value.dtype.name in self._names
        return name in _TYPES and value in self._numbers

    def graph(self, graph: Graph) -> Graph:
        """Return the graph in float32."""
        constants = {name: self._array(array) for name, array in graph.constants.items()}
        return replace(
            graph,
            nodes=tuple(self._node(node) for node in graph.nodes),
            constants=Weights(constants),
            inputs=tuple(self._value(value) for value in graph.inputs),
            outputs=tuple(self._value(value) for value in graph.outputs),
        )

    def _node(self, node: Node) -> Node:
        attributes: Mapping[str, Attribute] = {
            name: self._attribute(name, value) for name, value in node.attributes.items()
        }
        return replace(node, attributes=attributes)

    def _attribute(self, name: str, value: Attribute) -> Attribute:
        if isinstance(value, Graph):
            return self.graph(value)
        if isinstance(value, np.ndarray):
            return self._array(value)
        return _FLOAT if self._asks(name, value) else value

    def _array(self, array: Array) -> Array:
        return array.astype(np.float32) if array.dtype.name in self._names else array

    def _value(self, value: Value) -> Value:
        is_half = value.dtype.name in self._names
        return replace(value, dtype=np.dtype(np.float32)) if is_half else value
