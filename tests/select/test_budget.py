"""Measured budgets: products of what axis lengths count as, by tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrg_onnx.select import Axis, Measured, Products


def axis(units, values):
    return Axis(np.array(units, np.int64), np.array(values, np.float64))


def rounded(length, block):
    return np.ceil(np.arange(length + 1) / block) * block


@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_tables_that_count_each_position_give_the_cost_and_savings_of_products(alive):
    ids = np.arange(6)
    plain = Products.from_terms([(2.0, [ids, ids[:3]]), (5.0, [])])
    count = np.arange(7.0)
    looked_up = Measured.from_terms(
        [(2.0, [Axis(ids, count), Axis(ids[:3], count[:4])]), (5.0, [])]
    )
    alive = np.array(alive)
    assert looked_up.cost(alive) == plain.cost(alive)
    assert looked_up.savings(6) == pytest.approx(plain.savings(6))


def test_a_staircase_costs_the_whole_step():
    budget = Measured.from_terms([(3.0, [axis(range(8), rounded(8, 4))])])
    costs = [budget.cost(np.arange(8) < count) for count in range(9)]
    assert costs == [0, 12, 12, 12, 12, 24, 24, 24, 24]


def test_a_unit_saves_its_share_of_the_step():
    budget = Measured.from_terms([(3.0, [axis(range(8), rounded(8, 4))])])
    assert budget.savings(8) == pytest.approx(np.full(8, 3.0))


def test_positions_without_a_unit_stay():
    budget = Measured.from_terms([(1.0, [axis([0, -1, -1], [0, 10, 20, 30])])])
    assert budget.cost(np.array([False])) == 20
