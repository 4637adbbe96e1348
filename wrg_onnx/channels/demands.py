"""Numbers in shape operands that must follow the channels, and whether they can."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wrg_onnx.channels.axes import Demand
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.sizes import Place, Size, Sizes
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
        alive = alive_ids(units, ~gone)
        if any(_unmet(units, alive, set())):
            unmet = list(_unmet(units, alive, _torn(units, alive)))
            if unmet:
                return unmet
    return []


def _unmet(units: Units, alive: Alive, torn: set[int]) -> Iterator[tuple[IdArray, str, str]]:
    # What each number in the file must become, with the ids that want it so.
    written: dict[Place, tuple[int, IdArray]] = {}
    for analysed in units.nodes.values():
        private = _private_operands(analysed, alive)
        for demand in analysed.demands:
            sizes = _operand_sizes(analysed, demand)
            size, wanted = sizes[demand.element], _wanted(sizes, demand, alive)
            if demand.position in private or (size.source and size.source[0] in torn):
                continue
            ids = _ids(demand, size)
            node = str(analysed.call.node)
            if size.source is None:
                if size.pruned(alive) != wanted:
                    yield ids, node, "computes the size of this axis in a way that cannot follow"
                continue
            other, holders = written.setdefault(size.source, (wanted, ids))
            pinned = size.source in units.pinned and wanted != size.pruned(alive)
            if pinned or other != wanted:
                yield np.concatenate([ids, holders]), node, "shares the size of this axis"


def _torn(units: Units, alive: Alive) -> set[int]:
    """Find nodes that make sizes for several readers which want different numbers in one place.

    An exporter makes ``[batch, 8, time, 16]`` once for all layers. Each reader can have such a node
    for itself, with a constant of its own, if all who want something of it read it directly.
    """
    torn, passed_on = set(), set()
    written: dict[Place, int] = {}
    for analysed in units.nodes.values():
        private = _private_operands(analysed, alive)
        for demand in analysed.demands:
            sizes = _operand_sizes(analysed, demand)
            size, wanted = sizes[demand.element], _wanted(sizes, demand, alive)
            if demand.position in private or size.source is None:
                continue
            maker = size.source[0]
            if not _reads_directly(units, analysed, demand, maker):
                passed_on.add(maker)
            pinned = size.source in units.pinned and wanted != size.pruned(alive)
            if pinned or written.setdefault(size.source, wanted) != wanted:
                torn.add(maker)
    return torn - passed_on


def _reads_directly(units: Units, analysed: Analysed, demand: Demand, maker: int) -> bool:
    node, name = analysed.call.node, analysed.call.operand(demand.position).name
    made_by = units.flat.graph.producers.get(name)
    inside = units.flat.inside.intersection((name, *node.outputs))
    return made_by is not None and made_by.index == maker and not inside


def _ids(demand: Demand, size: Size) -> IdArray:
    """Return all ids that a number depends on, or should."""
    parts = [demand.ids, demand.rest, *size.ids, _NONE]
    return np.concatenate([ids for ids in parts if ids is not None])


def _private_operands(analysed: Analysed, alive: Alive) -> set[int]:
    """Return the operands that get a constant of their own: no other node sees the new numbers."""
    private = set()
    for demand in analysed.demands:
        operand = analysed.call.operand(demand.position)
        sizes = _operand_sizes(analysed, demand)
        if operand.value is not None:
            private.add(demand.position)
        elif any(size.is_open for size in sizes):
            continue
        elif sizes[demand.element].pruned(alive) != _wanted(sizes, demand, alive):
            private.add(demand.position)
    return private


def _operand_sizes(analysed: Analysed, demand: Demand) -> Sizes:
    operand = analysed.call.operand(demand.position)
    assert operand.sizes is not None
    return operand.sizes.reshape(-1)


def _wanted(sizes: Sizes, demand: Demand, alive: Alive) -> int:
    """Return what a number must become; as it is written while all that it counts is alive."""
    whole = demand.rest is None or alive(demand.rest).all()
    if demand.ids is None or (whole and alive(demand.ids).all()):
        return int(sizes[demand.element].value)
    return int(alive(demand.ids).sum())


def meet_demands(units: Units, alive: Alive) -> dict[tuple[int, int], Array]:
    """Write the shape operands that do not follow a removal by themselves.

    Args:
        units: The analysis.
        alive: Which ids are alive.

    Returns:
        New constant operands by (node index, input position).
    """
    written: dict[tuple[int, int], Array] = {}
    torn = _torn(units, alive)
    for index, analysed in units.nodes.items():
        private = _private_operands(analysed, alive)
        for demand in analysed.demands:
            sizes = _operand_sizes(analysed, demand)
            size, wanted = sizes[demand.element], _wanted(sizes, demand, alive)
            if size.pruned(alive) == wanted:
                continue
            if demand.position not in private and size.source and size.source[0] in torn:
                continue  # it gets a copy of the node that makes its sizes
            node, position, element = index, demand.position, demand.element
            if demand.position not in private:
                assert size.source is not None, f"{analysed.call.node}: {demand}"
                node, position, element = size.source
            key = (node, position)
            if key not in written:
                written[key] = _as_it_is(units, key, alive)
            written[key].reshape(-1)[element] = wanted
    return written


def copy_makers(units: Units, alive: Alive) -> dict[Reader, dict[int, Array]]:
    """Tell who gets a copy of the node that makes his sizes, because others want other sizes of it.

    Args:
        units: The analysis.
        alive: Which ids are alive.

    Returns:
        By (node index, input position), constant operands of the copy by its input position.
    """
    copies: dict[Reader, dict[int, Array]] = {}
    torn = _torn(units, alive)
    for index, analysed in units.nodes.items():
        private = _private_operands(analysed, alive)
        for demand in analysed.demands:
            sizes = _operand_sizes(analysed, demand)
            size, wanted = sizes[demand.element], _wanted(sizes, demand, alive)
            if demand.position in private or not size.source or size.source[0] not in torn:
                continue
            if size.pruned(alive) != wanted:
                maker, position, element = size.source
                operands = copies.setdefault((index, demand.position), {})
                if position not in operands:
                    operands[position] = _as_it_is(units, (maker, position), alive)
                operands[position].reshape(-1)[element] = wanted
    return copies


def _as_it_is(units: Units, key: tuple[int, int], alive: Alive) -> Array:
    """Return a shape operand as it is after the removal, before demands are written into it."""
    operand = units.nodes[key[0]].call.operand(key[1])
    if operand.value is not None:
        return operand.value.copy()
    assert operand.sizes is not None
    flat = [int(size.pruned(alive)) for size in operand.sizes.reshape(-1)]
    return np.array(flat, np.int64).reshape(operand.sizes.shape)
