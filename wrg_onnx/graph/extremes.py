"""The least and the largest value of tensors along some axes, as further tensors of a graph.

To look at whole feature maps would take the memory of all of them; these take a number per channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from wrg_onnx.graph.edit import INPUTS_FROM_IR, read_again, with_message
from wrg_onnx.graph.model import Graph
from wrg_onnx.graph.records import Source

AXES_FROM = 18
"""The opset from which on a reduction takes its axes as an input."""

STEPS_FROM = 10
"""The opset from which on a Slice takes steps."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a tensor is looked at.

    Attributes:
        axes: The axes that are gone over, none of them of length 0.
        steps: For each of them, how far the places are apart that are looked at; below
            ``STEPS_FROM`` all are.
    """

    axes: tuple[int, ...]
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Extremes:
    """The names of two float32 tensors of a graph.

    Attributes:
        least: The smallest values of a tensor, over the axes that were asked for.
        largest: Its largest values; the same name where there was no axis to go over.
    """

    least: str
    largest: str


def with_extremes(graph: Graph, looks: Mapping[str, Look]) -> tuple[Graph, dict[str, Extremes]]:
    """Let a graph find the extremes of some of its tensors, right where each is made.

    Args:
        graph: The model.
        looks: By tensor of the main graph, which is of numbers.

    Returns:
        The model with these nodes, and by tensor the names to ask it for.
    """
    source: Source = graph.source
    message = onnx.ModelProto()
    message.CopyFrom(source.message)
    looker = _Looker(message, looks, graph.opset)
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

    def __init__(self, message: onnx.ModelProto, looks: Mapping[str, Look], opset: int) -> None:
        self.found: dict[str, Extremes] = {}
        part, self._ir_version = message.graph, message.ir_version
        self._part, self._looks, self._opset = part, looks, opset
        self._taken = {name for node in part.node for name in (*node.input, *node.output)}
        self._taken |= {value.name for value in (*part.input, *part.output, *part.initializer)}

    def look_at(self, names: Iterable[str]) -> Iterator[onnx.NodeProto]:
        """Yield the nodes for those of some tensors that are asked for."""
        for name in names:
            if name not in self._looks:
                continue
            look, seen = self._looks[name], name
            if max(look.steps, default=1) > 1 and self._opset >= STEPS_FROM:
                seen = self._fresh(f"{name}_seen")
                yield self._slice(name, seen, look)
            # A Cast, since before opset 12 reductions take no integers of 8 bits.
            wide = self._fresh(f"{name}_wide")
            yield helper.make_node("Cast", [seen], [wide], to=onnx.TensorProto.FLOAT)
            if not look.axes:
                self.found[name] = Extremes(wide, wide)
                continue
            ends = Extremes(self._fresh(f"{name}_least"), self._fresh(f"{name}_largest"))
            yield self._reduce("ReduceMin", wide, ends.least, look.axes)
            yield self._reduce("ReduceMax", wide, ends.largest, look.axes)
            self.found[name] = ends

    def _reduce(self, op: str, name: str, made: str, axes: Sequence[int]) -> onnx.NodeProto:
        if self._opset < AXES_FROM:
            return helper.make_node(op, [name], [made], axes=list(axes), keepdims=0)
        return helper.make_node(
            op, [name, self._constant(f"{made}_axes", axes)], [made], keepdims=0
        )

    def _slice(self, name: str, made: str, look: Look) -> onnx.NodeProto:
        count = len(look.axes)
        bounds = ([0] * count, [np.iinfo(np.int64).max] * count, look.axes, look.steps)
        operands = [self._constant(f"{made}_bound", one) for one in bounds]
        return helper.make_node("Slice", [name, *operands], [made])

    def _constant(self, name: str, numbers: Sequence[int]) -> str:
        """Put numbers into the graph; below IR version 4 a constant is an input, too."""
        tensor = numpy_helper.from_array(np.array(numbers, np.int64), self._fresh(name))
        self._part.initializer.append(tensor)
        if self._ir_version < INPUTS_FROM_IR:
            kind = (tensor.name, tensor.data_type, list(tensor.dims))
            self._part.input.append(helper.make_tensor_value_info(*kind))
        return tensor.name

    def _fresh(self, name: str) -> str:
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name
