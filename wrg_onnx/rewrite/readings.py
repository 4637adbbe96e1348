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
from wrg_onnx.graph import Array, Extremes, Look, Node
from wrg_onnx.rewrite.plan import Plan

FEW_PLACES = 1024
"""In so many places a channel is looked at first; hardly one that varies does not do so there."""

EVERYWHERE = 1 << 62
"""Looks in all places, as before something is said to be the same everywhere."""


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


def looks_at(nodes: Iterable[CutNode], most: int) -> dict[str, Look]:
    """Say how to look at what some nodes read.

    Args:
        nodes: The nodes.
        most: In about how many places a channel is looked at, at most.
    """
    return {
        node.node.inputs[position]: _look_at(axes, most)
        for node in nodes
        for position, axes in node.reads.items()
    }


def _look_at(axes: Axes, most: int) -> Look:
    live = axes.live()
    places = tuple(axis for axis in range(axes.rank) if axis not in live)
    extended = sum(axes.shape[axis] > 1 for axis in places)
    side = max(1, int(most ** (1 / max(1, extended))))
    return Look(places, tuple(-(-axes.shape[axis] // side) for axis in places))


def spans_of(
    plan: Plan,
    looks: Mapping[str, Look],
    ends: Mapping[str, Extremes],
    values: Mapping[str, Array],
) -> dict[str, Span]:
    """Read spans off what ``with_extremes`` let a run return.

    Args:
        plan: What is removed.
        looks: How each tensor was looked at.
        ends: By tensor, the names of its extremes.
        values: These.
    """
    alive = alive_ids(plan.units, plan.alive)
    found = {}
    for name, extremes in ends.items():
        axes = plan.units.axes[name]
        live = axes.live()
        least, largest = values[extremes.least], values[extremes.largest]
        for place, axis in enumerate(live):
            kept = alive(axes.at(axis))
            least, largest = (np.compress(kept, one, axis=place) for one in (least, largest))
        steps = zip(looks[name].axes, looks[name].steps, strict=True)
        places = math.prod(-(-axes.shape[axis] // step) for axis, step in steps)
        found[name] = Span(least, largest, places)
    return found


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
