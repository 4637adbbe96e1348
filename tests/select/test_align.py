"""Counts that kernels like: multiples of a step, the budget met, the best channels back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrg_onnx.select import Candidates, Products, Scope, largest_ratio, removal_order, select
from wrg_onnx.select.align import Aligned


def network(widths, seed=0):
    """A plain chain of 1 x 1 convolutions: each width is a group."""
    group = np.repeat(np.arange(len(widths)), widths)
    axes = [np.flatnonzero(group == number) for number in range(len(widths))]
    terms = [(1.0, [a, b]) for a, b in itertools.pairwise(axes)]
    terms += [(3.0, [axes[0]]), (1.0, [axes[-1]])]
    return group, Products.from_terms(terms), np.random.default_rng(seed).random(len(group))


def kept(selection, group):
    return np.bincount(group, weights=selection.alive).astype(int)


@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=5),
    st.sampled_from([2, 4, 8, 16]),
    st.floats(0.05, 0.9),
    st.integers(0, 5),
    st.sampled_from(list(Scope)),
)
def test_every_group_keeps_a_multiple_or_all_and_the_budget_is_met(
    widths, step, ratio, seed, scope
):
    group, budget, scores = network(widths, seed)
    steps = np.full(len(widths), step)
    candidates = Candidates(np.ones(len(group), bool), group, 0.1, steps=steps)
    if largest_ratio(candidates, budget) < ratio:
        return
    found = select(candidates, scores, budget, ratio, scope)
    counts = kept(found, group)
    assert ((counts % step == 0) | (counts == widths)).all()
    assert found.ratio >= ratio - 1e-6
    assert (counts >= np.maximum(1, np.ceil(0.1 * np.array(widths)))).all()


def test_what_comes_back_are_the_best_of_a_group():
    group, budget, scores = network([32, 32])
    candidates = Candidates(np.ones(64, bool), group, steps=np.full(2, 8))
    alive = select(candidates, scores, budget, 0.5, Scope.GLOBAL).alive
    for number in range(2):
        members = group == number
        if (~alive[members]).any():
            assert scores[members & ~alive].max() < scores[members & alive].min()


def test_rounding_is_up():
    group = np.zeros(20, np.int64)
    candidates = Candidates(np.ones(20, bool), group, 0.05, steps=np.array([8]))
    order = removal_order(candidates, np.arange(20.0), Scope.GLOBAL)
    aligned = Aligned(order, group, np.array([8]))
    assert [int(aligned.after(count)[0]) for count in (0, 1, 4, 5, 12, 13, 19)] == [
        20, 20, 16, 16, 8, 8, 8,
    ]  # fmt: skip
    assert aligned.alive(np.array([8])).tolist() == [False] * 12 + [True] * 8


def test_frozen_units_count_towards_a_step():
    group = np.zeros(12, np.int64)
    removable = np.arange(12) >= 6
    candidates = Candidates(removable, group, 0.05, steps=np.array([4]))
    budget = Products.from_terms([(1.0, [np.arange(12)])])
    found = select(candidates, np.arange(12.0), budget, 0.4, Scope.GLOBAL)
    assert kept(found, group)[0] == 8 or kept(found, group)[0] == 6
    assert found.alive[:6].all()


def test_a_coarse_step_gives_way_to_smaller_ones_that_come_closer():
    # One step of the first group is 20 of 100; the other two have steps of 5.
    group = np.repeat([0, 1, 2], [2, 6, 6])
    budget = Products.from_terms(
        [(20.0, [np.arange(2)]), (5.0, [np.arange(2, 8)]), (5.0, [np.arange(8, 14)])]
    )
    scores = np.array([0.0, 99.0, *range(1, 13)])
    candidates = Candidates(np.ones(14, bool), group, 0.05, steps=np.ones(3, np.int64))
    found = select(candidates, scores, budget, 0.1, Scope.GLOBAL)
    assert found.ratio == pytest.approx(0.1)
    assert found.alive[0]


def test_a_limit_is_never_passed_without_steps_either():
    group, budget, scores = network([7, 9, 11], seed=3)
    candidates = Candidates(np.ones(27, bool), group)
    for ratio in np.linspace(0.05, 0.8, 16):
        at_most = select(candidates, scores, budget, float(ratio), Scope.GLOBAL, at_most=True)
        assert at_most.ratio >= ratio - 1e-6
