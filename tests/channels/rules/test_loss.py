"""Losses: the classes stay, and what is not summed up passes."""

from __future__ import annotations

import numpy as np
import pytest
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
)
from rule_calls import axes, carried, couple, frozen, ties
from strategies import normal

CASES = [
    Case("NegativeLogLikelihoodLoss-stays", "f = Reshape(a, s)  l = LogSoftmax<axis = 1>(f)  "
         "m = NegativeLogLikelihoodLoss(l, t)  y = Mul(a, m)", free=0,
         consts={"s": ints(1, 8, 36), "t": np.zeros((1, 36), np.int64)}),
    Case("NegativeLogLikelihoodLoss-of-each-channel", "p = Transpose<perm = [0, 2, 1, 3]>(a)  "
         "l = ArgMax<axis = 1, keepdims = 0>(p)  "
         "n = NegativeLogLikelihoodLoss<reduction = \"none\">(p, l, w)  y = Unsqueeze(n, last)",
         consts={"w": normal(6), "last": ints(3)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


NLL = "NegativeLogLikelihoodLoss"


@pytest.mark.parametrize(("reduction", "shape"), [("none", (2, 5)), ("sum", ()), ("mean", ())])
def test_labels_freeze_the_classes_that_they_number(reduction, shape):
    operands = [axes((2, 3, 5), a1=10), axes((2, 5)), axes((3,), a0=20)]
    made = couple(NLL, operands, [shape], reduction=reduction)
    assert frozen(made) == {
        "numbers its classes along this axis": [10, 11, 12],
        "weighs the classes along this axis": [20, 21, 22],
    }
    assert carried(made) == [None] * len(shape)


def test_loss_of_each_place_carries_the_axes_beside_the_classes():
    operands = [axes((2, 3, 5), a2=10), axes((2, 5), a1=20)]
    made = couple(NLL, operands, [(2, 5)], reduction="none")
    assert ties(made) == [(10 + n, 20 + n) for n in range(5)]
    assert carried(made) == [None, [10, 11, 12, 13, 14]]
    assert frozen(made) == {}


def test_a_loss_that_is_summed_up_freezes_what_it_sums_over():
    operands = [axes((2, 3, 5), a2=10), axes((2, 5), a1=20)]
    made = couple(NLL, operands, [()])
    assert frozen(made) == {"sums the loss up over this axis": [10, 11, 12, 13, 14]}
