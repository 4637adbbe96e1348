"""What the model multiplies a filter's channel by right behind the filter."""

from __future__ import annotations

import numpy as np

from wrg_onnx.calibrate.statistics import Float64Array
from wrg_onnx.channels import IdArray, Units
from wrg_onnx.channels.axes import Call
from wrg_onnx.graph import Array, Node


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
        (ids,) the gain of each id that stands on a filter; 1 where nothing scales its channel.
    """
    total = np.zeros(len(units.labels))
    times = np.zeros(len(units.labels))
    for node in units.flat.graph.nodes:
        if units.nodes[node.index].makes_channels:
            axis = _channel_axis(units, node)
            if axis is not None:
                ids = units.axes[node.outputs[0]].at(axis)
                np.add.at(total, ids, _gain_behind(units, node, axis))
                np.add.at(times, ids, 1.0)
    gains = np.divide(total, times, out=np.ones_like(total), where=times > 0)
    for slot in units.slots:
        of_slot = slice(slot.offset, slot.offset + slot.size)
        if not times[of_slot].all():  # the gates of a recurrent layer share a channel
            gains[of_slot] = 1.0
    return gains


def _channel_axis(units: Units, node: Node) -> int | None:
    """Return the axis of a node's first output that its filters make, if there is one."""
    if not node.outputs[0]:
        return None
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
        factor = None
        if len(readers) == 1:
            factor = _factor(units.nodes[readers[0].index].call, tensor, axis)
        if factor is None:
            break
        gain *= factor
        tensor = readers[0].outputs[0]
    return gain


def _factor(call: Call, tensor: str, axis: int) -> Float64Array | None:
    """Return what an operator multiplies each channel by; None if it does anything else to it.

    (C,) or (1,).
    """
    node = call.node
    if node.op == "BatchNormalization":
        return _of_normalisation(call) if node.inputs[0] == tensor and axis == 1 else None
    if node.op not in ("Mul", "Div", "Add", "Sub"):
        return None
    place = list(node.inputs).index(tensor)
    other = call.operand(1 - place).value
    if other is None or other.dtype.kind != "f":
        return None
    along = _along(other, len(call.output_shapes[0]), axis)
    if along is None or (node.op == "Div" and (place == 1 or not along.all())):
        return None
    if node.op in ("Add", "Sub"):
        return np.ones(1)
    return 1 / along if node.op == "Div" else along


def _of_normalisation(call: Call) -> Float64Array | None:
    scale, variance = call.operand(1).value, call.operand(4).value
    if scale is None or variance is None or call.node.int("training_mode", 0):
        return None
    epsilon = call.node.attributes.get("epsilon", 1e-5)
    assert isinstance(epsilon, float), call.node
    spread = variance.astype(np.float64) + epsilon
    if not (spread > 0).all():
        return None
    return np.asarray(np.abs(scale.astype(np.float64)) / np.sqrt(spread))


def _along(constant: Array, rank: int, axis: int) -> Float64Array | None:
    """Return the sizes of a constant's elements along one axis; None if others have any, too."""
    place = axis - (rank - constant.ndim)
    if constant.ndim > rank or any(n > 1 and a != place for a, n in enumerate(constant.shape)):
        return None
    return np.abs(constant.astype(np.float64)).reshape(-1)
