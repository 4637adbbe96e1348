"""Which part of a divided axis carries its units: a policy, decided by what it leaves removable.

A Reshape that divides an axis (heads x head dim, channel shuffle, groups of a normalisation) lets
one part carry the units. Every part that could is tried in one pass, each with ids of its own:
those that meet another part through ties belong together (the heads of queries, keys and values),
and those that something freezes drop out (the head dim, which two activations contract). Of what is
left, the parts that hold most parameters are taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wrg_onnx.channels.answers import Division
from wrg_onnx.channels.costs import parameter_terms, total_cost
from wrg_onnx.channels.ids import BoolArray, IdArray
from wrg_onnx.channels.units import Units

FLOOR = 0.1
"""Share of a layer width that a usual selection leaves: two heads can lose one, not all."""


@dataclass(frozen=True, slots=True, eq=False)
class DivisionTrial:
    """What a pass found that gave every part ids of its own.

    Attributes:
        divisions: The divisions by node index.
        labels: (ids,) int64, the component of each id.
        is_frozen: (components,) bool.
        weight: (ids,) float64, the parameters in the slice of each id; 0 for those of parts.
    """

    divisions: Mapping[int, tuple[Division, ...]]
    labels: IdArray
    is_frozen: BoolArray
    weight: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One part of one division: where it is, its components, and what it could set free."""

    division: tuple[int, int]
    axis: int
    components: IdArray
    gain: float


def in_doubt(units: Units) -> bool:
    """Tell whether a divided axis is frozen, so that another part might do better."""
    return any(
        not units.removable[units.of(division.ids)].all()
        for analysed in units.nodes.values()
        for division in analysed.divisions
    )


def most_removable(units: Units) -> float:
    """Return how many parameters can go when every layer width keeps a tenth."""
    terms = parameter_terms(units)
    return total_cost(terms, np.ones(units.count, bool)) - total_cost(terms, thinnest(units))


def thinnest(units: Units) -> BoolArray:
    """Return (units,) bool, what is left when every layer width keeps a tenth, if it can."""
    total = np.bincount(units.group, minlength=1)
    free = np.bincount(units.group, weights=units.removable, minlength=len(total))
    spare = np.minimum(free, total - np.maximum(1, np.ceil((FLOOR * total).round(9))))
    alive = np.ones(units.count, bool)
    removable = np.flatnonzero(units.removable)
    members = removable[np.argsort(units.group[removable], kind="stable")]
    groups = units.group[members]
    place = np.arange(len(members)) - np.searchsorted(groups, groups)
    alive[members[place < spare[groups]]] = False
    return alive


def choose_carriers(trial: DivisionTrial, *, finest: bool = False) -> dict[int, tuple[int, ...]]:
    """Choose the output axes that carry the units of what Reshapes divide.

    Args:
        trial: From a pass in which every part has ids of its own.
        finest: Whether the parts with most units are taken, not those that hold most parameters.

    Returns:
        The chosen output axes by node index. Where every part is frozen, none is chosen.
    """
    parts = _parts(trial)
    decided: dict[tuple[int, int], int] = {}
    gains: dict[int, list[_Part]] = {}
    for team, part in zip(_teams(parts, len(trial.is_frozen)), parts, strict=True):
        gains.setdefault(team, []).append(part)

    def merit(members: list[_Part]) -> tuple[int, float]:
        units = max(len(part.components) for part in members)
        return units if finest else 0, sum(part.gain for part in members)

    # Equal merits go to the part that stands first: heads stand before head dims.
    for members in sorted(gains.values(), key=merit, reverse=True):
        if any(decided.get(f.division, f.axis) != f.axis for f in members):
            continue  # it would meet an axis that carries nothing, and be frozen
        if sum(f.gain for f in members) > 0:
            decided.update((f.division, f.axis) for f in members)
    carriers: dict[int, tuple[int, ...]] = {}
    for (node, _), axis in decided.items():
        carriers[node] = (*carriers.get(node, ()), axis)
    return carriers


def _parts(trial: DivisionTrial) -> list[_Part]:
    """Weigh each part of each division: what it holds, times the share of it that could go.

    A divided axis passes what it holds on to the components of its parts, evenly, so that a
    later division of one of them knows what hangs on it.
    """
    per_component = np.bincount(trial.labels, trial.weight, len(trial.is_frozen))
    found = []
    # In the order of the nodes: what one division holds, the next one may divide further.
    for node, divisions in trial.divisions.items():
        for number, division in enumerate(divisions):
            held = per_component[np.unique(trial.labels[division.ids])].sum()
            for axis, ids in division.parts.items():
                components = np.unique(trial.labels[ids])
                free = 1 - trial.is_frozen[components].mean()
                share = max(0.0, free - max(FLOOR, 1 / len(components)))
                found.append(_Part((node, number), axis, components, held * share))
                per_component[components] += held / len(components)
    return found


def _teams(parts: list[_Part], components: int) -> list[int]:
    """Number the sets of parts that share components."""
    count = len(parts)
    rows = np.repeat(np.arange(count), [len(part.components) for part in parts])
    columns = np.concatenate([*(f.components for f in parts), np.empty(0, np.int64)]) + count
    size = count + components
    edges = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    labels = connected_components(edges, directed=False)[1]
    return [int(label) for label in labels[:count]]
