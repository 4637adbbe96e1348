"""Why units stay, by the decision at the root of it: rows of ``inspect``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from wrg_onnx.channels import (
    BoolArray,
    CostTerm,
    Hold,
    IdArray,
    Kind,
    Units,
    find_holds,
    total_cost,
)
from wrg_onnx.report.records import FrozenReport

WAYS_OUT: Mapping[Kind, str] = {
    Kind.KEPT: "leave it out of --keep",
    Kind.NOT_ONLY: "name it in --only",
    Kind.HEAD_DIMS: "--head-dims",
    Kind.NORMALISED: "--through-norms",
    Kind.VARYING: "give the inputs fixed sizes in the file, if they never vary",
    Kind.CONVERTED: "prune the file that this one was made from",
}
"""By kind of a decision, what lifts it. A kind that nothing lifts yet is not here."""

MOST_TRIED = 5
"""For how many decisions is told what could go without them: each takes a selection."""

MUCH = 0.1
"""From which share of the parameters on a decision is worth a word in an error."""

NEVER_LIFTED = frozenset({Kind.INPUT, Kind.OUTPUT})
"""The model's interface stays whatever happens."""

OF_THE_FILE = frozenset({Kind.CONVERTED})
"""Decisions that fell when the file was written, for all nodes at once."""


@dataclass(frozen=True, slots=True, eq=False)
class _Decision:
    """What holds units: one node, or several that do the same with the same units.

    Attributes:
        first: The first of them.
        nodes: How many nodes there are.
        members: (n,) int64, the units that this decision is the first to hold.
    """

    first: Hold
    nodes: int
    members: IdArray


def frozen_reports(
    units: Units,
    parameters: Sequence[CostTerm],
    largest_ratio: Callable[[BoolArray], float] | None = None,
) -> tuple[FrozenReport, ...]:
    """List the decisions that hold units, with the parameters in the slices they hold.

    Args:
        units: What can be removed, and why the rest cannot.
        parameters: The terms of the parameter count.
        largest_ratio: Tells the largest ratio if just those units, (units,) bool, may go. It is
            asked about a few decisions; None to ask about none.
    """
    everything = np.ones(units.count, bool)
    total = total_cost(parameters, everything)
    holds = [*find_holds(units)]
    found: list[tuple[FrozenReport, _Decision]] = []
    for decision in _decisions(holds, units.count):
        others = everything.copy()
        others[decision.members] = False
        count = total - total_cost(parameters, others)
        found.append((_row(decision, round(count), count / total if total else 0.0), decision))
    found.sort(key=lambda pair: (-pair[0].parameters, pair[0].reason))
    rows = [row for row, _ in found]
    if largest_ratio is not None:
        liftable = [n for n, (_, d) in enumerate(found) if d.first.root.kind not in NEVER_LIFTED]
        for number in liftable[:MOST_TRIED]:
            free = _removable_without(holds, found[number][1], units.count)
            rows[number] = replace(rows[number], largest_ratio=largest_ratio(free))
    return tuple(rows)


def main_reason(units: Units, parameters: Sequence[CostTerm]) -> FrozenReport | None:
    """Return the decision to speak of where too much is frozen; None where there is none.

    That is what was decided for the whole file, if anything was, or else what holds most.

    Args:
        units: What can be removed, and why the rest cannot.
        parameters: The terms of the parameter count.
    """
    rows = [row for row in frozen_reports(units, parameters) if row.share >= MUCH]
    rows = [row for row in rows if Kind(row.kind) not in NEVER_LIFTED]
    of_the_file = [row for row in rows if Kind(row.kind) in OF_THE_FILE]
    return next(iter([*of_the_file, *rows]), None)


def spoken(row: FrozenReport) -> str:
    """Say a decision as part of a sentence, with its way out."""
    return f"{row.reason}: {row.way_out}" if row.way_out else row.reason


def _row(decision: _Decision, parameters: int, share: float) -> FrozenReport:
    root = decision.first.root
    more = f" (and {decision.nodes - 1} more)" if decision.nodes > 1 else ""
    return FrozenReport(
        reason=f"{root.node}{more} {root.text}",
        units=len(decision.members),
        parameters=parameters,
        share=share,
        node=root.node,
        kind=root.kind.value,
        nodes=decision.nodes,
        met=decision.first.met,
        way_out=WAYS_OUT.get(root.kind, ""),
    )


def _decisions(holds: Sequence[Hold], count: int) -> list[_Decision]:
    """Put together the nodes that do the same with units that they share.

    All normalisations of one residual stream are one decision: to lift one of them frees nothing.
    """
    by_text: dict[str, list[int]] = {}
    for number, hold in enumerate(holds):
        if hold.root.text and len(hold.units):
            by_text.setdefault(hold.root.text, []).append(number)
    cluster = np.full(len(holds), -1)
    clusters = 0
    for numbers in by_text.values():
        alike = [holds[number] for number in numbers]
        of_the_file = alike[0].root.kind in OF_THE_FILE
        labels = np.zeros(len(alike), np.int64) if of_the_file else _sharing(alike, count)
        cluster[numbers] = clusters + labels
        clusters += int(labels.max()) + 1
    # The first that holds a unit counts for it.
    owner = np.full(count, -1)
    for number in reversed(np.flatnonzero(cluster >= 0).tolist()):
        owner[holds[number].units] = cluster[number]
    found = []
    for own in range(clusters):
        members = np.flatnonzero(owner == own)
        alike = [holds[number] for number in np.flatnonzero(cluster == own)]
        if len(members):
            first = next(hold for hold in alike if np.isin(hold.units, members).any())
            nodes = len({hold.root.node for hold in alike})
            found.append(_Decision(first, nodes, members))
    return found


def _sharing(holds: Sequence[Hold], count: int) -> IdArray:
    """Number the sets of holds that are of one node, or share units; (holds,) int64."""
    nodes: dict[str, int] = {}
    rows, columns = [], []
    for number, hold in enumerate(holds):
        node = nodes.setdefault(hold.root.node, len(nodes))
        columns += [hold.units, np.array([count + node])]
        rows.append(np.full(len(hold.units) + 1, number))
    row, column = np.concatenate(rows), np.concatenate(columns) + len(holds)
    size = len(holds) + count + len(nodes)
    edges = coo_array((np.ones(len(row), np.int8), (row, column)), shape=(size, size))
    labels = connected_components(edges, directed=False)[1][: len(holds)]
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)


def _removable_without(holds: Sequence[Hold], decision: _Decision, count: int) -> BoolArray:
    """Return which units may go if nothing held those of a decision for its reason, (units,) bool.

    What is tied anew once channels pass where they now end, this does not know.
    """
    held = np.zeros(count, bool)
    is_own = np.zeros(count, bool)
    is_own[decision.members] = True
    for hold in holds:
        alike = hold.root.text == decision.first.root.text
        held[hold.units[~is_own[hold.units]] if alike else hold.units] = True
    return ~held
