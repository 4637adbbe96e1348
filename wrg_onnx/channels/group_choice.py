"""Whether a grouped convolution loses whole groups or equal positions of all: a policy.

Its channels lie group by group, (groups, channels of a group), and ties decide the units before
anything is selected: either the positions of a group are one unit, or equal positions of all
groups are. Two passes of the analysis, one for each form, tell what every convolution could lose.
Convolutions that share units choose together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wrg_onnx.channels.axes import WHOLE_GROUPS
from wrg_onnx.channels.carrying_axis import thinnest
from wrg_onnx.channels.costs import CostTerm, parameter_terms, total_cost
from wrg_onnx.channels.ids import BoolArray, IdArray
from wrg_onnx.channels.units import Units

CLOSE = 0.05
"""By which share of a team's parameters the larger removal must lead: below it, finer steps do."""


def grouped_convolutions(units: Units) -> list[int]:
    """Return the indices of the nodes that have the choice."""
    return [i for i, analysed in units.nodes.items() if analysed.in_groups is not None]


def choose_groups(positions: Units, groups: Units) -> dict[int, tuple[int, ...]]:
    """Choose the convolutions that lose whole groups.

    Args:
        positions: The analysis in which all of them lose equal positions of their groups.
        groups: That in which all of them lose whole groups; its ids are the same ones.

    Returns:
        The carriers of those that lose whole groups, by node index.
    """
    nodes = grouped_convolutions(positions)
    forms = (positions, groups)
    teams = _teams(nodes, forms)
    # What a team could lose stands in the constants that one of its units has a slice of, in
    # either form: the same constants are compared.
    touched = np.logical_or(*(_touched(teams, units) for units in forms))
    costs = [_Costs.of(units) for units in forms]
    chosen: dict[int, tuple[int, ...]] = {}
    for team in range(int(teams.max(initial=-1)) + 1):
        of_team = touched[team]
        whole = costs[0].whole[of_team].sum()
        lead = (costs[1].lost[of_team].sum() - costs[0].lost[of_team].sum()) / max(whole, 1)
        members = [node for node, own in zip(nodes, teams.tolist(), strict=True) if own == team]
        steps = [len(_free(units, members)) for units in forms]
        if lead > CLOSE or (lead > -CLOSE and steps[1] > steps[0]):
            chosen.update(dict.fromkeys(members, (WHOLE_GROUPS,)))
    return chosen


def _free(units: Units, nodes: list[int]) -> IdArray:
    """Return the removable units among the channels of some convolutions."""
    found = [np.empty(0, np.int64)]
    for node in nodes:
        ids = units.nodes[node].in_groups
        assert ids is not None
        found.append(np.unique(units.of(ids)))
    own = np.unique(np.concatenate(found))
    own = own[own >= 0]
    return own[units.removable[own]]


def _teams(nodes: list[int], forms: tuple[Units, Units]) -> IdArray:
    """Number the sets of convolutions that share removable units in one of the forms: (nodes,)."""
    rows, columns = [], []
    size = len(nodes)
    for units in forms:
        for row, node in enumerate(nodes):
            own = _free(units, [node])
            rows.append(np.full(len(own), row))
            columns.append(own + size)
        size += units.count
    edges = (np.concatenate(rows), np.concatenate(columns))
    graph = coo_array((np.ones(len(edges[0]), np.int8), edges), shape=(size, size))
    labels = connected_components(graph, directed=False)[1][: len(nodes)]
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)


def _touched(teams: IdArray, units: Units) -> BoolArray:
    """Tell of which constants the units of each team have slices: (teams, constants) bool."""
    nodes = grouped_convolutions(units)
    terms = parameter_terms(units)
    found = np.zeros((int(teams.max(initial=-1)) + 1, len(terms)), bool)
    for team in range(len(found)):
        members = [node for node, own in zip(nodes, teams.tolist(), strict=True) if own == team]
        is_own = np.zeros(units.count, bool)
        is_own[_free(units, members)] = True
        found[team] = [any(is_own[axis].any() for axis in term.axes) for term in terms]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Costs:
    """The parameters of each constant, and how many of them could go: (constants,) float64."""

    whole: np.ndarray
    lost: np.ndarray

    @classmethod
    def of(cls, units: Units) -> _Costs:
        """Count them."""
        terms, left = parameter_terms(units), thinnest(units)
        whole = _each(terms, np.ones(units.count, bool))
        return cls(whole, whole - _each(terms, left))


def _each(terms: tuple[CostTerm, ...], alive: BoolArray) -> np.ndarray:
    return np.array([total_cost([term], alive) for term in terms])
