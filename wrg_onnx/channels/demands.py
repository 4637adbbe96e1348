"""Numbers in shape operands that must follow the channels, and whether they can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from wrg_onnx.channels.axes import Demand
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.sizes import Size, Sizes
from wrg_onnx.channels.units import Analysed, Units
from wrg_onnx.graph import Array

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
    unmet: list[tuple[IdArray, str, str]] = []
    for _ in range(PROBES):
        gone = units.removable & (rng.random(units.count) < 0.5)
        alive = alive_ids(units, ~gone)
        written: dict[tuple[int, int, int], int] = {}
        for analysed in units.nodes.values():
            if not any(d.ids is None or not alive(d.ids).all() for d in analysed.demands):
                continue
            unmet += _unmet(analysed, alive, written)
        if unmet:
            return unmet
    return []


def _unmet(
    analysed: Analysed, alive: Alive, written: dict[tuple[int, int, int], int]
) -> Iterator[tuple[IdArray, str, str]]:
    node = str(analysed.call.node)
    for demand in analysed.demands:
        sizes = _operand_sizes(analysed, demand)
        wanted = _wanted(sizes, demand, alive)
        size = sizes[demand.element]
        if not _is_constant(sizes) and size.pruned(alive) != wanted and size.source is None:
            ids = demand.ids if demand.ids is not None else np.concatenate(size.ids)
            yield ids, node, "computes the size of this axis in a way that cannot follow"
        elif size.source is not None and written.setdefault(size.source, wanted) != wanted:
            assert demand.ids is not None
            yield demand.ids, node, "shares the size of this axis with another node"


def _operand_sizes(analysed: Analysed, demand: Demand) -> Sizes:
    operand = analysed.call.operand(demand.position)
    assert operand.sizes is not None
    return operand.sizes.reshape(-1)


def _wanted(sizes: Sizes, demand: Demand, alive: Alive) -> int:
    if demand.ids is None:
        return int(sizes[demand.element].value)
    return int(alive(demand.ids).sum())


def _is_constant(sizes: Sizes) -> bool:
    """Tell whether the whole operand may be written as a constant of its own."""
    return not any(size.is_open for size in sizes)


def meet_demands(units: Units, alive: Alive) -> dict[tuple[int, int], Array]:
    """Write the shape operands that do not follow a removal by themselves.

    Args:
        units: The analysis.
        alive: Which ids are alive.

    Returns:
        New constant operands by (node index, input position).
    """
    elements: dict[tuple[int, int], dict[int, int]] = {}
    whole: dict[tuple[int, int], Sizes] = {}
    for index, analysed in units.nodes.items():
        for demand in analysed.demands:
            sizes = _operand_sizes(analysed, demand)
            size: Size = sizes[demand.element]
            wanted = _wanted(sizes, demand, alive)
            if size.pruned(alive) == wanted:
                continue
            if size.source is not None:
                node, position, element = size.source
                elements.setdefault((node, position), {})[element] = wanted
            else:
                key = (index, demand.position)
                whole[key] = sizes
                elements.setdefault(key, {})[demand.element] = wanted
    return {key: _written(units, key, new, whole.get(key), alive) for key, new in elements.items()}


def _written(
    units: Units,
    key: tuple[int, int],
    new: Mapping[int, int],
    sizes: Sizes | None,
    alive: Alive,
) -> Array:
    operand = units.nodes[key[0]].call.operand(key[1])
    if sizes is None:
        assert operand.value is not None
        array = operand.value.copy()
    else:
        array = np.array([size.pruned(alive) for size in sizes], np.int64)
    flat = array.reshape(-1)
    for element, wanted in new.items():
        flat[element] = wanted
    return array
