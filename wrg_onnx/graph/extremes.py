"""Parts of tensors, and their extremes along some axes, as further tensors of a graph.

To look at whole feature maps would take the memory of all of them; these take a little per channel.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from wrg_onnx.graph.edit import INPUTS_FROM_IR, read_again, with_message
from wrg_onnx.graph.model import Graph
from wrg_onnx.graph.records import Source

AXES_FROM = 18
"""The opset from which on a reduction takes its axes as an input."""

BOUNDS_FROM = 10
"""The opset from which on a Slice takes its bounds as inputs."""


@dataclass(frozen=True, slots=True)
class Extremes:
    """The names of two float32 tensors of a graph.

    Attributes:
        least: The smallest values of a tensor, over the axes that were asked for.
        largest: Its largest values; the same name where there was no axis to go over.
    """

    least: str
    largest: str


@dataclass(frozen=True, slots=True)
class Band:
    """A part of a tensor: some positions of one axis, next to each other."""

    axis: int
    start: int
    stop: int


def with_extremes(
    graph: Graph, axes: Mapping[str, Sequence[int]]
) -> tuple[Graph, dict[str, Extremes]]:
    """Let a graph find the extremes of some of its tensors, right where each is made.

    Args:
        graph: The model.
        axes: By tensor of the main graph, of numbers and without an axis of length 0: the axes to
            go over.

    Returns:
        The model with these nodes, and by tensor the names to ask it for.
    """
    found: dict[str, Extremes] = {}

    def extremes_of(name: str, maker: _Maker) -> Iterator[onnx.NodeProto]:
        # A Cast, since before opset 12 reductions take no integers of 8 bits.
        wide = maker.fresh(f"{name}_wide")
        yield helper.make_node("Cast", [name], [wide], to=onnx.TensorProto.FLOAT)
        found[name] = Extremes(wide, wide)
        if axes[name]:
            ends = found[name] = Extremes(
                maker.fresh(f"{name}_least"), maker.fresh(f"{name}_largest")
            )
            yield maker.reduce("ReduceMin", wide, ends.least, axes[name])
            yield maker.reduce("ReduceMax", wide, ends.largest, axes[name])

    return _with_nodes(graph, axes.keys(), extremes_of), found


def with_bands(graph: Graph, bands: Mapping[str, Band]) -> tuple[Graph, dict[str, str]]:
    """Let a graph return parts of some of its tensors.

    Args:
        graph: The model.
        bands: By tensor of the main graph, the part.

    Returns:
        The model with these nodes, and by tensor the name to ask it for.
    """
    found: dict[str, str] = {}

    def band_of(name: str, maker: _Maker) -> Iterator[onnx.NodeProto]:
        found[name] = maker.fresh(f"{name}_band")
        yield maker.slice(name, found[name], bands[name])

    return _with_nodes(graph, bands.keys(), band_of), found


class _Maker:
    """Makes nodes for one message."""

    def __init__(self, message: onnx.ModelProto, opset: int) -> None:
        part = message.graph
        self._part, self._ir_version, self._opset = part, message.ir_version, opset
        self._taken = {name for node in part.node for name in (*node.input, *node.output)}
        self._taken |= {value.name for value in (*part.input, *part.output, *part.initializer)}

    def fresh(self, name: str) -> str:
        """Return a name that nothing has."""
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name

    def reduce(self, op: str, name: str, made: str, axes: Sequence[int]) -> onnx.NodeProto:
        """Return a node that goes over axes."""
        if self._opset < AXES_FROM:
            return helper.make_node(op, [name], [made], axes=list(axes), keepdims=0)
        return helper.make_node(
            op, [name, self._constant(f"{made}_axes", axes)], [made], keepdims=0
        )

    def slice(self, name: str, made: str, band: Band) -> onnx.NodeProto:
        """Return a node that takes a part."""
        starts, ends, axes = [band.start], [band.stop], [band.axis]
        if self._opset < BOUNDS_FROM:
            return helper.make_node("Slice", [name], [made], starts=starts, ends=ends, axes=axes)
        operands = [self._constant(f"{made}_bound", one) for one in (starts, ends, axes)]
        return helper.make_node("Slice", [name, *operands], [made])

    def _constant(self, name: str, numbers: Sequence[int]) -> str:
        """Put numbers into the graph; below IR version 4 a constant is an input, too."""
        tensor = numpy_helper.from_array(np.array(numbers, np.int64), self.fresh(name))
        self._part.initializer.append(tensor)
        if self._ir_version < INPUTS_FROM_IR:
            declared = (tensor.name, tensor.data_type, list(tensor.dims))
            self._part.input.append(helper.make_tensor_value_info(*declared))
        return tensor.name


def _with_nodes(
    graph: Graph,
    wanted: Collection[str],
    nodes_of: Callable[[str, _Maker], Iterator[onnx.NodeProto]],
) -> Graph:
    """Put nodes behind those that make some tensors, so that what these hold need not be kept."""
    source: Source = graph.source
    message = onnx.ModelProto()
    message.CopyFrom(source.message)
    maker = _Maker(message, graph.opset)
    fed = [value.name for value in message.graph.input if value.name in wanted]
    nodes = [made for name in fed for made in nodes_of(name, maker)]
    for node in message.graph.node:
        nodes.append(node)
        nodes += [made for name in node.output if name in wanted for made in nodes_of(name, maker)]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del message.graph.node[:]
    message.graph.node.extend(copies)
    return read_again(graph, with_message(source, message, source.weights))
