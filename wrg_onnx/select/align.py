"""Counts of channels that kernels run fast: what is left of each group is a multiple of its step.

A kernel that works on blocks takes as long for 97 channels as for 112. So the order goes on until
the budget is met with every group rounded *up*: the best of what it has lost comes back, which
costs no time and is accuracy for nothing.
"""

from __future__ import annotations

import numpy as np

from wrg_onnx.factors import BoolArray, IntArray
from wrg_onnx.select.budget import Budget

MOST_TRIALS = 48
"""How many steps that could come back, and go for one that does, are looked at."""


class Aligned:
    """An order of removal, of which whole steps go.

    Args:
        order: (n,) int64 unit numbers, the first to go first.
        group: (units,) int64, the layer width that a unit belongs to.
        steps: (groups,) int64, each at least 1, in units.
    """

    def __init__(self, order: IntArray, group: IntArray, steps: IntArray) -> None:
        self._order, self._of, self._steps = order, group[order], steps
        self._units = len(group)
        self._total = np.bincount(group, minlength=len(steps))
        by_group = np.argsort(self._of, kind="stable")
        sizes = np.bincount(self._of, minlength=len(steps))
        self._least = self._total - sizes
        self._place = np.empty(len(order), np.int64)
        starts = np.cumsum(sizes) - sizes
        self._place[by_group] = np.arange(len(order)) - np.repeat(starts, sizes)

    def alive(self, kept: IntArray) -> BoolArray:
        """Return what stays where each group keeps so many; (groups,) to (units,) bool."""
        found = np.ones(self._units, bool)
        found[self._order[self._place < (self._total - kept)[self._of]]] = False
        return found

    def after(self, count: int) -> IntArray:
        """Return how many each group keeps once so many of the order went, steps rounded up."""
        left = self._total - np.bincount(self._of[:count], minlength=len(self._steps))
        rounded = -(-left // self._steps) * self._steps
        return np.asarray(np.minimum(self._total, rounded), np.int64)

    def meet(self, budget: Budget, target: float, near: float) -> BoolArray:
        """Return what stays so that the budget is just met.

        Args:
            budget: What to reduce.
            target: What is left of it, at most, if the order allows that.
            near: How much less may be left without looking for a closer set of steps.

        Returns:
            (units,) bool. Every group keeps a multiple of its step, or all of its units.
        """
        low, high = 0, len(self._order)
        while low < high:  # the first count that meets it
            middle = (low + high) // 2
            met = budget.cost(self.alive(self.after(middle))) <= target
            low, high = (low, middle) if met else (middle + 1, high)
        kept = self.after(low)
        gone = list(dict.fromkeys(self._of[:low][::-1].tolist()))
        # The last to go is the first to come back, a step at a time.
        for group in gone:
            while (trial := self._moved(kept, group, 1)) is not None and budget.cost(
                self.alive(trial)
            ) <= target:
                kept = trial
        for group in gone[:MOST_TRIALS]:
            if target - budget.cost(self.alive(kept)) <= near:
                break
            kept = self._exchanged(kept, group, low, budget, target)
        return self.alive(kept)

    def _exchanged(
        self, kept: IntArray, group: int, low: int, budget: Budget, target: float
    ) -> IntArray:
        """Give a group a coarse step back, and take later, smaller ones, if that comes closer.

        Args:
            kept: (groups,) int64, how many units each keeps.
            group: Which one gets a step back.
            low: Where in the order the steps begin that are taken for it.
            budget: What to reduce.
            target: What is left of it, at most.

        Returns:
            What comes closer, or ``kept``.
        """
        trial = self._moved(kept, group, 1)
        if trial is None:
            return kept
        found = budget.cost(self.alive(kept))
        coming = dict.fromkeys(self._of[low:].tolist())
        coming.pop(group, None)
        for other in list(coming)[:MOST_TRIALS]:
            smaller = self._moved(trial, other, -1)
            if smaller is None:
                continue
            left = budget.cost(self.alive(smaller))
            if left > target:
                trial = smaller
            elif left > found:
                return smaller
        return kept

    def _moved(self, kept: IntArray, group: int, by: int) -> IntArray | None:
        """Give a group a step back, or take one from it; None where it has none."""
        rest = int(kept[group] % self._steps[group])
        step = int(self._steps[group])
        size = kept[group] + step if by > 0 else kept[group] - (rest or step)
        size = min(size, self._total[group])
        if size == kept[group] or size < self._least[group]:
            return None
        trial = kept.copy()
        trial[group] = size
        return trial
