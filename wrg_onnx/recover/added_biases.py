"""The biases that ridge gives to layers without one: they count when a ratio is to be met."""

from __future__ import annotations

from collections.abc import Iterator

from wrg_onnx.channels import IdArray, Units
from wrg_onnx.graph.model import captured
from wrg_onnx.recover.layers import find_layers


def added_biases(units: Units) -> Iterator[IdArray]:
    """Yield for each bias that recovery may add the unit of each of its numbers.

    A layer gets one that has none of its own and that a removal can reach.

    Args:
        units: The analysis of the model.

    Yields:
        (M,) int64; negative where a number stays whatever goes.
    """
    layers = {layer.node.index: layer for layer in find_layers(units.graph).layers}
    reached: set[str] = set()
    for node in units.graph.nodes:
        layer = layers.get(node.index)
        if not reached.isdisjoint({*node.inputs, *captured(node)}):
            reached.update(node.outputs)
        elif layer is not None:
            read = units.of(units.axes[layer.weight].at(layer.input_axis))
            if units.removable[read[read >= 0]].any():
                reached.update(node.outputs)
        if layer is not None and not layer.bias and layer.made in reached:
            yield units.of(units.axes[layer.made].at(layer.axis))
