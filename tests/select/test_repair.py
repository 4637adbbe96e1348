"""The order of repair: its costs are what least squares loses, computed here by hand."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.factors import Consumer
from wrg_onnx.select import Candidates, repair_order
from wrg_onnx.select.repair import NOISE, PENALTY, _Layer


def consumer(width=6, taps=2, made=3, *, seed=0, gram=True, name="y"):
    """Return a layer that reads ``width`` units of ``taps`` numbers each, which are correlated."""
    rng = np.random.default_rng(seed)
    size = width * taps
    mixed = rng.standard_normal((size, size)) @ np.diag(rng.uniform(0.2, 2, size))
    inputs = np.repeat(np.arange(width), taps)
    return Consumer(
        name, rng.standard_normal((made, size)), mixed @ mixed.T if gram else None, inputs,
        np.full(made, -1), rows=100,
    )  # fmt: skip


def ridged(gram):
    small = PENALTY * np.trace(gram) / len(gram) * np.eye(len(gram))
    return gram + NOISE * np.diag(np.diag(gram)) + small


def lost(one, gone):
    """Return what is lost at least without some units, over the variance of the output.

    The best W' on the columns S that stay, for H with its penalty: W H_:S (H_SS)^-1.
    """
    full, stay = ridged(one.gram), ~np.isin(one.inputs, gone)
    best = np.zeros_like(one.weight)
    best[:, stay] = one.weight @ full[:, stay] @ np.linalg.inv(full[np.ix_(stay, stay)])
    apart = one.weight - best
    return np.trace(apart @ full @ apart.T) / np.trace(one.weight @ one.gram @ one.weight.T)


def candidates(count, *, removable=None, floor=0.01, group=None):
    return Candidates(
        np.ones(count, bool) if removable is None else removable,
        np.zeros(count, np.int64) if group is None else group,
        floor,
    )


def test_a_unit_costs_what_the_best_other_weights_still_lose():
    one = consumer()
    units, costs = _Layer.of(one).costs()
    assert units.tolist() == list(range(6))
    np.testing.assert_allclose(costs, [lost(one, [unit]) for unit in units], rtol=1e-8)


@pytest.mark.parametrize("gone", [[2], [2, 4], [0, 1, 5], [0, 1, 2, 3]])
def test_after_removals_a_unit_costs_what_is_lost_on_top(gone):
    one, mask = consumer(), np.zeros(7, bool)
    layer = _Layer.of(one)
    for unit in gone:  # one by one, so that columns are also cut out
        mask[unit] = True
        assert layer.remove(mask)
    assert not layer.remove(mask)
    units, costs = layer.costs()
    before = lost(one, gone)
    expected = [lost(one, [*gone, unit]) - before for unit in units]
    assert units.tolist() == [unit for unit in range(6) if unit not in gone]
    np.testing.assert_allclose(costs, expected, rtol=1e-7)


def test_each_step_takes_what_is_cheapest_then():
    one, gone = consumer(), []
    order = repair_order([one], candidates(6))
    while len(gone) < 5:
        left = [unit for unit in range(6) if unit not in gone]
        gone.append(min(left, key=lambda unit: lost(one, [*gone, unit])))
    assert np.argsort(order.values)[:5].tolist() == gone
    assert not order.unmeasured.any()


def test_of_two_channels_that_say_the_same_one_is_free_and_the_other_is_not():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 500))
    x[3] = 2 * x[0]
    one = Consumer("y", np.ones((2, 4)), np.cov(x), np.arange(4), np.full(2, -1), rows=500)
    order = repair_order([one], candidates(4))
    first, last = np.argsort(order.values)[[0, -1]]
    assert first in (0, 3)
    assert last == 3 - first, "what is left of the two does the work of both"


def test_costs_add_up_over_layers_each_over_its_own_variance():
    small, large = consumer(seed=3, name="a"), consumer(seed=4, name="b")
    louder = Consumer(
        "b", 100 * large.weight, large.gram, large.inputs, large.outputs, rows=large.rows
    )
    plain = repair_order([small, large], candidates(6)).values
    np.testing.assert_array_equal(repair_order([small, louder], candidates(6)).values, plain)
    alone = repair_order([large], candidates(6)).values
    assert not np.array_equal(plain, alone)


def test_outputs_that_are_gone_are_not_worth_a_repair():
    weight = np.zeros((2, 3))
    weight[0, 1], weight[1, 2] = 1.0, 0.5  # unit 1 is read for output 0 alone, which is unit 0
    one = Consumer("y", weight, np.eye(3), np.arange(3), np.array([0, -1]), rows=9)
    layer = _Layer.of(one)
    assert layer.costs()[1][1] > layer.costs()[1][2] > 0
    gone = np.zeros(4, bool)
    gone[0] = True
    layer.remove(gone)
    units, costs = layer.costs()
    assert dict(zip(units.tolist(), costs, strict=True))[1] == 0


def test_floors_and_frozen_units_stay_behind_the_order():
    group = np.array([0, 0, 0, 1, 1, 1])
    removable = np.array([True, True, False, True, True, True])
    limits = candidates(6, removable=removable, floor=0.5, group=group)
    values = repair_order([consumer()], limits).values
    going = np.flatnonzero(values < values.max())
    # Of three units a half, rounded up, stays: one of each group may go.
    assert len(going) == 2
    assert 2 not in going
    assert sorted(group[going]) == [0, 1]


def test_without_a_covariance_the_sizes_of_the_weights_decide():
    one = consumer(gram=False)
    order = repair_order([one], candidates(6))
    sizes = np.square(one.weight).reshape(3, 6, 2).sum(axis=(0, 2))
    assert np.argsort(order.values).tolist()[:5] == np.argsort(sizes).tolist()[:5]
    assert order.unmeasured.all()


def test_what_no_layer_reads_goes_last():
    order = repair_order([consumer(width=4)], candidates(6))
    assert set(np.argsort(order.values)[:3].tolist()) < {0, 1, 2, 3}
    assert order.unmeasured.tolist() == [False] * 4 + [True] * 2


def test_worth_multiplies_the_costs():
    one = consumer()
    worth = np.ones(6)
    dearest = int(np.argmax([lost(one, [unit]) for unit in range(6)]))
    worth[dearest] = 0
    order = repair_order([one], candidates(6), worth)
    assert np.argmin(order.values) == dearest


def test_a_layer_that_makes_nothing_but_zeros_asks_for_nothing():
    dead = Consumer("dead", np.zeros((2, 12)), consumer().gram, consumer().inputs, np.full(2, -1))
    with_it = repair_order([consumer(), dead], candidates(6)).values
    np.testing.assert_array_equal(with_it, repair_order([consumer()], candidates(6)).values)


def test_what_feeds_a_dead_layer_alone_goes_first():
    dead = Consumer("dead", np.ones((2, 2)), np.zeros((2, 2)), np.array([6, 7]), np.full(2, -1))
    order = repair_order([consumer(), dead], candidates(8))
    assert set(np.argsort(order.values)[:2].tolist()) == {6, 7}


def by_group(consumers, group, savings=None):
    """Return the units in the order in which they go, as their groups."""
    order = repair_order(consumers, candidates(len(group), group=group), None, savings)
    going = np.argsort(order.values, kind="stable")[
        : int((order.values < order.values.max()).sum())
    ]
    return group[going].tolist()


def two_groups(loudness=1.0):
    """Return a layer that reads two groups of six units, those of the second ever louder."""
    rng = np.random.default_rng(5)
    weight = rng.standard_normal((8, 12))
    weight[:, 6:] *= loudness
    one = Consumer("y", weight, np.eye(12), np.arange(12), np.full(8, -1), rows=99)
    return [one], np.repeat([0, 1], 6)


def test_between_groups_half_of_the_distance_counts():
    consumers, group = two_groups()
    assert by_group(consumers, group)[:6].count(1) >= 2
    # A cost grows with the square. Of a hundred times, ten are left; of a million, a thousand.
    units, raw = _Layer.of(two_groups(10.0)[0][0]).costs()
    scores = raw / np.sqrt(
        np.where(units < 6, *(np.exp(np.log(raw[group == g]).mean()) for g in (0, 1)))
    )
    expected = group[np.argsort(scores)].tolist()
    found = by_group(two_groups(10.0)[0], group)
    assert found[:3] == expected[:3]
    assert by_group(two_groups(1e3)[0], group)[:5] == [0] * 5


def test_what_saves_more_goes_first():
    consumers, group = two_groups()
    savings = np.where(group == 0, 1.0, 1e6)
    assert by_group(consumers, group, savings)[:5] == [1] * 5
    savings = np.where(group == 0, 1e6, 1.0)
    assert by_group(consumers, group, savings)[:5] == [0] * 5
