"""What the model multiplies a filter's channel by right behind the filter.

What an operator does to the channels is a trait of it. The Identity that is looked through is the
one by which exporters share constants; ``batch_scales`` is the criterion of BatchNormalization.
"""

from __future__ import annotations

import numpy as np

from wrg_onnx.channels import IdArray, LayerForm, Units, traits_of
from wrg_onnx.channels.traits import ChannelScale, ScaleQuestion
from wrg_onnx.factors import Float64Array
from wrg_onnx.graph import Array, Graph, Node, Shape

_LINEAR = (LayerForm.LINEAR, LayerForm.SAMPLED)
"""Forms of layers whose output is linear in the filter; fused ones may hold an activation."""


def filter_gains(units: Units) -> Float64Array:
    """Take the size of what scales each filter's channel before anything else reads it.

    That is a batch normalisation's scale over its deviation, and what a Mul or Div holds as a
    constant per channel. A filter's norm times its gain is the norm that the filter has once these
    are folded into it, so that a choice by it does not depend on whether an exporter did so.

    A filter that makes several channels, as one of a grouped ConvTranspose or of a weight that
    several nodes read, has the mean of their gains.

    Args:
        units: The analysis of the model.

    Returns:
        (ids,) float64, not negative: the gain of each id that stands on a filter; 1 where no
        constant scales its channel, or one that is not finite.

    Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015, arXiv:1502.03167, section 3.1.
    """
    total = np.zeros(len(units.labels))
    times = np.zeros(len(units.labels))
    for node in units.flat.graph.nodes:
        if traits_of(node).layer in _LINEAR and units.nodes[node.index].makes_channels:
            axis = _channel_axis(units, node)
            if axis is not None:
                ids = units.axes[node.outputs[0]].at(axis)
                np.add.at(total, ids, _gain_behind(units, node, axis))
                np.add.at(times, ids, 1.0)
    gains = np.divide(total, times, out=np.ones_like(total), where=times > 0)
    for slot in units.slots:
        of_slot = slice(slot.offset, slot.offset + slot.size)
        if not times[of_slot].all():  # part of the weight is read elsewhere, behind a Slice
            gains[of_slot] = 1.0
    return gains


def _channel_axis(units: Units, node: Node) -> int | None:
    """Return the axis of a layer's output that its filters make, if there is one."""
    axes = units.axes[node.outputs[0]]
    made = [axis for axis in axes.live() if _are_filters(units, axes.at(axis))]
    return made[0] if len(made) == 1 else None


def _are_filters(units: Units, ids: IdArray) -> bool:
    return bool((ids >= 0).all() and units.is_filter[ids].all())


def _gain_behind(units: Units, node: Node, axis: int) -> Float64Array:
    """Multiply up what scales the channels, down to the first tensor that is read otherwise."""
    graph, tensor = units.flat.graph, node.outputs[0]
    exposed = {value.name for value in graph.outputs}
    gain = np.ones(units.axes[tensor].shape[axis])
    while tensor not in exposed:
        readers = graph.consumers.get(tensor, ())
        if len(readers) != 1:
            break
        made = readers[0].outputs[0]
        shapes = units.axes[tensor].shape, units.axes[made].shape if made else ()
        step = _step(graph, readers[0], tensor, axis, shapes)
        if step is None:
            break
        gain *= step.factor
        tensor, axis = made, step.axis
    return gain


def _step(
    graph: Graph, node: Node, tensor: str, axis: int, shapes: tuple[Shape, Shape]
) -> ChannelScale | None:
    """Tell what an operator does to each channel; None if it does more than scale and shift it."""
    gain = traits_of(node).gain
    if gain is None or node.inputs.count(tensor) != 1:
        return None
    question = ScaleQuestion(
        node,
        node.inputs.index(tensor),
        axis,
        rank=len(shapes[0]),
        keeps_shape=shapes[0] == shapes[1],
        constants=tuple(_constant(graph, name) for name in node.inputs),
    )
    step = gain(question)
    return None if step is None or not np.isfinite(step.factor).all() else step


def _constant(graph: Graph, name: str) -> Array | None:
    """Return a constant of floats, behind the Identity by which exporters share equal ones, too."""
    while name not in graph.constants:
        maker = graph.producers.get(name)
        if maker is None or maker.op != "Identity" or maker.domain:
            return None
        name = maker.inputs[0]
    constant = graph.constants[name]
    return constant if constant.dtype.kind in "fV" else None
