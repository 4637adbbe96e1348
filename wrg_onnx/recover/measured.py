"""What one pass over a model tells of its linear layers, and at which places of what they make."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wrg_onnx.factors import Float64Array, IntArray
from wrg_onnx.graph import Array, Graph
from wrg_onnx.recover.gram_sums import GramSums
from wrg_onnx.recover.layers import LinearLayer, bias_matrix, to_matrix
from wrg_onnx.recover.write_weights import current_bias

_GEOMETRY = (
    "auto_pad", "dilations", "group", "output_padding", "output_shape", "pads", "strides",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class LayerRows:
    """What a layer makes of one sample, at the places that were drawn.

    Attributes:
        shape: The shape of its output without the channels.
        places: (rows,) int64, of the flattened shape.
        goal: (M, rows) float32, what it makes, bias included.
        shortcut: (M, rows) float32, what is added to that; None where nothing is, or it is spread.
    """

    shape: tuple[int, ...]
    places: IntArray
    goal: Array
    shortcut: Array | None


@dataclass(slots=True, eq=False)
class MeasuredLayer:
    """What is known of one layer of the original.

    Attributes:
        layer: The layer.
        weight: Its weight, as in the file.
        bias: (G, M / G) float64.
        sums: Of what it reads; layers that read the same share them. None where they would not fit
            into memory.
        rows: What it makes of each sample, in the order of the data.
        halves: The sums over one half of the samples, and over the other; none unless asked for.
    """

    layer: LinearLayer
    weight: Array
    bias: Float64Array
    sums: GramSums | None = None
    rows: list[LayerRows] = field(default_factory=list)
    halves: tuple[GramSums, ...] = ()

    @classmethod
    def of(cls, graph: Graph, layer: LinearLayer) -> MeasuredLayer:
        """Return what is known of a layer before any sample was looked at."""
        bias = bias_matrix(layer, current_bias(graph, layer))
        return cls(layer, graph.constants[layer.weight], bias)

    def matrix(self) -> Float64Array:
        """Return the weight as (G, M / G, D) float64; made anew each time."""
        return to_matrix(self.layer, self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What one pass over a model told.

    Attributes:
        graph: The model.
        layers: What is known of its linear layers, by what they make.
    """

    graph: Graph
    layers: Mapping[str, MeasuredLayer]


def sharing_patches(layers: Sequence[LinearLayer], graph: Graph) -> list[tuple[LinearLayer, ...]]:
    """Join the layers that read the same patches of one tensor, such as queries, keys, values."""
    found: dict[tuple[object, ...], list[LinearLayer]] = {}
    for layer in layers:
        key: tuple[object, ...] = (layer.source,)
        if layer.node.op in ("Conv", "ConvTranspose"):
            geometry = (str(layer.node.attributes.get(name)) for name in _GEOMETRY)
            kernel = graph.constants.forms[layer.weight].shape[2:]
            key += (layer.node.op, kernel, *geometry)
        found.setdefault(key, []).append(layer)
    return [tuple(members) for members in found.values()]


def rows_at(layer: LinearLayer, array: Array, places: IntArray) -> Array:
    """Return a layer's output at some places, channels first.

    Args:
        layer: The layer.
        array: (N, M, ...), or (..., M) for Gemm and MatMul.
        places: (rows,) int64, of the flattened shape without the channels.

    Returns:
        (M, rows) float32, contiguous: the order in memory decides how sums of it are rounded, and
        should not depend on where it comes from.
    """
    if layer.axis < 0:
        return np.ascontiguousarray(array.reshape(-1, array.shape[-1])[places].T, np.float32)
    sample, place = np.divmod(places, math.prod(array.shape[2:]))
    flat = array.reshape(*array.shape[:2], -1)
    return np.ascontiguousarray(flat[sample, :, place].T, np.float32)
