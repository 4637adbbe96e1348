"""The layers whose weights can be solved for: those whose output is linear in them.

Which operators these are is a trait of theirs. How the weights of each lie in its file, and which
windows of the input meet them, is this folder's arithmetic, and stands here and in ``patches``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from wrg_onnx.channels import LayerForm, traits_of
from wrg_onnx.graph import Array, Form, Graph, Node, is_float
from wrg_onnx.rewrite.kept_channels import KeptChannels


@dataclass(frozen=True, slots=True, eq=False)
class LinearLayer:
    """One layer of the pruned model, whose output is its weight times its input, plus a bias.

    Attributes:
        node: Its node.
        source: The tensor it reads.
        weight: Its weight, a constant that nobody else reads.
        made: The node's output.
        target: The output with the bias in it: ``made``, or what an Add makes of it.
        bias: The constant that holds the bias and that nobody else reads; ``""`` without one.
        place: Where a bias goes, (node index, input position); None where an Add must be made.
        width: How many output channels it has.
        shortcut: The activation that the one reader of ``target`` adds to it; ``""`` without one.
        kept: What is left of the original's output.
    """

    node: Node
    source: str
    weight: str
    made: str
    target: str
    bias: str
    place: tuple[int, int] | None
    width: int
    shortcut: str
    kept: KeptChannels

    @property
    def axis(self) -> int:
        """The axis of the output's channels."""
        return -1 if self.node.op in ("Gemm", "MatMul") else 1

    @property
    def input_axis(self) -> int:
        """The axis of the weight that is summed over; of a grouped Conv, within each group."""
        if self.node.op == "Conv":
            return 1
        return 1 if self.node.op == "Gemm" and self.node.int("transB", 0) else 0

    @property
    def group(self) -> int:
        """In how many groups the channels are."""
        return self.node.int("group", 1)

    @property
    def alpha(self) -> float:
        """What a Gemm multiplies its product by."""
        return _number(self.node, "alpha")

    @property
    def beta(self) -> float:
        """What a Gemm multiplies its bias by."""
        return _number(self.node, "beta")


@dataclass(frozen=True, slots=True)
class FoundLayers:
    """What can be solved for in a model, and what cannot.

    Attributes:
        layers: In graph order.
        left: How many layers are left as they are, by reason.
    """

    layers: tuple[LinearLayer, ...]
    left: Mapping[str, int] = field(default_factory=dict)


def find_layers(graph: Graph, kept: Mapping[str, KeptChannels] | None = None) -> FoundLayers:
    """Find the Conv, ConvTranspose, Gemm and MatMul nodes with a constant weight.

    Args:
        graph: The model; bodies of control flow are not looked into.
        kept: Which channels of the original each tensor of a pruned model still has; None for a
            model that is whole.

    Returns:
        The layers, and why others are none.
    """
    layers, left = [], Counter[str]()
    for node in graph.nodes:
        form = traits_of(node).layer
        if form is LayerForm.QUANTISED:
            left["their weights are quantised or computed"] += 1
        elif form is LayerForm.FUSED:
            left["they are fused with what comes behind"] += 1
        if form is not LayerForm.LINEAR:
            continue
        if node.op == "MatMul" and node.inputs[1] not in graph.constants:
            continue  # of two activations
        found = _layer(graph, node, kept)
        if isinstance(found, LinearLayer):
            layers.append(found)
        else:
            left[found] += 1
    return FoundLayers(tuple(layers), dict(left))


def _layer(graph: Graph, node: Node, kept: Mapping[str, KeptChannels] | None) -> LinearLayer | str:
    """Describe a node as a layer, or say why it is none."""
    source, weight = node.inputs[:2]
    array = graph.constants.forms.get(weight)
    if array is None or not is_float(array.dtype):
        return "their weights are quantised or computed"
    if _readers(graph, weight) > 1:
        return "they share their weights"
    # A turned input has its rows on the other axis; with a factor of 0 nothing can be solved for.
    turned = node.op == "Gemm" and node.int("transA", 0)
    empty = node.op == "Gemm" and 0.0 in (_number(node, "alpha"), _number(node, "beta"))
    if turned or empty or source in graph.constants or (node.op == "MatMul" and array.ndim != 2):
        return "they multiply in an unusual form"
    made = node.outputs[0]
    width = _width(node, array)
    target, bias = made, node.input(2)
    place: tuple[int, int] | None = (node.index, 2)
    if node.op == "MatMul":
        target, bias, place = _added_bias(graph, made, width)
    if bias:
        values = graph.constants.forms.get(bias)
        if values is None or values.size != width or values.shape[-1:] != (width,):
            return "their bias is computed or no vector"
        bias = bias if _readers(graph, bias) == 1 else ""
    channels = _whole(node, width) if kept is None else kept.get(made, kept.get(target))
    if channels is None:
        return "it is not known what their output has kept"
    return LinearLayer(
        node, source, weight, made, target, bias, place, width, _shortcut(graph, target), channels
    )


