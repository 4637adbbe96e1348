"""From what holds channels back to the node that decided it.

An axis that meets one without channels stays, and the node where they meet says so. But the
decision fell where the other axis lost its channels, or never had any: at a Reshape that divides
them, an operator without a rule, the model's input. It is looked for on demand, and no rule knows
of it: a rule is asked again with ids in the place of what its inputs lack. Where such ids are tied
to the channels, they say which axis was met; where the outputs carry them, from which axis of the
inputs an axis without channels came; and where they end, the decision fell.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from wrg_onnx.channels.answers import Coupling
from wrg_onnx.channels.axes import Axes, Call, Operand
from wrg_onnx.channels.ids import INERT, IdArray
from wrg_onnx.channels.propagate import no_rule, no_shape
from wrg_onnx.channels.reasons import Kind, Reason, kind_of
from wrg_onnx.channels.table import Rule, find_rule
from wrg_onnx.channels.units import Units
from wrg_onnx.channels.varying import VARIES

NEW_AXIS = "makes an axis that carries no channels"
NEW_POSITIONS = "adds positions that carry no channels"
DIVIDES = "divides an axis, and another part carries its channels"
ENTERS = "enters a branch or loop body"
SINGLE = "has a single channel there"
NO_WEIGHT = "is a constant of integers or truth values, whose axes carry no channels"


@dataclass(frozen=True, slots=True, eq=False)
class Hold:
    """Units that stay for one decision.

    Attributes:
        units: (n,) int64, the units, each once.
        root: The decision.
        met: How it reaches them: which node meets which axis; empty where the root holds them.
    """

    units: IdArray
    root: Reason
    met: str = ""


@dataclass(frozen=True, slots=True)
class _Spot:
    """One position along one axis of one tensor."""

    tensor: str
    axis: int
    position: int


def find_holds(units: Units) -> Iterator[Hold]:
    """Yield all that holds units, in the order in which the analysis found it.

    Args:
        units: The analysis.
    """
    search = _Search(units)
    # A rule may tie row by row: what meets an axis at one node is asked about at a time.
    parts: dict[int, list[IdArray]] = {}
    for ids, number in units.freezes:
        parts.setdefault(number, []).append(ids)
    for number, found in parts.items():
        reason, ids = units.reasons[number], np.concatenate(found)
        if reason.kind is not Kind.MEETS or reason.index is None:
            yield Hold(np.unique(units.labels[ids]), reason)
            continue
        for met, which in search.met_by(reason.index, ids):
            root = reason if met is None else search.root_of(met)
            text = "" if met is None else f"{reason.node} meets axis {met.axis} of '{met.tensor}'"
            yield Hold(np.unique(units.labels[which]), root, text)


class Way(enum.Enum):
    """How a rule is asked again."""

    FILLED = "with ids wherever its inputs have none"
    PARTS = "with ids of its own for each part of an axis that it divides, and no ties there"
    FILLED_PARTS = "with both"


@dataclass(slots=True, eq=False)
class _Answer:
    """What a rule says when it is asked again.

    Attributes:
        coupling: Its answer.
        call: The node as it was analysed.
        starts: The first of the ids that were put along each axis, ascending.
        places: Whose axis that is: an input position, and the axis.
        end: The first id behind them; from here on the rule's own.
    """

    coupling: Coupling
    call: Call
    starts: Sequence[int]
    places: Sequence[tuple[int, int]]
    end: int

    def spot(self, number: int) -> _Spot | None:
        """Return where an id was put; None for one that was there before, or is the rule's own."""
        if not self.starts or not self.starts[0] <= number < self.end:
            return None
        which = bisect_right(self.starts, number) - 1
        position, axis = self.places[which]
        return _Spot(self.call.operand(position).name, axis, number - self.starts[which])

    def id_at(self, output: int, spot: _Spot) -> int:
        """Return the id at a position of an output, or ``INERT``."""
        own = self.coupling.outputs[output].ids[spot.axis]
        return INERT if own is None else int(own[spot.position])

    def divided(self, number: int) -> int | None:
        """Return an id of the axis that was divided into parts, one of which has this id."""
        for division in self.coupling.divisions:
            if any(number in part for part in division.parts.values()):
                return int(division.ids[0])
        return None


