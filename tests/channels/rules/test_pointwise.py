"""Rules of `rules/pointwise.py`: the universal property, and what each rule says."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
import pytest
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    pointwise,
)
from rule_calls import axes, carried, couple, frozen, ties
from strategies import normal

from wrg_onnx.channels.answers import broadcast

X = (1, 4, 6, 6)

CASES = [
    *(pointwise(op) for op in (
        "Abs", "Asinh", "Atan", "Ceil", "Cos", "Erf", "Exp", "Floor", "Identity", "Neg", "Round",
        "Sign", "Sin",
    )),
    pointwise("Clip", 17),
    pointwise("Clip", 7, min="-0.5", max="0.5"),
    Case("Clip-11", "y = Clip(a, lo, hi)", 11,
         consts={"lo": np.float32(-0.5), "hi": np.float32(0.5)}),
    Case("Clip-13-without-low", "y = Clip(a, , hi)", 13, consts={"hi": np.float32(0.5)}),
    Case("Dropout-7", "y = Dropout(a)", 7),
    Case("Dropout-13-mask", "d, m = Dropout(a)  f = Cast<to = 1>(m)  y = Mul(d, f)", 13),
    Case("Cast", "h = Cast<to = 10>(a)  y = Cast<to = 1>(h)"),
    *(Case(f"{op}", f"y = {op}(a, b)") for op in ("Add", "Mul", "Sub", "Max", "Min", "Sum", "Mean")),
    *(Case(f"{op}-7", f"y = {op}(a, b)", 7) for op in ("Add", "Mul", "Sum", "Max")),
    Case("Sum-of-three", "s = Sigmoid(a)  y = Sum(a, b, s)"),
    Case("Div", "e = Exp(b)  y = Div(a, e)"),
    Case("Pow", "e = Exp(a)  s = Sigmoid(b)  y = Pow(e, s)"),
    Case("Mul-by-per-channel-constant", "y = Mul(a, c)", consts={"c": normal(8, 1, 1)}),
    Case("Div-by-per-channel-constant", "y = Div(a, c)", consts={"c": normal(1, 8, 1, 1) + 4},
         spare=("c",)),
    Case("Add-scalar", "y = Add(a, c)", consts={"c": np.float32(0.3)}),
    Case("Add-one-element", "y = Add(a, c)", consts={"c": normal(1, 1, 1, 1)}),
    Case("Mul-by-a-gate-of-one-channel", "y = Mul(a, g)",
         consts={"wg": normal(1, 3, 1, 1)}),
    Case("Equal-Where", "q = Greater(a, b)  y = Where(q, a, b)"),
    Case("Less-than-a-threshold-per-channel", "q = Less(a, t)  y = Where(q, a, b)",
         consts={"t": normal(8, 1, 1)}),
    Case("Equal-to-a-list", "m = ReduceMax<axes = [1]>(b)  q = Less(m, t)  f = Cast<to = 1>(q)  "
         "g = Conv(f, wl)  y = Mul(a, g)", consts={"t": normal(1, 5, 1, 1), "wl": normal(8, 5, 1, 1)}),
    Case("Where-with-scalar", "z = Greater(a, t)  y = Where(z, a, t)",
         consts={"t": np.float32(0.1)}),
    Case("Where-with-constant-condition", "y = Where(q, a, b)",
         consts={"q": np.array([True, False] * 3)}),
    Case("Where-with-a-condition-per-channel-stays", "y = Where(q, a, b)", free=0,
         consts={"q": np.array([True, False] * 4).reshape(8, 1, 1)}),
    Case("CastLike", "y = CastLike(a, b)"),
    Case("CastLike-a-number", "s = CastLike(k, a)  y = Mul(a, s)", consts={"k": np.float32(0.5)}),
    Case("Add-constant-per-position", "y = Add(a, c)", consts={"c": normal(6, 6)}),
    Case("Add-constant-per-element", "y = Add(a, c)", consts={"c": normal(1, 8, 6, 6)}),
    Case("SE-block", "p = GlobalAveragePool(a)  r = Conv(p, w1)  e = Relu(r)  t = Conv(e, w2)  "
         "g = Sigmoid(t)  y = Mul(a, g)", consts={"w1": normal(4, 8, 1, 1), "w2": normal(8, 4, 1, 1)}),
    Case("Add-in-a-weight-computed-from-two", "s = Add(w, v)  e = Sigmoid(s)  y = Conv(a, e)", y=(5,),
         consts={"w": normal(5, 8, 1, 1), "v": normal(5, 8, 1, 1)}),
    Case("Div-in-a-computed-weight", "d = Div(one, w)  y = Conv(a, d)", y=(5,),
         consts={"one": np.float32(1), "w": normal(5, 8, 1, 1)}, spare=("w",)),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_unary_passes_its_axes():
    assert carried(couple("Relu", [axes(X, a1=0)], [X])) == [None, [0, 1, 2, 3], None, None]


def test_operands_meet_from_the_right():
    c = couple("Add", [axes(X, a1=0), axes((4, 1, 1), a0=10)], [X])
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13)]


def test_one_position_is_broadcast_and_ties_nothing():
    c = couple("Mul", [axes(X, a1=0), axes((1, 1, 6, 6))], [X])
    assert ties(c) == []
    assert carried(c)[1] == [0, 1, 2, 3]


def test_live_axis_that_meets_an_inert_one_is_held():
    c = couple("Sub", [axes(X, a1=0), axes(X)], [X])
    assert ties(c) == [(-1, 0), (-1, 1), (-1, 2), (-1, 3)]


def test_single_live_position_that_meets_an_inert_one_is_held():
    joined, found = broadcast([axes((1, 1), a1=[7]), axes((1, 1))], (1, 1))
    assert [(t.left.tolist(), t.right.tolist()) for t in found] == [([7], [-1])]
    assert joined.at(1).tolist() == [7]


def test_where_ties_three_operands():
    c = couple("Where", [axes((4, 1, 1), a0=20), axes(X, a1=0), axes(X, a1=10)], [X])
    assert set(ties(c)) == {(i + a, i + 20) for i in range(4) for a in (0, 10)}


def test_dropout_mask_carries_the_channels():
    c = couple("Dropout", [axes(X, a1=0)], [X, X])
    assert carried(c, 1) == carried(c, 0) == [None, [0, 1, 2, 3], None, None]


@pytest.mark.parametrize("training", [True, axes(())])
def test_a_dropout_that_drops_or_may_freezes_its_input(training):
    c = couple("Dropout", [axes(X, a1=0), np.float32(0.5), training], [X])
    assert frozen(c) == {"draws random numbers for this axis": [0, 1, 2, 3]}


def test_a_dropout_that_is_told_not_to_drop_freezes_nothing():
    assert frozen(couple("Dropout", [axes(X, a1=0), np.float32(0.5), False], [X])) == {}


LISTED = "compares data with each number of a constant list along this axis"


@pytest.mark.parametrize("op", ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
def test_a_list_that_data_is_compared_with_stays(op):
    c = couple(op, [axes((1, 6, 1)), axes((5,), a0=10)], [(1, 6, 5)], weights=(1,))
    assert frozen(c) == {LISTED: [10, 11, 12, 13, 14]}
    turned = couple(op, [axes((5,), a0=10), axes((1, 6, 1))], [(1, 6, 5)], weights=(0,))
    assert frozen(turned) == {LISTED: [10, 11, 12, 13, 14]}


def test_a_threshold_per_channel_is_no_list():
    c = couple("Less", [axes((1, 3, 2), a1=0), axes((3, 1), a0=10)], [(1, 3, 2)], weights=(1,))
    assert frozen(c) == {}
    assert ties(c) == [(0, 10), (1, 11), (2, 12)]


def test_a_list_may_have_a_row_for_each_channel():
    c = couple("Less", [axes((3, 1), a0=0), axes((3, 4), a0=10, a1=20)], [(3, 4)], weights=(1,))
    assert frozen(c) == {LISTED: [20, 21, 22, 23]}
    assert ties(c) == [(0, 10), (1, 11), (2, 12)]


def test_two_activations_or_two_constants_are_compared_position_by_position():
    operands = [axes((1, 1), a1=30), axes((1, 4), a1=10)]
    assert frozen(couple("Less", operands, [(1, 4)])) == {}
    assert frozen(couple("Less", operands, [(1, 4)], weights=(0, 1))) == {}