def _whole(node: Node, width: int) -> KeptChannels:
    """Say that all channels are there; of a product, whose rank is not known, on axis 0."""
    axis = 0 if node.op in ("Gemm", "MatMul") else 1
    return KeptChannels(axis, np.arange(width), width)


def _added_bias(graph: Graph, made: str, width: int) -> tuple[str, str, tuple[int, int] | None]:
    """Find the Add behind a MatMul that adds a constant vector."""
    readers = graph.consumers.get(made, ())
    exposed = any(value.name == made for value in graph.outputs)
    if len(readers) == 1 and readers[0].op == "Add" and not readers[0].domain and not exposed:
        add = readers[0]
        position = 1 - add.inputs.index(made)
        values = graph.constants.forms.get(add.inputs[position])
        if values is not None and values.shape == (width,):
            return add.outputs[0], add.inputs[position], (add.index, position)
    return made, "", None


def _shortcut(graph: Graph, target: str) -> str:
    """Find what is added to a layer's output, if nothing else becomes of that."""
    readers = graph.consumers.get(target, ())
    exposed = any(value.name == target for value in graph.outputs)
    if len(readers) != 1 or readers[0].op != "Add" or readers[0].domain or exposed:
        return ""
    other = readers[0].inputs[1 - readers[0].inputs.index(target)]
    return "" if other in graph.constants else other


def _width(node: Node, weight: Form) -> int:
    if node.op == "ConvTranspose":
        return int(weight.shape[1]) * node.int("group", 1)
    is_first = node.op == "Conv" or node.int("transB", 0)
    return int(weight.shape[0 if is_first else 1])


def _readers(graph: Graph, name: str) -> int:
    """Count who needs a constant; a body that reads it counts as one more."""
    nodes = graph.consumers.get(name, ())
    count = sum(max(node.inputs.count(name), 1) for node in nodes)
    return count + sum(value.name == name for value in graph.outputs)


def _number(node: Node, name: str) -> float:
    value = node.attributes.get(name, 1.0)
    return float(value) if isinstance(value, (int, float)) else 1.0


def to_matrix(layer: LinearLayer, weight: Array, dtype: type[np.floating] = np.float64) -> Array:
    """View a weight as the matrix that its patches are multiplied with.

    Args:
        layer: The layer.
        weight: Its weight, as in the file.
        dtype: Of the matrix.

    Returns:
        (G, M / G, D): groups, output channels of a group, and the elements of a patch, in
        the order that ``patches.sampled_patches`` gives them.
    """
    # A Conv's weight is (M, C / G, K...): its rows are those of the matrix already, the groups one
    # after the other. A ConvTranspose's is (C, M / G, K...), seen from the input: it is divided
    # into groups along C, its taps are turned round, and C / G and M / G change places.
    array = weight.astype(dtype, copy=False)
    group = layer.group
    if layer.node.op == "Conv":
        return array.reshape(group, len(array) // group, -1)
    if layer.node.op == "ConvTranspose":
        inputs, outputs, *kernel = array.shape
        array = array.reshape(group, inputs // group, outputs, *kernel)
        array = np.flip(array, range(3, array.ndim)).swapaxes(1, 2)
        return array.reshape(group, outputs, -1)
    array = array if layer.node.int("transB", 0) else array.T
    return (array if layer.alpha == 1 else layer.alpha * array)[None]


def from_matrix(layer: LinearLayer, matrix: Array, like: Array) -> Array:
    """Bring a solved matrix into the form of the file's weight.

    Args:
        layer: The layer.
        matrix: (G, M / G, D) float64.
        like: The weight whose shape and type the result gets.
    """
    if layer.node.op == "ConvTranspose":
        inputs, outputs, *kernel = like.shape
        group = layer.group
        array = matrix.reshape(group, outputs, inputs // group, *kernel).swapaxes(1, 2)
        array = np.flip(array, range(3, array.ndim))
    elif layer.node.op == "Conv":
        array = matrix
    else:
        array = matrix[0] / layer.alpha
        array = array if layer.node.int("transB", 0) else array.T
    assert array.size == math.prod(like.shape)
    return np.ascontiguousarray(array.reshape(like.shape), like.dtype)


def bias_matrix(layer: LinearLayer, bias: Array) -> Array:
    """Return a bias as ``to_matrix`` returns a weight: (G, M / G) float64."""
    return layer.beta * bias.astype(np.float64).reshape(layer.group, -1)
