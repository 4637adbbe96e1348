"""The choice under a budget: exact costs, floors, order, and the asked ratio."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wrg_onnx.select import Candidates, Products, Scope, largest_ratio, removal_order, select

SCOPES = pytest.mark.parametrize("scope", list(Scope), ids=lambda scope: scope.value)


def units(*numbers):
    return np.array(numbers, np.int64)


def candidates(groups, removable=None, floor=0.1):
    group = np.array(groups, np.int64)
    free = np.ones(len(group), bool) if removable is None else np.array(removable, bool)
    return Candidates(free, group, floor)


def chain(widths, kernel=9):
    """A plain chain of convolutions: each width is a group, weights are width x width x kernel."""
    starts = np.cumsum([0, *widths])
    axes = [np.arange(a, b) for a, b in itertools.pairwise(starts)]
    fixed = [np.full(3, -1)]
    terms = [
        (float(kernel), [before, after])
        for before, after in zip([*fixed, *axes], [*axes, *fixed], strict=True)
    ]
    return np.repeat(np.arange(len(widths)), widths), Products.from_terms(terms)


def brute_force(terms, alive):
    total = 0.0
    for weight, axes in terms:
        product = weight
        for axis in axes:
            product *= sum(1 for unit in axis if unit < 0 or alive[unit])
        total += product
    return total


# --- costs ---------------------------------------------------------------------------------------


@st.composite
def budgets(draw):
    count = draw(st.integers(1, 8))
    axis = st.lists(st.integers(-1, count - 1), max_size=6).map(lambda a: np.array(a, np.int64))
    term = st.tuples(st.integers(0, 1000).map(float), st.lists(axis, max_size=4))
    return draw(st.lists(term, max_size=6)), np.array(
        draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool
    )


@given(budgets())
@example(([(2.0, [])], np.array([True])))
@example(([(2.0, [np.array([], np.int64)])], np.array([True])))
def test_cost_equals_brute_force(case):
    terms, alive = case
    assert Products.from_terms(terms).cost(alive) == brute_force(terms, alive)


def test_a_square_weight_loses_rows_and_columns_at_once():
    budget = Products.from_terms([(9.0, [units(0, 1, 2, 3), units(0, 1, 2, 3)])])
    assert budget.cost(np.array([True, True, True, False])) == 9 * 3 * 3


@given(budgets())
@example(([(3.0, [units(0, 0), units(0, 1)])], np.array([True, True])))
def test_a_saving_is_the_cost_less_the_cost_without_the_unit(case):
    terms, alive = case
    everything = np.ones(len(alive), bool)
    expected = []
    for unit in range(len(alive)):
        without = everything.copy()
        without[unit] = False
        expected.append(brute_force(terms, everything) - brute_force(terms, without))
    found = Products.from_terms(terms).savings(len(alive))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_no_terms_cost_nothing():
    budget = Products.from_terms([])
    assert budget.cost(np.ones(3, bool)) == 0
    assert largest_ratio(candidates([0, 0, 0]), budget) == 0
    assert select(candidates([0, 0, 0]), np.ones(3), budget, 0.5, Scope.GLOBAL).removed == 0


# --- order ---------------------------------------------------------------------------------------


def test_low_scores_go_first_across_groups():
    scores = np.array([3.0, 1.0, 2.0, 0.5])
    order = removal_order(candidates([0, 0, 1, 1]), scores, Scope.GLOBAL)
    assert order.tolist() == [3, 1]  # each group's best stays


def test_uniform_scope_takes_the_same_share_of_each_group():
    group = [0] * 4 + [1] * 8
    scores = np.concatenate([np.arange(4.0) + 100, np.arange(8.0)])
    order = removal_order(candidates(group), scores, Scope.UNIFORM)
    half = order[: len(order) // 2 + 1].tolist()
    assert sum(unit < 4 for unit in half) == 2
    assert sum(unit >= 4 for unit in half) == 4
    assert [unit for unit in order if unit < 4] == [0, 1, 2]


@SCOPES
def test_equal_scores_go_by_unit_number(scope):
    order = removal_order(candidates([0] * 6), np.ones(6), scope)
    assert order.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("floor", "left"), [(0.01, 1), (0.1, 1), (0.25, 3), (0.5, 5), (1.0, 10)])
def test_a_floor_is_rounded_up_and_is_at_least_one_unit(floor, left):
    order = removal_order(candidates([0] * 10, floor=floor), np.arange(10.0), Scope.GLOBAL)
    assert order.tolist() == list(range(10 - left))


def test_a_floor_of_a_whole_number_of_units_is_that_number():
    order = removal_order(candidates([0] * 100, floor=0.07), np.zeros(100), Scope.GLOBAL)
    assert len(order) == 93


def test_frozen_members_count_towards_the_floor():
    removable = [True] * 6 + [False] * 4
    order = removal_order(candidates([0] * 10, removable, 0.5), np.zeros(10), Scope.GLOBAL)
    assert order.tolist() == [0, 1, 2, 3, 4]
    order = removal_order(candidates([0] * 10, removable, 0.1), np.zeros(10), Scope.GLOBAL)
    assert order.tolist() == [0, 1, 2, 3, 4, 5]


def test_frozen_units_are_never_in_the_order():
    order = removal_order(candidates([0, 0, 1], [True, False, False]), np.zeros(3), Scope.UNIFORM)
    assert order.tolist() == [0]


UNSURE = Candidates(
    np.ones(8, bool), np.repeat([0, 1], 4), 0.25, np.isin(np.arange(8), (0, 1, 6))
)  # fmt: skip


def test_units_that_nobody_could_measure_go_after_all_others():
    order = removal_order(UNSURE, np.array([0.1, 0.2, 4, 3, 2, 1, 0.0, 5]), Scope.GLOBAL)
    assert order.tolist() == [5, 4, 3, 2, 7, 0]


def test_with_a_uniform_scope_they_go_last_of_their_layer():
    order = removal_order(UNSURE, np.array([0.1, 0.2, 4, 3, 2, 1, 0.0, 5]), Scope.UNIFORM)
    assert order.tolist() == [3, 5, 2, 4, 0, 7]


def test_units_that_nobody_could_measure_do_not_fill_up_what_others_leave():
    costs = np.array([30.0, 30, 30, 30, 1, 1, 1, 1])
    budget = Products.from_terms([(cost, [np.array([unit])]) for unit, cost in enumerate(costs)])
    own = Candidates(np.ones(8, bool), np.arange(8) // 4, 0.25, np.arange(8) > 3)
    found = select(own, np.arange(8.0), budget, 34 / 124, Scope.GLOBAL)
    assert found.alive.tolist() == [False, *[True] * 7]
    sure = Candidates(own.removable, own.group, own.floor)
    assert select(sure, np.arange(8.0), budget, 33 / 124, Scope.GLOBAL).removed > 1


def test_nothing_removable_is_an_empty_order():
    assert removal_order(candidates([0, 1], [False, False]), np.zeros(2), Scope.GLOBAL).size == 0


# --- choice --------------------------------------------------------------------------------------


@SCOPES
@pytest.mark.parametrize("ratio", [0.05, 0.3, 0.6, 0.9])
def test_the_ratio_is_hit_within_half_a_point(scope, ratio):
    group, budget = chain([64, 96, 128])
    scores = np.random.default_rng(0).random(len(group))
    found = select(candidates(group), scores, budget, ratio, scope)
    assert abs(found.ratio - ratio) <= 0.005
    whole = budget.cost(np.ones(len(group), bool))
    assert found.ratio == 1 - budget.cost(found.alive) / whole
    assert found.removed == int((~found.alive).sum())


def test_the_lowest_scores_are_removed():
    group, budget = chain([32])
    scores = np.random.default_rng(1).permutation(32).astype(float)
    found = select(candidates(group), scores, budget, 0.5, Scope.GLOBAL)
    assert sorted(scores[~found.alive]) == list(range(16))


def test_ratio_zero_removes_nothing():
    group, budget = chain([8, 8])
    found = select(candidates(group), np.zeros(16), budget, 0.0, Scope.GLOBAL)
    assert found.alive.all()
    assert found.ratio == 0


def test_a_coarse_unit_is_passed_over_for_smaller_ones():
    budget = Products.from_terms([(100.0, [units(0, 1)]), (1.0, [np.arange(2, 52)])])
    scores = np.concatenate([[0.0, 9.0], 1 + np.arange(50) / 100])
    group = [0, 0, *[1] * 50]
    found = select(candidates(group), scores, budget, 0.1, Scope.GLOBAL)  # 25 of 250
    assert found.alive[:2].all()
    assert found.ratio == pytest.approx(0.1)


@st.composite
def networks(draw):
    widths = draw(st.lists(st.integers(1, 24), min_size=1, max_size=5))
    group, budget = chain(widths)
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    removable = rng.random(len(group)) < draw(st.sampled_from([1.0, 0.7]))
    floor = draw(st.sampled_from([0.05, 0.1, 0.3, 1.0]))
    scores = rng.integers(0, 6, len(group)).astype(float)  # with ties
    return Candidates(removable, group, floor), scores, budget


@settings(deadline=None)
@given(networks(), st.floats(0, 0.99), st.sampled_from(list(Scope)))
def test_floors_and_frozen_units_stay_whatever_is_asked(network, ratio, scope):
    choice, scores, budget = network
    found = select(choice, scores, budget, ratio, scope)
    assert found.alive[~choice.removable].all()
    before = np.bincount(choice.group)
    after = np.bincount(choice.group, weights=found.alive)
    assert (after >= np.minimum(before, np.maximum(1, np.ceil(choice.floor * before)))).all()


@settings(deadline=None)
@given(networks(), st.floats(0, 0.99), st.sampled_from(list(Scope)))
def test_repeated_choices_are_identical(network, ratio, scope):
    choice, scores, budget = network
    one = select(choice, scores, budget, ratio, scope)
    two = select(choice, scores.copy(), budget, ratio, scope)
    np.testing.assert_array_equal(one.alive, two.alive)


@settings(deadline=None)
@given(networks(), st.sampled_from(list(Scope)))
def test_the_largest_ratio_is_reached_and_never_exceeded(network, scope):
    choice, scores, budget = network
    most = largest_ratio(choice, budget)
    assert select(choice, scores, budget, most, scope).ratio == pytest.approx(most)
    assert select(choice, scores, budget, 0.999, scope).ratio <= most + 1e-12


def largest_step(choice, budget):
    """Return what the unit that holds most is of the whole."""
    whole = budget.cost(np.ones(len(choice.removable), bool))
    alone = ~np.eye(len(choice.removable), dtype=bool)[choice.removable]
    return max((1 - budget.cost(alive) / whole for alive in alone), default=0)


@settings(deadline=None)
@given(networks(), st.lists(st.floats(0, 0.99), min_size=2, max_size=5), st.sampled_from(Scope))
def test_a_larger_ratio_removes_no_less(network, ratios, scope):
    choice, scores, budget = network
    found = [select(choice, scores, budget, ratio, scope).ratio for ratio in sorted(ratios)]
    # The closest of a few sets is taken, each within a unit of the target.
    assert all(
        later >= earlier - largest_step(choice, budget)
        for earlier, later in itertools.pairwise(found)
    )


@settings(deadline=None)
@given(networks(), st.floats(0, 0.99), st.sampled_from(list(Scope)))
def test_no_prefix_of_the_order_comes_closer_than_the_choice(network, ratio, scope):
    choice, scores, budget = network
    whole = budget.cost(np.ones(len(scores), bool))
    alive = np.ones(len(scores), bool)
    closest = abs(ratio)
    for unit in removal_order(choice, scores, scope):
        alive[unit] = False
        closest = min(closest, abs(1 - budget.cost(alive) / whole - ratio))
    assert abs(select(choice, scores, budget, ratio, scope).ratio - ratio) <= closest + 1e-9
