"""What the nodes that a cut changes read: where that says nothing, a proof by a run says nothing.

Behind a dead layer all is zero, and a wrong slice of a weight there makes no difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wrg_onnx.channels import Axes, BoolArray, alive_ids, traits_of
from wrg_onnx.channels.units import Analysed
from wrg_onnx.graph import Array, Band, Extremes, Graph, Node, with_bands, with_extremes
from wrg_onnx.rewrite.plan import Plan

FEW_PLACES = 256
"""In so many places a channel is looked at first; hardly one that varies does not do so there."""


@dataclass(frozen=True, slots=True, eq=False)
class CutNode:
    """A node of the main graph that a cut changes: a weight that it reads, or what it counts.

    Attributes:
        analysed: The node as it was analysed.
        reads: By position among its inputs, the axes of what it reads beside weights and sizes.
    """

    analysed: Analysed
    reads: Mapping[int, Axes]

    @property
    def node(self) -> Node:
        """The node."""
        return self.analysed.call.node


def cut_nodes(plan: Plan) -> tuple[CutNode, ...]:
    """Find the nodes that a cut changes and that read what depends on the model's inputs.

    Those in bodies of control flow are left out: nobody can look there.
    """
    units, alive = plan.units, alive_ids(plan.units, plan.alive)
    counting = {*plan.attributes, *(index for index, _ in (*plan.operands, *plan.copies))}
    found = []
    for index, analysed in units.nodes.items():
        node = analysed.call.node
        traits = traits_of(node)
        operands = [(n, one) for n, one in enumerate(analysed.call.inputs) if one is not None]
        loses = any(
            operand.is_weight and not all(alive(operand.axes.at(axis)).all() for axis in axes)
            for _, operand in operands
            if (axes := operand.axes.live())
        )
        is_inside = bool(units.flat.inside.intersection(node.outputs))
        if is_inside or traits.runs_bodies or traits.ignores_elements:
            continue
        if not loses and index not in counting:
            continue
        reads = {
            position: operand.axes
            for position, operand in operands
            if not operand.is_weight
            and 0 not in operand.axes.shape
            and not (position and traits.reads_sizes)
        }
        if reads:
            found.append(CutNode(analysed, reads))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Span:
    """Between which values the kept channels of a tensor lie.

    Attributes:
        least: The smallest value of each, float32; an axis for each one that carries channels.
        largest: The largest.
        places: In how many places a channel has a value.
    """

    least: Array
    largest: Array
    places: int

    @cached_property
    def idle(self) -> BoolArray:
        """Whether a channel shows nothing of the weights that meet it.

        It is zero throughout, or the same in all of several places. A number that is not 0, where
        there is one place alone, shows something.
        """
        is_number = np.isfinite(self.largest) & (self.largest != 0) & (self.places == 1)
        with np.errstate(invalid="ignore"):
            return np.asarray(~((self.largest > self.least) | is_number))

    def joined(self, other: Span) -> Span:
        """Return the span over the values of both."""
        least, largest = (np.fmin(self.least, other.least), np.fmax(self.largest, other.largest))
        return Span(least, largest, max(self.places, other.places))


def look_at_part(graph: Graph, nodes: Iterable[CutNode]) -> tuple[Graph, dict[str, str]]:
    """Let a graph return of what some nodes read about ``FEW_PLACES`` of each channel.

    Returns:
        The graph, and by tensor the name to ask it for.
    """
    parts = {name: _band(axes) for name, axes in _read(nodes).items()}
    watched, found = with_bands(graph, {n: band for n, band in parts.items() if band is not None})
    return watched, {name: found.get(name, name) for name in parts}


def look_everywhere(graph: Graph, nodes: Iterable[CutNode]) -> tuple[Graph, dict[str, Extremes]]:
    """Let a graph return the extremes of each channel of what some nodes read.

    Returns:
        The graph, and by tensor the names to ask it for.
    """
    return with_extremes(graph, {name: _places(axes) for name, axes in _read(nodes).items()})


def spans_of_parts(plan: Plan, parts: Mapping[str, Array]) -> dict[str, Span]:
    """Read spans off parts of tensors.

    Args:
        plan: What is removed.
        parts: By tensor, what ``look_at_part`` let a run return.
    """
    found = {}
    for name, part in parts.items():
        places = _places(plan.units.axes[name])
        count = math.prod(part.shape[axis] for axis in places)
        if count and part.dtype.kind in "fiub":
            ends = (part.min(axis=places), part.max(axis=places))
            found[name] = _kept(plan, name, *ends, count)
    return found


def spans_of_extremes(
    plan: Plan, ends: Mapping[str, Extremes], values: Mapping[str, Array]
) -> dict[str, Span]:
    """Read spans off extremes.

    Args:
        plan: What is removed.
        ends: By tensor, the names of its extremes.
        values: What ``look_everywhere`` let a run return.
    """
    found = {}
    for name, one in ends.items():
        axes = plan.units.axes[name]
        count = math.prod(axes.shape[axis] for axis in _places(axes))
        found[name] = _kept(plan, name, values[one.least], values[one.largest], count)
    return found


def _read(nodes: Iterable[CutNode]) -> dict[str, Axes]:
    """Return what some nodes read, by name."""
    return {node.node.inputs[n]: axes for node in nodes for n, axes in node.reads.items()}


def _places(axes: Axes) -> tuple[int, ...]:
    """Return the axes that carry no channels."""
    live = axes.live()
    return tuple(axis for axis in range(axes.rank) if axis not in live)


def _band(axes: Axes) -> Band | None:
    """Choose the places to look at: rows in the middle of a map, for rows are quickly copied."""
    extended = [axis for axis in _places(axes) if axes.shape[axis] > 1]
    if math.prod(axes.shape[axis] for axis in extended) <= FEW_PLACES:
        return None
    first, *others = extended
    rows = max(1, FEW_PLACES // math.prod(axes.shape[axis] for axis in others))
    start = (axes.shape[first] - rows) // 2
    return Band(first, start, start + rows)


def _kept(plan: Plan, name: str, least: Array, largest: Array, places: int) -> Span:
    """Take the kept channels of extremes, which have the axes that carry channels alone."""
    alive, axes = alive_ids(plan.units, plan.alive), plan.units.axes[name]
    for place, axis in enumerate(axes.live()):
        kept = alive(axes.at(axis))
        least, largest = (np.compress(kept, one, axis=place) for one in (least, largest))
    return Span(least.astype(np.float32), largest.astype(np.float32), places)


class Seen:
    """What the cut nodes read in all runs so far.

    Args:
        spans: Those of each run, by tensor.
    """

    def __init__(self, spans: Sequence[Mapping[str, Span]]) -> None:
        self._spans: dict[str, Span] = {}
        for each in spans:
            self.add(each)

    def add(self, spans: Mapping[str, Span]) -> None:
        """Add what one more run showed."""
        for name, span in spans.items():
            known = self._spans.get(name)
            self._spans[name] = span if known is None else known.joined(span)

    def is_quiet(self, node: CutNode) -> bool:
        """Tell whether something that a node reads shows nothing in any channel."""
        return any(idle.all() for idle in self._idle(node))

    def is_quiet_in_part(self, node: CutNode) -> bool:
        """Tell whether a channel of what a node reads shows nothing."""
        return any(idle.any() for idle in self._idle(node))

    def _idle(self, node: CutNode) -> list[BoolArray]:
        names = [node.node.inputs[position] for position in node.reads]
        return [self._spans[n].idle if n in self._spans else np.ones(1, bool) for n in names]
