"""The biases that ridge gives to layers without one: they count when a ratio is to be met."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wrg_onnx.channels import BoolArray, Units
from wrg_onnx.graph import Graph
from wrg_onnx.graph.model import captured
from wrg_onnx.recover.layers import LinearLayer, find_layers
from wrg_onnx.recover.write_weights import with_biases


class AddedBiases:
    """Counts them for any choice of units.

    Args:
        units: The analysis of the model.
    """

    def __init__(self, units: Units) -> None:
        self._units = units
        self._layers = {layer.node.index: layer for layer in find_layers(units.graph).layers}

    def count(self, alive: BoolArray) -> int:
        """Return how many numbers the biases have that layers get.

        Args:
            alive: (units,) bool, those that stay.
        """
        units, kept = self._units, np.append(alive, True)  # -1, without a unit, stays
        widths = (units.of(units.axes[x.made].at(x.axis)) for x in self._getting(alive))
        return sum(int(kept[width].sum()) for width in widths)

    def added_to(self, graph: Graph, alive: BoolArray) -> Graph:
        """Return a copy of a cut model in which those layers have got their biases, of zeros.

        Args:
            graph: What the model is cut to.
            alive: (units,) bool, those that stay.
        """
        names = {layer.made for layer in self._getting(alive)}
        return with_biases(graph, [x for x in find_layers(graph).layers if x.made in names])

    def _getting(self, alive: BoolArray) -> Iterator[LinearLayer]:
        """Yield the layers that get a bias.

        A layer gets one that has none of its own and that a removal reaches: it reads what is gone,
        or lies behind a layer that does.

        Args:
            alive: (units,) bool, those that stay.
        """
        units, kept = self._units, np.append(alive, True)  # -1, without a unit, stays
        reached: set[str] = set()
        for node in units.graph.nodes:
            layer = self._layers.get(node.index)
            if not reached.isdisjoint({*node.inputs, *captured(node)}):
                reached.update(node.outputs)
            elif layer is not None:
                read = units.of(units.axes[layer.weight].at(layer.input_axis))
                if not kept[read].all():
                    reached.update(node.outputs)
            if layer is not None and not layer.bias and layer.made in reached:
                yield layer
