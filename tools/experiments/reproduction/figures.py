"""Results side by side: which belong to a row, their mean and spread, and what is not there yet."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reproduction.results import CONTROL, Result, cells_of, lower_is_better
from reproduction.settings import Settings
from wrg_onnx.pipeline.config import BudgetKind

USUAL = ("mae", "max_f", "mean_f", "weighted_f", "s_measure", "max_e")
"""The six metrics that the targets speak of."""

NAMES = {
    "mae": "MAE", "max_f": "max F", "mean_f": "mean F", "weighted_f": "weighted F",
    "s_measure": "S-measure", "max_e": "max E",
}  # fmt: skip

QUANTITIES = {BudgetKind.PARAMS: "parameters", BudgetKind.MACS: "MACs"}
"""The budgets of this page, and what tables and plots call them."""

TARGET_RATIO = 0.6


@dataclass(frozen=True, slots=True)
class Figure:
    """A number over the seeds.

    Attributes:
        mean: Of the seeds.
        spread: Their standard deviation (with one less than their number); 0 for a single one.
    """

    mean: float
    spread: float


@dataclass(frozen=True, slots=True)
class Column:
    """What the cuts of a table have in common.

    Attributes:
        budget: The quantity that was removed.
        ratio: The share of it.
        steps: Of fine-tuning.
    """

    budget: BudgetKind
    ratio: float
    steps: int


@dataclass(frozen=True, slots=True)
class Part:
    """What there is of the experiment on one net.

    Attributes:
        settings: What was asked for.
        results: What is there of it.
    """

    settings: Settings
    results: Sequence[Result]

    def control(self, steps: int) -> list[Result]:
        """Return the unpruned net's results, tuned for so many steps."""
        return [r for r in self.results if r.criterion == CONTROL and r.steps == steps]

    def cuts(self, column: Column) -> dict[str, list[Result]]:
        """Return the results of a column by the label of their row, in the order of the rows."""
        labels = {row.criterion.name: row.label for row in self.settings.rows}
        found: dict[str, list[Result]] = {label: [] for label in labels.values()}
        wanted = (column.budget.value, column.ratio, column.steps)
        for r in self.results:
            if r.criterion in labels and (r.budget, r.ratio, r.steps) == wanted:
                found[labels[r.criterion]].append(r)
        return {label: mine for label, mine in found.items() if mine}

    def lacking(self, column: Column) -> str:
        """Say which rows of a column are not there, or lack seeds; nothing if all are whole.

        The unpruned net counts as a row, tuned for as long.
        """
        asked = [CONTROL] + [
            cell.cut.row.label
            for cell in cells_of(self.settings)
            if cell.cut is not None
            and (cell.cut.budget, cell.cut.ratio) == (column.budget, column.ratio)
            and column.steps in cell.steps
        ]
        there = {CONTROL: self.control(column.steps)} | self.cuts(column)
        seeds = {
            name: {r.seed for r in there.get(name, ())} for name in dict.fromkeys((*asked, *there))
        }
        every = set().union(*seeds.values())
        return "; ".join(
            f"{name} lacks the seeds {', '.join(map(str, sorted(every - mine)))}"
            if mine
            else f"{name} is not there"
            for name, mine in seeds.items()
            if mine != every
        )

    @property
    def missing(self) -> int:
        """How many results were asked for and are not there."""
        there = {(r.seed, r.criterion, r.budget, r.ratio, r.steps) for r in self.results}
        asked = {
            (cell.seed, *cell.key, steps)
            for cell in cells_of(self.settings)
            for steps in cell.steps
        }
        return len(asked - there)

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns of which there is a cut: budget by budget, ratio by ratio, by steps."""
        of_budget = {
            budget: [r for r in self.results if r.budget == budget.value] for budget in QUANTITIES
        }
        return tuple(
            Column(budget, ratio, steps)
            for budget, results in of_budget.items()
            for ratio, steps in sorted({(r.ratio, r.steps) for r in results})
        )


def figure(values: Sequence[float]) -> Figure:
    """Return mean and spread."""
    return Figure(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)


def figures(results: Iterable[Result]) -> dict[str, Figure]:
    """Return each metric over the seeds."""
    found = [result.scores for result in results]
    return {metric: figure([one[metric] for one in found]) for metric in found[0]}


def best(rows: Mapping[str, Mapping[str, Figure]], metric: str) -> str:
    """Return the name of the row that is first on a metric."""
    return max(rows, key=lambda name: gain(metric, rows[name][metric].mean, 0.0))


def gain(metric: str, value: float, over: float) -> float:
    """Return by how much a value is better than another one; negative if it is worse."""
    return over - value if lower_is_better(metric) else value - over
