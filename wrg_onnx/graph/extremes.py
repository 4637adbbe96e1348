"""The least and the largest value of tensors along some axes, as further tensors of a graph.

To look at whole feature maps would take the memory of all of them; these take a number per channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from wrg_onnx.graph.edit import read_again, with_message
from wrg_onnx.graph.model import Graph
from wrg_onnx.graph.records import Source

AXES_FROM = 18
"""The opset from which on a reduction takes its axes as an input."""


@dataclass(frozen=True, slots=True)
class Extremes:
    """The names of two float32 tensors of a graph.

    Attributes:
        least: The smallest values of a tensor, over the axes that were asked for.
        largest: Its largest values; the same name where there was no axis to go over.
    """

    least: str
    largest: str


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
    source: Source = graph.source
    message = onnx.ModelProto()
    message.CopyFrom(source.message)
    looker = _Looker(message.graph, axes, graph.opset)
    nodes = list(looker.look_at(value.name for value in message.graph.input))
    for node in message.graph.node:
        nodes += [node, *looker.look_at(node.output)]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del message.graph.node[:]
    message.graph.node.extend(copies)
    return read_again(graph, with_message(source, message, source.weights)), looker.found


class _Looker:
    """Makes the nodes that look at tensors of one graph.

    Attributes:
        found: By tensor, what tells its extremes.
    """

    def __init__(
        self, part: onnx.GraphProto, axes: Mapping[str, Sequence[int]], opset: int
    ) -> None:
        self.found: dict[str, Extremes] = {}
        self._part, self._axes, self._opset = part, axes, opset
        self._taken = {name for node in part.node for name in (*node.input, *node.output)}
        self._taken |= {value.name for value in (*part.input, *part.output, *part.initializer)}

    def look_at(self, names: Iterable[str]) -> Iterator[onnx.NodeProto]:
        """Yield the nodes for those of some tensors that are asked for."""
        for name in names:
            if name not in self._axes:
                continue
            # A Cast, since before opset 12 reductions take no integers of 8 bits.
            wide = self._fresh(f"{name}_wide")
            yield helper.make_node("Cast", [name], [wide], to=onnx.TensorProto.FLOAT)
            axes = self._axes[name]
            if not axes:
                self.found[name] = Extremes(wide, wide)
                continue
            ends = Extremes(self._fresh(f"{name}_least"), self._fresh(f"{name}_largest"))
            yield self._reduce("ReduceMin", wide, ends.least, axes)
            yield self._reduce("ReduceMax", wide, ends.largest, axes)
            self.found[name] = ends

    def _reduce(self, op: str, name: str, made: str, axes: Sequence[int]) -> onnx.NodeProto:
        if self._opset < AXES_FROM:
            return helper.make_node(op, [name], [made], axes=list(axes), keepdims=0)
        constant = numpy_helper.from_array(np.array(axes, np.int64), self._fresh(f"{made}_axes"))
        self._part.initializer.append(constant)
        return helper.make_node(op, [name, constant.name], [made], keepdims=0)

    def _fresh(self, name: str) -> str:
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name
