"""Numbers in shape operands that must follow the channels, and whether they can."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wrg_onnx.channels.axes import Demand
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.sizes import Place, Size, Sizes
from wrg_onnx.channels.units import Analysed, Units
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
        unmet = list(_unmet(units, alive_ids(units, ~gone)))
        if unmet:
            return unmet
    return []


def _unmet(units: Units, alive: Alive) -> Iterator[tuple[IdArray, str, str]]:
    # What each number in the file must become, with the ids that want it so.
    written: dict[Place, tuple[int, IdArray]] = {}
    for analysed in units.nodes.values():
        private = _private_operands(analysed, alive)
        for demand in analysed.demands:
            sizes = _operand_sizes(analysed, demand)
            size, wanted = sizes[demand.element], _wanted(sizes, demand, alive)
            if demand.position in private:
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
    for index, analysed in units.nodes.items():
        private = _private_operands(analysed, alive)
        for demand in analysed.demands:
            sizes = _operand_sizes(analysed, demand)
            size, wanted = sizes[demand.element], _wanted(sizes, demand, alive)
            if size.pruned(alive) == wanted:
                continue
            node, position, element = index, demand.position, demand.element
            if demand.position not in private:
                assert size.source is not None, f"{analysed.call.node}: {demand}"
                node, position, element = size.source
            key = (node, position)
            if key not in written:
                written[key] = _as_it_is(units, key, alive)
            written[key].reshape(-1)[element] = wanted
    return written


def _as_it_is(units: Units, key: tuple[int, int], alive: Alive) -> Array:
    """Return a shape operand as it is after the removal, before demands are written into it."""
    operand = units.nodes[key[0]].call.operand(key[1])
    if operand.value is not None:
        return operand.value.copy()
    assert operand.sizes is not None
    flat = [int(size.pruned(alive)) for size in operand.sizes.reshape(-1)]
    return np.array(flat, np.int64).reshape(operand.sizes.shape)
