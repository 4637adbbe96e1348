"""The order in which steps of channels go where each is worth something and saves something.

A cut under a limit is a knapsack: of all sets of steps that save enough the one that loses least.
Its greedy solution takes the step that loses least for what it saves, and looks again: what a step
saves depends on how wide the layers around it are by then.
"""

from __future__ import annotations

import heapq

import numpy as np

from wrg_onnx.choices import Scope
from wrg_onnx.factors import Float64Array, IntArray
from wrg_onnx.select.budget import Budget
from wrg_onnx.select.choose import Candidates, removal_order


def knapsack_order(
    candidates: Candidates, scores: Float64Array, budget: Budget, steps: IntArray
) -> Float64Array:
    """Order units by what is lost over what is saved, a step of one group at a time.

    Args:
        candidates: The units to choose from; each group keeps its floor.
        scores: (units,) float64, not negative, higher = keep. They add up: a step loses the sum.
        budget: What is saved.
        steps: (groups,) int64, how many units of a group go at a time.

    Returns:
        (units,) float64, higher = keep: the place in the order, and behind all of it for what must
        stay.

    Source: channels as a knapsack of importance against measured latency, in steps that kernels
    round to: Shen et al., "Structural Pruning via Latency-Saliency Knapsack" (HALP), NeurIPS 2022,
    arXiv:2210.06659. It solves for fixed costs by dynamic programming; ours depend on each other,
    so the greedy solution is taken.
    """
    order = removal_order(candidates, scores, Scope.GLOBAL)
    of = candidates.group[order]
    waiting = {group: order[of == group].tolist() for group in np.unique(of).tolist()}
    alive = np.ones(len(scores), bool)
    found = np.full(len(scores), np.inf)
    left = np.bincount(candidates.group, minlength=len(steps))
    now = budget.cost(alive)
    place = 0

    def first_step(group: int) -> tuple[list[int], float]:
        """Return the units of a group that would go next, and what they lose per saving."""
        # The first step of a group whose width is no multiple of it is what is over.
        size = int(left[group] % steps[group] or steps[group])
        units = waiting[group][:size]
        alive[units] = False
        saved = now - budget.cost(alive)
        alive[units] = True
        lost = float(scores[units].sum())
        return units, lost / saved if saved > 0 else float("inf")

    heap = [(first_step(group)[1], group) for group in waiting]
    heapq.heapify(heap)
    while heap:
        _, group = heapq.heappop(heap)
        units, price = first_step(group)
        # Since its neighbours are narrower by now it may save less than it was said to.
        if heap and (price, group) > heap[0] and price > heap[0][0]:
            heapq.heappush(heap, (price, group))
            continue
        alive[units] = False
        now = budget.cost(alive)
        found[units] = place + np.arange(len(units))
        place += len(units)
        left[group] -= len(units)
        del waiting[group][: len(units)]
        if waiting[group]:
            heapq.heappush(heap, (first_step(group)[1], group))
    found[np.isinf(found)] = place
    return found
