"""The biases that ridge gives to layers without one: they count when a ratio is to be met."""

from __future__ import annotations

import numpy as np

from wrg_onnx.channels import BoolArray, Units
from wrg_onnx.graph.model import captured
from wrg_onnx.recover.layers import find_layers


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

        A layer gets one that has none of its own and that a removal reaches: it reads what is gone,
        or lies behind a layer that does.

        Args:
            alive: (units,) bool, those that stay.
        """
        units, kept = self._units, np.append(alive, True)  # -1, without a unit, stays
        reached: set[str] = set()
        total = 0
        for node in units.graph.nodes:
            layer = self._layers.get(node.index)
            if not reached.isdisjoint({*node.inputs, *captured(node)}):
                reached.update(node.outputs)
            elif layer is not None:
                read = units.of(units.axes[layer.weight].at(layer.input_axis))
                if not kept[read].all():
                    reached.update(node.outputs)
            if layer is not None and not layer.bias and layer.made in reached:
                total += int(kept[units.of(units.axes[layer.made].at(layer.axis))].sum())
        return total
