"""Steps go by what they lose over what they save."""

from __future__ import annotations

import numpy as np

from wrg_onnx.select import Axis, Candidates, Measured, Products, knapsack_order


def test_equal_losses_go_by_what_they_save():
    group = np.repeat([0, 1], 4)
    budget = Products.from_terms([(1.0, [np.arange(4)]), (5.0, [np.arange(4, 8)])])
    candidates = Candidates(np.ones(8, bool), group, 0.25)
    order = knapsack_order(candidates, np.ones(8), budget, np.ones(2, np.int64))
    assert np.argsort(order, kind="stable")[:3].tolist() == [4, 5, 6]


def test_the_lowest_of_a_group_go_first_and_its_floor_last():
    candidates = Candidates(np.ones(4, bool), np.zeros(4, np.int64), 0.5)
    budget = Products.from_terms([(1.0, [np.arange(4)])])
    order = knapsack_order(candidates, np.array([3.0, 1.0, 4.0, 2.0]), budget, np.array([1]))
    assert np.argsort(order, kind="stable")[:2].tolist() == [1, 3]
    assert order[0] == order[2] == 2  # what must stay


def test_a_step_of_a_staircase_goes_as_a_whole():
    group = np.repeat([0, 1], [8, 8])
    stairs = np.ceil(np.arange(9) / 4) * 4
    budget = Measured.from_terms(
        [(1.0, [Axis(np.arange(8), stairs)]), (1.0, [Axis(np.arange(8, 16), stairs)])]
    )
    scores = np.concatenate([np.full(8, 1.0), np.full(8, 2.0)])
    candidates = Candidates(np.ones(16, bool), group, 0.125)
    order = knapsack_order(candidates, scores, budget, np.array([4, 4]))
    assert sorted(np.argsort(order, kind="stable")[:4].tolist()) == [0, 1, 2, 3]
    assert np.unique(order[:4]).tolist() == [0, 1, 2, 3]


def test_what_a_step_saves_is_asked_again_once_its_neighbour_is_narrower():
    # Units of the first group cost what the second is wide: once that is narrow, little.
    group = np.repeat([0, 1, 2], [2, 2, 2])
    budget = Products.from_terms(
        [(10.0, [np.arange(2), np.arange(2, 4)]), (6.0, [np.arange(4, 6)])]
    )
    candidates = Candidates(np.ones(6, bool), group, 0.5)
    order = knapsack_order(candidates, np.array([3.0, 9, 1, 9, 1.5, 9]), budget, np.ones(3, int))
    # 2 saves 20 for 1; then 0 saves 10 for 3 (0.3 each), and 4 saves 6 for 1.5 (0.25).
    assert np.argsort(order, kind="stable")[:3].tolist() == [2, 4, 0]
