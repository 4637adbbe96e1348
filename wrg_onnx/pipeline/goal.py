"""Meets a budget by what is written, where its terms alone do not tell that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wrg_onnx.errors import BudgetError
from wrg_onnx.factors import BoolArray, Float64Array
from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.quantities import QUANTITIES, Trial
from wrg_onnx.select import Candidates, Scores, Selection, knapsack_order, largest_ratio, select

MOST_TRIALS = 12
"""How often the ratio is corrected by what was really left."""

LEAST_STEP = 0.005
"""By how much more is asked for, at least, as long as a limit is passed."""

MOST_OFF = 1.5
"""By which factor terms are corrected at most: a single measurement may be disturbed."""


class Goal:
    """The share of a budget that is to go from a model in one round.

    Args:
        model: The model, prepared for the budget.
        candidates: Its units.
        ratio: The share.
        config: What to prune, and how.

    Attributes:
        candidates: The units to choose from.
        budget: What is reduced.
        doubt: Why it is not sure how much is left; empty if it is.
    """

    def __init__(
        self, model: Model, candidates: Candidates, ratio: float, config: PruneConfig
    ) -> None:
        self.candidates = candidates
        self.budget = model.budget(config.budget)
        self._model, self._ratio, self._config = model, ratio, config
        self.doubt = ""
        self._quantity = QUANTITIES[config.budget]

    def estimate(self, values: Float64Array, unsure: BoolArray | None = None) -> Selection:
        """Select by the terms of the budget alone.

        Args:
            values: (units,) float64, higher = keep.
            unsure: (units,) bool, those whose value says nothing; None for none.
        """
        return self._select(values, unsure, self._ratio)

    def meet(self, scores: Scores, *, recovers: bool) -> Selection:
        """Select so that what is written, or runs, meets the budget.

        Args:
            scores: What each unit is worth.
            recovers: Whether layers without a bias will get one.
        """
        values = self._priced(scores.values)
        selection = self._select(values, scores.unmeasured, self._ratio)
        real = self._quantity.real
        whole = self.budget.cost(np.ones(len(values), bool))
        if real is None or not whole or not self._ratio:
            return selection
        target, is_limit = 1 - self._ratio, self._config.limit is not None
        # Of what is measured a second look tells a little more or less: a limit wants room.
        aimed = target * (1 - self._quantity.miss / 2) if is_limit else target
        wanted, most = self._ratio, largest_ratio(self.candidates, self.budget)
        best, nearest = selection, np.inf
        for _ in range(MOST_TRIALS):
            found = real(Trial(self._model, selection.alive, self._config, recovers))
            left = found.amount / whole
            distance = abs(left - target)
            if is_limit and left > target:
                distance += 1  # any that is within the limit is better
            if distance < nearest:
                best, nearest = Selection(selection.alive, 1 - left), distance
                self.doubt = found.doubt
            if distance <= self._quantity.miss:
                break
            # Where the terms say less than there is, they are asked for as much less.
            off = self.budget.cost(selection.alive) / found.amount
            off = min(max(off, 1 / MOST_OFF), MOST_OFF)
            corrected = 1 - aimed * off
            is_passed = is_limit and left > target
            if is_passed:
                corrected = max(corrected, wanted + LEAST_STEP)
            wanted = min(most, max(0.0, corrected))
            following = self._select(values, scores.unmeasured, wanted)
            # The same once more tells nothing new, but where a limit is passed more is asked for.
            if np.array_equal(following.alive, selection.alive) and not (
                is_passed and wanted < most
            ):
                break
            selection = following
        if is_limit and nearest >= 1:
            raise self._missed(whole * (1 - best.ratio), whole)
        return best

    def _missed(self, least: float, whole: float) -> BudgetError:
        """Return what to say where no selection that was tried is within the limit."""
        show, limit = self._quantity.show, self._config.limit
        assert limit is not None
        return BudgetError(
            f"cannot get down to {show(limit)}: the least that was tried in {MOST_TRIALS} steps "
            f"comes to {show(least)} of {show(whole)}",
            wanted=self._ratio,
            possible=1 - least / whole,
            frozen=0.0,
        )

    def _select(self, values: Float64Array, unsure: BoolArray | None, ratio: float) -> Selection:
        among = replace(self.candidates, unsure=unsure)
        is_limit = self._config.limit is not None
        return select(among, values, self.budget, ratio, self._config.scope, at_most=is_limit)

    def _priced(self, values: Float64Array) -> Float64Array:
        """Hold values against what removals save, where the quantity asks for it."""
        if not self._quantity.prices or self._config.criterion.repairs:
            return values  # what remains after repair is held against savings already
        steps = self.candidates.steps
        if steps is None:
            steps = np.ones(int(self.candidates.group.max(initial=-1)) + 1, np.int64)
        return knapsack_order(self.candidates, values, self.budget, steps)
