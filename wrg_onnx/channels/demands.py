"""Numbers in shape operands that must follow the channels, and whether they can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels.axes import Demand
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.sizes import Place, Size
from wrg_onnx.channels.units import Analysed, Reader, Units
from wrg_onnx.graph import Array

_NONE: IdArray = np.empty(0, np.int64)

PROBES = 4
"""Random removals that a computed size must follow before it is believed."""


def alive_ids(units: Units, alive: np.ndarray) -> Alive:
    """Turn a mask over units into a function over id arrays; inert positions are alive."""
    per_unit = np.append(alive, True)  # index -1 (INERT) reads the last entry

    def look(ids: IdArray) -> np.ndarray:
        return np.asarray(per_unit[units.of(ids)])

    return look


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """A number in a shape operand, as a node reads it after a removal.

    Attributes:
        reader: The node's index, and the position of the operand among its inputs.
        analysed: The node.
        demand: What the number must follow.
        size: The number.
        wanted: What it must become.
        follows: Whether it becomes that by itself.
        is_private: Whether the operand becomes a constant that no other node sees.
    """

    reader: Reader
    analysed: Analysed
    demand: Demand
    size: Size
    wanted: int
    follows: bool
    is_private: bool

    @property
    def source(self) -> Place | None:
        """Where the number can be written for all who read it."""
        return None if self.is_private else self.size.source

    def is_made_by(self, makers: set[int]) -> bool:
        """Whether it is written at one of these nodes, for all who read it."""
        return self.source is not None and self.source[0] in makers


def _readings(units: Units, alive: Alive) -> Iterator[_Reading]:
    """Yield every number that must follow a removal, in the order of the nodes."""
    for index, analysed in units.nodes.items():
        found = []
        private = set()
        for demand in analysed.demands:
            operand = analysed.call.operand(demand.position)
            assert operand.sizes is not None
            sizes = operand.sizes.reshape(-1)
            number = sizes[demand.element]
            wanted = _wanted(number, demand, alive)
            follows = number.pruned(alive) == wanted
            found.append((demand, number, wanted, follows))
            is_known = not any(size.is_open for size in sizes)
            if operand.value is not None or (is_known and not follows):
                private.add(demand.position)
        for demand, number, wanted, follows in found:
            reader = (index, demand.position)
            is_private = demand.position in private
            yield _Reading(reader, analysed, demand, number, wanted, follows, is_private)


def _wanted(number: Size, demand: Demand, alive: Alive) -> int:
    """Return what a number must become; as it is written while all that it counts is alive."""
    whole = demand.rest is None or alive(demand.rest).all()
    if demand.ids is None or (whole and alive(demand.ids).all()):
        return int(number.value)
    return int(alive(demand.ids).sum())


def unmet_demands(units: Units) -> list[tuple[IdArray, str, str]]:
    """Find sizes that some removal would leave wrong, and that cannot be written anew.

    Args:
        units: The analysis so far.

    Returns:
        (ids, node, reason) of what must be frozen; empty when every demand can be met.
    """
    rng = np.random.default_rng(0)
    for _ in range(PROBES):
        gone = units.removable & (rng.random(units.count) < 0.5)
        readings = list(_readings(units, alive_ids(units, ~gone)))
        if any(_unmet(units, readings, set())):
            unmet = list(_unmet(units, readings, _torn(units, readings)))
            if unmet:
                return unmet
    return []


def _unmet(
    units: Units, readings: Sequence[_Reading], torn: set[int]
) -> Iterator[tuple[IdArray, str, str]]:
    # What each number in the file must become, with the ids that want it so.
    written: dict[Place, tuple[int, IdArray]] = {}
    for reading in readings:
        if reading.is_private or reading.is_made_by(torn):
            continue
        ids = _ids(reading.demand, reading.size)
        node = str(reading.analysed.call.node)
        if reading.source is None:
            if not reading.follows:
                yield ids, node, "computes the size of this axis in a way that cannot follow"
            continue
        other, holders = written.setdefault(reading.source, (reading.wanted, ids))
        pinned = reading.source in units.pinned and not reading.follows
        if pinned or other != reading.wanted:
            yield np.concatenate([ids, holders]), node, "shares the size of this axis"


def _torn(units: Units, readings: Sequence[_Reading]) -> set[int]:
    """Find nodes that make sizes for several readers which want different numbers in one place.

    An exporter makes ``[batch, 8, time, 16]`` once for all layers. Each reader can have such a node
    for itself, with a constant of its own, if all who want something of it read it directly.
    """
    torn, passed_on = set(), set()
    written: dict[Place, int] = {}
    for reading in readings:
        source = reading.source
        if source is None:
            continue
        if not _reads_directly(units, reading, source[0]):
            passed_on.add(source[0])
        pinned = source in units.pinned and not reading.follows
        if pinned or written.setdefault(source, reading.wanted) != reading.wanted:
            torn.add(source[0])
    return torn - passed_on


def _reads_directly(units: Units, reading: _Reading, maker: int) -> bool:
    call = reading.analysed.call
    name = call.operand(reading.demand.position).name
    made_by = units.flat.graph.producers.get(name)
    inside = units.flat.inside.intersection((name, *call.node.outputs))
    return made_by is not None and made_by.index == maker and not inside


def _ids(demand: Demand, size: Size) -> IdArray:
    """Return all ids that a number depends on, or should."""
    parts = [demand.ids, demand.rest, *size.ids, _NONE]
    return np.concatenate([ids for ids in parts if ids is not None])


def meet_demands(
    units: Units, alive: Alive
) -> tuple[dict[Reader, Array], dict[Reader, dict[int, Array]]]:
    """Write the shape operands that do not follow a removal by themselves.

    Args:
        units: The analysis.
        alive: Which ids are alive.

    Returns:
        New constant operands by (node index, input position). And by that of a reader who gets a
        copy of the node that makes his sizes, because others want other sizes of it: constant
        operands of the copy by its input position.
    """
    operands: dict[Reader, Array] = {}
    copies: dict[Reader, dict[int, Array]] = {}
    readings = list(_readings(units, alive))
    torn = _torn(units, readings)
    for reading in readings:
        if reading.follows:
            continue
        place = (*reading.reader, reading.demand.element) if reading.is_private else reading.source
        assert place is not None, f"{reading.analysed.call.node}: {reading.demand}"
        node, position, element = place
        if reading.is_made_by(torn):
            of_copy = copies.setdefault(reading.reader, {})
            if position not in of_copy:
                of_copy[position] = _as_it_is(units, (node, position), alive)
            array = of_copy[position]
        else:
            if (node, position) not in operands:
                operands[node, position] = _as_it_is(units, (node, position), alive)
            array = operands[node, position]
        array.reshape(-1)[element] = reading.wanted
    return operands, copies


def _as_it_is(units: Units, key: tuple[int, int], alive: Alive) -> Array:
    """Return a shape operand as it is after the removal, before demands are written into it."""
    operand = units.nodes[key[0]].call.operand(key[1])
    if operand.value is not None:
        return operand.value.copy()
    assert operand.sizes is not None
    flat = [int(size.pruned(alive)) for size in operand.sizes.reshape(-1)]
    return np.array(flat, np.int64).reshape(operand.sizes.shape)
