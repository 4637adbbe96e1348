"""The choice: which units die, under an exact budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wrg_onnx.choices import Scope
from wrg_onnx.factors import BoolArray, Float64Array, IntArray
from wrg_onnx.select.align import Aligned
from wrg_onnx.select.budget import Budget

NEAR_ENOUGH = 0.005
"""How far from the asked ratio the order of the scores is followed strictly."""

ROUNDING = 1e-9
"""What a sum of floating-point numbers may be off by, as a share of it."""

MOST_TRIALS = 512
"""How many units the fine adjustment looks at."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The units to choose from.

    Attributes:
        removable: (units,) bool.
        group: (units,) int64, the layer width that a unit belongs to.
        floor: Share of each group that stays at least, in (0, 1]; never less than one unit.
        unsure: (units,) bool, those whose score says nothing, since nobody could measure them. They
            go after all others of their group, and with a global scope after all others. None for
            none.
        steps: (groups,) int64, the multiples in which each group is kept, in units; None for 1.
    """

    removable: BoolArray
    group: IntArray
    floor: float = 0.1
    unsure: BoolArray | None = None
    steps: IntArray | None = None

    def is_unsure(self, units: IntArray) -> BoolArray:
        """Tell of some units whether their score says nothing."""
        return np.zeros(len(units), bool) if self.unsure is None else self.unsure[units]


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The units that die.

    Attributes:
        alive: (units,) bool, what stays.
        ratio: The share of the budget that is removed.
    """

    alive: BoolArray
    ratio: float

    @property
    def removed(self) -> int:
        """Number of units that die."""
        return int((~self.alive).sum())


def spare_units(candidates: Candidates) -> IntArray:
    """Return how many units of each group may go, (groups,) int64, its floor kept."""
    total = np.bincount(candidates.group, minlength=1)
    free = np.bincount(candidates.group, weights=candidates.removable, minlength=1)
    # Members of a group that are frozen count towards its floor.
    # 7 % of 100 is 7.000000000000001 in floating point, and would keep 8.
    least = np.maximum(1, np.ceil((candidates.floor * total).round(9)))
    return np.asarray(np.minimum(free, total - least), np.int64)


def removal_order(candidates: Candidates, scores: Float64Array, scope: Scope) -> IntArray:
    """Order the units from the first to go to the last.

    The best units of each group, up to its floor, are not in the order. Equal scores go by unit
    number, so that the order is the same on every machine.

    Args:
        candidates: The units.
        scores: (units,) float64, higher = keep.
        scope: Whether scores compete across groups, or each group loses the same share.

    Returns:
        (n,) int64 unit numbers.
    """
    chosen = np.flatnonzero(candidates.removable)
    unsure = candidates.is_unsure(chosen)
    chosen = chosen[np.lexsort((chosen, scores[chosen], unsure, candidates.group[chosen]))]
    groups, start, size = np.unique(candidates.group[chosen], return_index=True, return_counts=True)
    place = np.arange(len(chosen)) - np.repeat(start, size)
    spare = np.repeat(spare_units(candidates)[groups], size)
    share = (place + 0.5) / np.repeat(size, size)
    key = share if scope is Scope.UNIFORM else scores[chosen]
    free = place < spare
    last = candidates.is_unsure(chosen) & (scope is Scope.GLOBAL)
    order = np.lexsort((chosen[free], key[free], last[free]))
    return np.asarray(chosen[free][order], np.int64)


def largest_ratio(candidates: Candidates, budget: Budget) -> float:
    """Return the largest share of the budget that can be removed, every floor and step kept."""
    scores = np.zeros(len(candidates.removable))
    order = removal_order(candidates, scores, Scope.GLOBAL)
    whole = budget.cost(np.ones(len(scores), bool))
    return 1 - budget.cost(_without(order, candidates)) / whole if whole else 0.0


def _without(order: IntArray, candidates: Candidates) -> BoolArray:
    """Return what stays if all of an order goes."""
    if candidates.steps is not None:
        aligned = Aligned(order, candidates.group, candidates.steps)
        return aligned.alive(aligned.after(len(order)))
    alive = np.ones(len(candidates.group), bool)
    alive[order] = False
    return alive


def select(
    candidates: Candidates,
    scores: Float64Array,
    budget: Budget,
    ratio: float,
    scope: Scope,
    *,
    at_most: bool = False,
) -> Selection:
    """Remove the lowest scores until the budget is met.

    The cost is counted exactly at each step, overlaps of rows and columns included. A unit that
    would overshoot is passed over if later, smaller ones come closer.

    Args:
        candidates: The units.
        scores: (units,) float64, higher = keep.
        budget: What to reduce.
        ratio: The share to remove, in [0, 1).
        scope: Global or uniform.
        at_most: Whether no less may be removed, since what is left is a limit.

    Returns:
        The selection whose ratio is closest to the asked one, and where groups are kept in steps,
        or it is a limit, not below it; the caller checks ``largest_ratio`` first.
    """
    order = removal_order(candidates, scores, scope)
    everything = np.ones(len(scores), bool)
    whole = budget.cost(everything)
    if not whole or not ratio:
        return Selection(everything, 0.0)
    target = whole * (1 - ratio)
    if candidates.steps is not None:
        target *= 1 + ROUNDING
        aligned = Aligned(order, candidates.group, candidates.steps)
        best = aligned.meet(budget, target, NEAR_ENOUGH * whole)
        return Selection(best, 1 - budget.cost(best) / whole)

    def prefix(count: int) -> BoolArray:
        alive = everything.copy()
        alive[order[:count]] = False
        return alive

    low, high = 0, len(order)  # prefix(low) costs at least the target
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if budget.cost(prefix(middle)) >= target else (low, middle - 1)
    rest = order[low:]
    if len(rest) and scope is Scope.GLOBAL and not candidates.is_unsure(rest[:1])[0]:
        rest = rest[~candidates.is_unsure(rest)]  # nor do those fill up before others are gone
    near = _fill_up(prefix(low), rest, budget, target, tolerance=0.0005 * whole)
    over = prefix(min(low + 1, len(order)))

    def distance(alive: BoolArray) -> float:
        away = budget.cost(alive) - target
        return math.inf if at_most and away > ROUNDING * target else abs(away)

    best = min((near, over), key=distance)
    if distance(best) > NEAR_ENOUGH * whole:
        # Units too coarse to go in order: bring some back, and fill up with others.
        back = _give_back(over, order[: low + 1], distance)
        refilled = _fill_up(back.copy(), rest, budget, target, tolerance=0.0005 * whole)
        best = min((best, back, refilled), key=distance)
    return Selection(best, 1 - budget.cost(best) / whole)


def _give_back(
    alive: BoolArray, gone: IntArray, distance: Callable[[BoolArray], float]
) -> BoolArray:
    """Bring units back, the best first, as long as that comes closer to the target."""
    nearest = distance(alive)
    for unit in gone[::-1][:MOST_TRIALS]:
        alive[unit] = True
        trial = distance(alive)
        if trial < nearest:
            nearest = trial
        else:
            alive[unit] = False
    return alive


def _fill_up(
    alive: BoolArray, rest: IntArray, budget: Budget, target: float, tolerance: float
) -> BoolArray:
    """Take further units, in order, that do not overshoot, until the target is close."""
    cost = budget.cost(alive)
    for unit in rest[:MOST_TRIALS]:
        if cost - target <= tolerance:
            break
        alive[unit] = False
        trial = budget.cost(alive)
        if trial < target:
            alive[unit] = True
        else:
            cost = trial
    return alive