@dataclass(slots=True, eq=False)
class _Search:
    """Follows axes without channels against the direction of the graph; remembers answers."""

    units: Units
    answers: dict[tuple[int, Way], _Answer] = field(default_factory=dict)
    roots: dict[_Spot, Reason] = field(default_factory=dict)

    def met_by(self, index: int, ids: IdArray) -> list[tuple[_Spot | None, IdArray]]:
        """Return what ids meet at a node, with those that do; None where the rule does not say.

        Args:
            index: The node's.
            ids: Some that stay since they are tied to positions without ids.
        """
        answer = self._ask(index, Way.FILLED)
        rest, total = set(ids.tolist()), len(self.units.labels)
        asked = np.zeros(total + 1, bool)  # the last is for what is no id: INERT, and what was put
        asked[ids] = True
        found: dict[tuple[str, int], list[tuple[_Spot, int]]] = {}
        for tie in answer.coupling.ties:
            for own, other in ((tie.left, tie.right), (tie.right, tie.left)):
                is_put = asked[np.minimum(own, total)] & (other >= total)
                for one, met in zip(own[is_put].tolist(), other[is_put].tolist(), strict=True):
                    spot = answer.spot(met)
                    if spot is not None and one in rest:
                        rest.discard(one)
                        found.setdefault((spot.tensor, spot.axis), []).append((spot, one))
        # Positions of one axis mostly share their root. Where it was joined of two (a class token
        # before those of an image), that in the middle speaks for most of them.
        held: list[tuple[_Spot | None, IdArray]] = [
            (pairs[len(pairs) // 2][0], np.array([one for _, one in pairs], np.int64))
            for pairs in found.values()
        ]
        return [*held, *([(None, np.array(sorted(rest), np.int64))] if rest else [])]

    def root_of(self, spot: _Spot) -> Reason:
        """Return why a position without an id has none."""
        passed: list[_Spot] = []
        step: _Spot | Reason = spot
        while isinstance(step, _Spot):
            passed.append(step)
            step = self.roots.get(step) or self._step(step)
        self.roots.update(dict.fromkeys(passed, step))
        return step

    def _step(self, spot: _Spot) -> _Spot | Reason:
        """Go from an axis of a node's output to that of an input, or say what ended there."""
        node = self.units.flat.graph.producers.get(spot.tensor)
        if node is None:
            return self._source(spot)
        analysed = self.units.nodes[node.index]
        if not analysed.has_shapes or find_rule(node) is None:
            why = no_rule(node) if analysed.has_shapes else no_shape(node, self.units.flat)
            return Reason(str(node), str(why), why.kind)
        output = node.outputs.index(spot.tensor)
        plain = self._ask(node.index, Way.PARTS)
        number = plain.id_at(output, spot)
        if number != INERT:  # as far as its rule is concerned, it carries channels
            if plain.divided(number) is None:
                return Reason(str(node), str(VARIES), VARIES.kind)
            return Reason(str(node), f"{DIVIDES} ({analysed.choice})")
        answer = self._ask(node.index, Way.FILLED_PARTS)
        number = answer.id_at(output, spot)
        divided = answer.divided(number)
        before = answer.spot(number if divided is None else divided)
        return _ended(str(node), answer, output, spot) if before is None else before

    def _source(self, spot: _Spot) -> _Spot | Reason:
        """Say why a tensor that no node makes has no channels, or where a body's entry begins."""
        graph, name = self.units.flat.graph, spot.tensor
        if name in graph.constants:
            is_single = graph.constants.forms[name].shape[spot.axis] < 2
            return Reason(f"'{name}'", SINGLE if is_single else NO_WEIGHT)
        if name in self.units.flat.entries:
            return self._before_body(spot) or Reason(f"'{name}'", ENTERS)
        return Reason(f"input '{name}'", "is the model's input", Kind.INPUT)

    def _before_body(self, spot: _Spot) -> _Spot | None:
        """Return the place outside that an entry of a body has its channels from."""
        entrance, inner = self.units.flat.entries[spot.tensor], self.units.axes[spot.tensor]
        if entrance.passage is None:
            return None
        outer = self.units.axes[entrance.source]
        dropped = entrance.passage.outside(outer.rank)
        kept = [axis for axis in range(outer.rank) if axis not in (dropped or ())]
        if dropped is None or inner.shape != tuple(outer.shape[axis] for axis in kept):
            return None
        return _Spot(entrance.source, kept[spot.axis], spot.position)

    def _ask(self, index: int, way: Way) -> _Answer:
        if (index, way) not in self.answers:
            call, first = self.units.nodes[index].call, len(self.units.labels)
            self.answers[index, way] = ask_again(call, first, way)
        return self.answers[index, way]


def ask_again(call: Call, first: int, way: Way) -> _Answer:
    """Ask a node's rule once more.

    Args:
        call: The node as it was analysed.
        first: The first number that is no id yet.
        way: What it gets.
    """
    rule: Rule | None = find_rule(call.node)
    assert rule is not None, f"{call.node} has no rule"
    starts: list[int] = []
    places: list[tuple[int, int]] = []
    inputs: list[Operand | None] = []
    end = first
    for position, operand in enumerate(call.inputs):
        if operand is None:
            inputs.append(None)
            continue
        ids: list[IdArray | None] = []
        for axis, own in enumerate(operand.axes.ids):
            if way is Way.PARTS or (own is not None and (own != INERT).all()):
                ids.append(own)
                continue
            put = np.arange(end, end + operand.axes.shape[axis])
            ids.append(put if own is None else np.where(own == INERT, put, own))
            starts.append(end)
            places.append((position, axis))
            end += len(put)
        inputs.append(replace(operand, axes=Axes(operand.axes.shape, tuple(ids))))
    counter = [end]

    def fresh(count: int) -> IdArray:
        counter[0] += count
        return np.arange(counter[0] - count, counter[0])

    parts = None if way is Way.FILLED else fresh
    coupling = rule(replace(call, inputs=tuple(inputs), fresh=parts, new_ids=None))
    return _Answer(coupling, call, starts, places, end)


def _ended(node: str, answer: _Answer, output: int, spot: _Spot) -> Reason:
    """Say why an output lacks channels although no input does: what the rule froze, if anything."""
    told = [freeze for freeze in answer.coupling.frozen if freeze.reason]
    put = [freeze for freeze in told if answer.starts and (freeze.ids >= answer.starts[0]).any()]
    for freeze in (*put, *told):
        return Reason(node, str(freeze.reason), kind_of(freeze.reason))
    is_whole = answer.coupling.outputs[output].ids[spot.axis] is None
    return Reason(node, NEW_AXIS if is_whole else NEW_POSITIONS)
