"""Where to look: one tensor per layer, after its normalisation and activation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wrg_onnx.channels import IdArray, Units, traits_of
from wrg_onnx.graph import Array, Graph, Node


@dataclass(frozen=True, slots=True, eq=False)
class Tap:
    """A tensor to look at.

    Attributes:
        tensor: Its name.
        axis: The axis of its channels.
        units: (C,) int64, the unit of each channel; negative where there is none.
        size: Elements of one sample, at the analysed sizes.
        zero_point: The integer that stands for 0, where the tensor holds integers.
    """

    tensor: str
    axis: int
    units: IdArray
    size: int
    zero_point: int = 0


def plan_taps(units: Units) -> tuple[Tap, ...]:
    """Find the feature map of each layer that makes removable channels.

    It is what the layer's filters have become after batch normalisation and activation: the last
    tensor that depends on this layer alone, point by point.

    Args:
        units: The analysis of the model.

    Returns:
        The taps in topological order, one per tensor.
    """
    taps: dict[str, Tap] = {}
    for node in units.graph.nodes:
        if not units.nodes[node.index].makes_channels:
            continue
        # A recurrent layer may leave out its sequence and give its last state alone.
        tensor = _follow(units.graph, node, next(name for name in node.outputs if name))
        tap = _tap(units, tensor)
        if tap is not None:
            taps.setdefault(tensor, replace(tap, zero_point=_zero_point(units.graph, node)))
    return tuple(taps.values())


def _zero_point(graph: Graph, layer: Node) -> int:
    position = traits_of(layer).output_zero_point
    value = None if position is None else graph.constants.get(layer.input(position))
    return 0 if value is None or value.size != 1 else int(value.reshape(()))


def _tap(units: Units, tensor: str) -> Tap | None:
    axes = units.axes[tensor]
    best: tuple[int, int] | None = None
    for axis in axes.live():
        members = units.of(axes.at(axis))
        count = int(units.removable[members[members >= 0]].sum())
        if count and (best is None or count > best[0]):
            best = (count, axis)
    if best is None:
        return None
    members = units.of(axes.at(best[1]))
    return Tap(tensor, best[1], members, int(np.prod(axes.shape)))


def _follow(graph: Graph, start: Node, made: str) -> str:
    """Walk down from a layer through pointwise operators that read nothing else."""
    made_by: dict[str, int] = {made: 0}
    order = [made]
    visited = {start.index}
    pending = list(graph.consumers.get(made, ()))
    while pending:
        node = min(pending, key=lambda n: n.index)
        pending.remove(node)
        if node.index in visited:
            continue
        visited.add(node.index)
        if not traits_of(node).continues_layer:
            continue
        if all(not n or n in made_by or n in graph.constants for n in node.inputs):
            made_by[node.outputs[0]] = len(order)
            order.append(node.outputs[0])
            pending += graph.consumers.get(node.outputs[0], ())
    exposed = {value.name for value in graph.outputs}
    best = order[0]
    for place, name in enumerate(order):
        if _is_bottleneck(graph, order, made_by, exposed, place):
            best = name
    return best


def _is_bottleneck(
    graph: Graph, order: Sequence[str], made_by: dict[str, int], exposed: set[str], place: int
) -> bool:
    """Tell whether all that is read of the earlier tensors goes through ``order[place]``."""
    for name in order[:place]:
        if name in exposed:
            return False
        for node in graph.consumers.get(name, ()):
            if made_by.get(node.outputs[0], place + 1) > place:
                return False
    return True


def channels_first(tap: Tap, array: Array) -> Array:
    """View a tapped array as maps.

    Args:
        tap: Where it was tapped.
        array: What ONNX Runtime gave, one sample or more.

    Returns:
        (N, C, H, W): channels moved to axis 1. One further axis becomes H, and none 1 x 1; of more
        than two the last is W, and the others together are H.
    """
    moved = array[None] if tap.axis == 0 else np.moveaxis(array, tap.axis, 1)
    samples, channels, *rest = moved.shape
    width = rest[-1] if len(rest) > 1 else 1
    return moved.reshape(samples, channels, -1, width)


def chunks(taps: Sequence[Tap], bound_bytes: int) -> Iterator[tuple[Tap, ...]]:
    """Divide the taps so that the maps of one float32 sample fit a memory bound.

    Yields:
        Runs of taps in order; a single tap above the bound is a run of its own.
    """
    part: list[Tap] = []
    size = 0
    for tap in taps:
        if part and size + 4 * tap.size > bound_bytes:
            yield tuple(part)
            part, size = [], 0
        part.append(tap)
        size += 4 * tap.size
    if part:
        yield tuple(part)
