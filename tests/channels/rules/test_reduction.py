"""Rules of `rules/reduction.py`: the universal property, and what each rule says."""
# ruff: noqa: E501 - a case's network reads best unbroken

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
from rule_calls import axes, carried, couple, frozen
from strategies import normal

WIDE = (1, 8, 6, 6)

X = (1, 4, 6, 6)

CASES = [
    Case("ReduceMean-17-height-width", "y = ReduceMean<axes = [2, 3]>(a)"),
    Case("ReduceMean-18-height-width", "y = ReduceMean(a, ax)", 18, consts={"ax": ints(-1, -2)}),
    Case("ReduceMean-negative-axes", "y = ReduceMean<axes = [-1, -2]>(a)", 11),
    Case("ReduceSum-13", "y = ReduceSum(a, ax)", 13, consts={"ax": ints(2)}),
    Case("ReduceMax-channels-stays", "m = ReduceMax<axes = [1]>(a)  y = Mul(b, m)", free=0),
    Case("ReduceSum-noop", "y = ReduceSum<noop_with_empty_axes = 1>(a)", 13),
    Case("ReduceL2-without-keepdims",
         "r = ReduceL2<axes = [3], keepdims = 0>(a)  y = Unsqueeze(r, ax)", consts={"ax": ints(3)}),
    Case("ReduceSum-all", "r = ReduceSum(a)  y = Mul(b, r)"),
    Case("ReduceSum-of-what-is-never-zero-stays", "s = Sigmoid(a)  r = ReduceSum(s)  y = Mul(b, r)", free=0),
    Case("ReduceSum-of-a-square", "p = Mul(a, a)  r = ReduceSum(p, ax)  y = Mul(b, r)", consts={"ax": ints(1)}),
    Case("ReduceSum-of-a-power", "p = Pow(a, two)  r = ReduceSum(p, ax)  q = Sqrt(r)  y = Div(a, q)",
         consts={"ax": ints(1), "two": np.float32(2)}),
    Case("ReduceSum-of-a-root-of-no-power-stays", "p = Pow(a, two)  r = ReduceSum(p, ax)  y = Mul(b, r)", free=0,
         consts={"ax": ints(1), "two": np.float32(-2)}),
    Case("ReduceSum-of-what-is-shifted-stays", "p = Add(a, one)  r = ReduceSum(p, ax)  y = Mul(b, r)", free=0,
         consts={"ax": ints(1), "one": np.float32(1)}),
    Case("ReduceSum-of-channels-shifted-by-their-own", "p = Add(a, one)  r = ReduceSum(p, ax)  y = Mul(b, r)",
         consts={"ax": ints(1), "one": normal(8, 1, 1)}),
    Case("ReduceL2-of-a-gated-feature", "s = Sigmoid(b)  p = Mul(s, a)  r = ReduceL2<axes = [1]>(p)  y = Div(p, r)"),
    Case("ReduceL2-of-a-gate-stays", "s = Sigmoid(b)  p = Add(s, a)  r = ReduceL2<axes = [1]>(p)  y = Div(p, r)", free=0),
    Case("ReduceL1-behind-a-normalisation", "n = BatchNormalization(a, g, h, g, v)  r = ReduceL1<axes = [1]>(n)  y = Mul(b, r)",
         consts={"g": normal(8), "h": normal(8, seed=5), "v": np.abs(normal(8)) + np.float32(1)}),
    Case("ReduceSumSquare-of-parts", "p, q = Split<axis = 1>(a)  r = ReduceSumSquare<axes = [1]>(p)  "
         "y = Mul(b, r)", 13, free=6),
    Case("ReduceSum-of-joined-features", "j = Concat<axis = 1>(a, b)  r = ReduceSum(j, ax)  y = Mul(a, r)",
         consts={"ax": ints(1)}),
    Case("ReduceSum-of-a-feature-joined-with-a-gate-stays", "s = Sigmoid(b)  j = Concat<axis = 1>(a, s)  r = ReduceSum(j, ax)  y = Mul(a, r)",
         consts={"ax": ints(1)}, free=0),
    Case("ReduceSum-of-products", "r = ReduceMean<axes = [2, 3], keepdims = 0>(a)  m = Gemm(r, w, c)  s = ReduceSum(m, ax)  y = Mul(b, s)",
         consts={"w": normal(8, 6), "c": normal(6), "ax": ints(1)}),
    Case("ReduceSum-of-products-with-one-bias-stays", "f = Flatten(a)  m = Gemm(f, w, c)  s = ReduceSum(m, ax)  y = Mul(b, s)",
         consts={"w": normal(288, 6), "c": normal(1, 1), "ax": ints(1)}),
    Case("ArgMax-over-width", "i = ArgMax<axis = 3>(a)  y = Cast<to = 1>(i)"),
    Case("ArgMax-over-channels-stays", "i = ArgMax<axis = 1>(a)  f = Cast<to = 1>(i)  "
         "y = Mul(b, f)", free=0),
    Case("CumSum-over-width", "y = CumSum(a, k)", 14, consts={"k": np.int64(3)}),
    Case("CumSum-11-negative-axis", "y = CumSum<exclusive = 1, reverse = 1>(a, k)", 11, consts={"k": np.int32(-1)}),
    Case("CumSum-over-channels-stays", "y = CumSum(a, k)", free=0, consts={"k": np.int64(1)}),
    Case("CumSum-over-a-computed-axis-stays", "r = ReduceMax<keepdims = 0>(x)  z = Mul(r, o)  k = Cast<to = 7>(z)  "
         "y = CumSum(a, k)", free=0, consts={"o": np.float32(0)}),
    Case("CumProd-over-height", "y = CumProd(a, k)", 26, consts={"k": np.int64(2)}),
    Case("CumProd-over-channels-stays", "y = CumProd(a, k)", 26, free=0, consts={"k": np.int64(1)}),
    Case("TopK-over-width", "y, i = TopK(a, k)", 11, consts={"k": ints(2)}),
    Case("TopK-indices-carry-channels", "v, i = TopK<axis = 2>(a, k)  f = Cast<to = 1>(i)  y = Mul(v, f)", 11,
         consts={"k": ints(2)}),
    Case("TopK-7", "y, i = TopK<axis = 2, k = 3>(a)", 7),
    Case("TopK-10", "y, i = TopK<axis = 3>(a, k)", 10, consts={"k": ints(3)}),
    Case("TopK-24", "y, i = TopK<axis = -1, largest = 0>(a, k)", 24, consts={"k": ints(3)}),
    Case("TopK-over-channels-stays", "y, i = TopK<axis = 1>(a, k)", free=0, y=(3,), consts={"k": ints(3)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_sums_along_an_axis_computed_at_run_time_freeze_all():
    c = couple("CumSum", [axes(WIDE, a1=0), axes(())], [WIDE])
    assert frozen(c) == {"accumulates over an axis computed at run time": list(range(8))}


@pytest.mark.parametrize(
    ("version", "inputs", "attributes", "shape", "expected"),
    [
        (17, [], {"axes": (2, 3)}, (1, 4, 1, 1), []),
        (17, [], {"axes": (-1,), "keepdims": 0}, (1, 4, 6), []),
        (17, [], {"axes": (1,)}, (1, 1, 6, 6), [0, 1, 2, 3]),
        (17, [], {}, (1, 1, 1, 1), [0, 1, 2, 3]),
        (18, [np.array([-1, -2])], {}, (1, 4, 1, 1), []),
        (18, [np.array([], np.int64)], {"noop_with_empty_axes": 1}, X, []),
        (18, [np.array([], np.int64)], {}, (1, 1, 1, 1), [0, 1, 2, 3]),
        (18, [None], {"noop_with_empty_axes": 1}, X, []),
        (18, [axes((2,))], {}, (1, 4, 1, 1), [0, 1, 2, 3]),
    ],
)
def test_reduction_freezes_the_axes_it_reduces(version, inputs, attributes, shape, expected):
    c = couple("ReduceMean", [axes(X, a1=0), *inputs], [shape], version=version, **attributes)
    assert sorted(i for f in c.frozen for i in f.ids) == expected
    if not expected:
        assert carried(c)[1] == [0, 1, 2, 3]


def test_arg_max_freezes_its_axis():
    c = couple("ArgMax", [axes(X, a1=0)], [(1, 6, 6)], axis=1, keepdims=0)
    assert frozen(c) == {"reduces over this axis": [0, 1, 2, 3]}
    assert carried(c) == [None, None, None]
