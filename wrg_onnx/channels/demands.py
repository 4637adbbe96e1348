"""Numbers in shape operands that must follow the channels, and whether they can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels.answers import Demand
from wrg_onnx.channels.ids import Alive, BoolArray, IdArray
from wrg_onnx.channels.sizes import Place, Size
from wrg_onnx.channels.units import Analysed, Port, Units
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
class _Number:
    """A number in a shape operand, as a node reads it after a removal.

    Attributes:
        port: The node's index, and the position of the operand among its inputs.
        analysed: The node.
        demand: What the number must follow.
        size: The number.
        wanted: What it must become.
        follows: Whether it becomes that by itself.
        is_private: Whether the operand becomes a constant that no other node sees.
    """

    port: Port
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


def _numbers_to_follow(units: Units, alive: Alive) -> Iterator[_Number]:
    """Yield every number that must follow a removal, in the order of the nodes."""
    for index, analysed in units.nodes.items():
        found = []
        private = set()
        for demand in analysed.demands:
            operand = analysed.call.operand(demand.position)
            assert operand.sizes is not None
            sizes = operand.sizes.reshape(-1)
            size = sizes[demand.element]
            wanted = _wanted(size, demand, alive)
            follows = size.pruned(alive) == wanted
            found.append((demand, size, wanted, follows))
            is_known = not any(other.is_open for other in sizes)
            if operand.is_constant or (is_known and not follows):
                private.add(demand.position)
        for demand, size, wanted, follows in found:
            is_private = demand.position in private
            port = (index, demand.position)
            yield _Number(port, analysed, demand, size, wanted, follows, is_private)


def _wanted(size: Size, demand: Demand, alive: Alive) -> int:
    """Return what a number must become: what it is written as while all that it counts is alive.

    A bound that counts from the end, or a 0 that copies a length, is right as it is written until a
    position goes that it depends on.
    """
    whole = demand.rest is None or alive(demand.rest).all()
    if demand.ids is None or (whole and alive(demand.ids).all()):
        return int(size.value)
    return int(alive(demand.ids).sum())


def unmet_demands(units: Units) -> list[tuple[IdArray, str, str]]:
    """Find sizes that some removal would leave wrong, and that cannot be written anew.

    Args:
        units: The analysis so far.

    Returns:
        (ids, node, reason) of what must be frozen; empty when every demand can be met.
    """
    for gone in _probes(units):
        numbers = list(_numbers_to_follow(units, alive_ids(units, ~gone)))
        if any(_unmet(units, numbers, set())):
            unmet = list(_unmet(units, numbers, _makers_to_copy(units, numbers)))
            if unmet:
                return unmet
    return []


def _probes(units: Units) -> Iterator[BoolArray]:
    """Draw removals, each followed by that of all others, so that every unit goes in some."""
    rng = np.random.default_rng(0)
    for _ in range(PROBES // 2):
        drawn = rng.random(units.count) < 0.5
        yield units.removable & drawn
        yield units.removable & ~drawn


def _unmet(
    units: Units, numbers: Sequence[_Number], copied: set[int]
) -> Iterator[tuple[IdArray, str, str]]:
    """Yield what must be frozen because a number cannot become what it must be.

    Args:
        units: The analysis so far.
        numbers: Those that must follow one removal.
        copied: Nodes that each reader gets for itself, so that their numbers are nobody else's.
    """
    # What each number in the file must become, with the ids that want it so.
    written: dict[Place, tuple[int, IdArray]] = {}
    for number in numbers:
        if number.is_private or number.is_made_by(copied):
            continue
        ids = _depends_on(number.demand, number.size)
        node = str(number.analysed.call.node)
        if number.source is None:
            if not number.follows:
                yield (
                    ids,
                    node,
                    "computes the size of this axis in a way that cannot follow a removal",
                )
            continue
        other, holders = written.setdefault(number.source, (number.wanted, ids))
        pinned = number.source in units.pinned and not number.follows
        if pinned or other != number.wanted:
            yield (
                np.concatenate([ids, holders]),
                node,
                "needs the size of this axis where others need another number",
            )


def _makers_to_copy(units: Units, numbers: Sequence[_Number]) -> set[int]:
    """Find nodes whose readers want different numbers in one place, so that each needs a copy.

    An exporter makes ``[batch, 8, time, 16]`` once for all layers. When one layer is to have 6
    heads and another 5, the 8 has no value that is right for both. The node that makes the vector
    (a Concat, say) can then be copied for each reader, with a constant of its own in the place of
    the 8: if all who want something of it read it directly, and not through further arithmetic.

    Returns:
        The indices of such nodes.
    """
    # disputed: makers of a number that two readers want differently, or that a reader wants to be
    # another one while something else needs it as it is. passed_on: makers whose result some node
    # computes with before it is read; a copy of the maker alone would not reach that reader.
    disputed, passed_on = set(), set()
    written: dict[Place, int] = {}
    for number in numbers:
        source = number.source
        if source is None:
            continue
        if not _reads_directly(units, number, source[0]):
            passed_on.add(source[0])
        pinned = source in units.pinned and not number.follows
        if pinned or written.setdefault(source, number.wanted) != number.wanted:
            disputed.add(source[0])
    return disputed - passed_on


def _reads_directly(units: Units, number: _Number, maker: int) -> bool:
    """Tell whether a node reads the output of another one itself, both outside any body."""
    call = number.analysed.call
    name = call.operand(number.demand.position).name
    made_by = units.flat.graph.producers.get(name)
    inside = units.flat.inside.intersection((name, *call.node.outputs))
    return made_by is not None and made_by.index == maker and not inside


def _depends_on(demand: Demand, size: Size) -> IdArray:
    """Return all ids that a number depends on, or should."""
    parts = [demand.ids, demand.rest, *size.ids, _NONE]
    return np.concatenate([ids for ids in parts if ids is not None])


def meet_demands(
    units: Units, alive: Alive
) -> tuple[dict[Port, Array], dict[Port, dict[int, Array]]]:
    """Write the shape operands that do not follow a removal by themselves.

    Args:
        units: The analysis.
        alive: Which ids are alive.

    Returns:
        New constant operands by (node index, input position). And for each input that gets a copy
        of the node that makes its sizes, because others want other sizes of that node: the new
        constant operands of the copy, by the copy's input position.
    """
    operands: dict[Port, Array] = {}
    copies: dict[Port, dict[int, Array]] = {}
    numbers = list(_numbers_to_follow(units, alive))
    copied = _makers_to_copy(units, numbers)
    for number in numbers:
        if number.follows:
            continue
        place = (*number.port, number.demand.element) if number.is_private else number.source
        assert place is not None, f"{number.analysed.call.node}: {number.demand}"
        node, position, element = place
        if number.is_made_by(copied):
            of_copy = copies.setdefault(number.port, {})
            if position not in of_copy:
                of_copy[position] = _after_removal(units, (node, position), alive)
            array = of_copy[position]
        else:
            if (node, position) not in operands:
                operands[node, position] = _after_removal(units, (node, position), alive)
            array = operands[node, position]
        array.reshape(-1)[element] = number.wanted
    return operands, copies


def _after_removal(units: Units, key: tuple[int, int], alive: Alive) -> Array:
    """Return a shape operand as it is after the removal, before demands are written into it."""
    operand = units.nodes[key[0]].call.operand(key[1])
    if operand.value is not None:
        return operand.value.copy()
    assert operand.sizes is not None
    flat = [int(size.pruned(alive)) for size in operand.sizes.reshape(-1)]
    return np.array(flat, np.int64).reshape(operand.sizes.shape)
