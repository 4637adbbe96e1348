"""Rules of `rules/joining.py`: the universal property, and what each rule says."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
import pytest
from operator_cases import (
    Case,
    assert_costs_follow,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
)
from rule_calls import axes, carried, couple, demands, derive, ties
from strategies import normal

from wrg_onnx.errors import ModelError

X = (1, 4, 6, 6)

CASES = [
    Case("Concat", "y = Concat<axis = 1>(a, b, a)", y=(24,)),
    Case("Concat-negative-axis", "y = Concat<axis = -3>(a, b)", y=(16,)),
    Case("Concat-with-constant", "y = Concat<axis = 1>(a, c)", y=(10,), consts={"c": normal(1, 2, 6, 6)}),
    Case("Concat-with-the-input", "y = Concat<axis = 1>(x, a)", y=(11,)),
    Case("Concat-over-height", "y = Concat<axis = 2>(a, b)"),
    Case("Split-11-equal", "l, r = Split<axis = 1>(a)  y = Add(l, r)", 11, y=(4,)),
    Case("Split-11-sizes", "l, r = Split<axis = 1, split = [3, 5]>(a)  y = Concat<axis = 1>(r, l)", 11, free=6),
    Case("Split-13-equal", "l, y = Split<axis = 1>(a)", 13, y=(4,)),
    Case("Split-13-sizes", "y, y1 = Split<axis = 1>(a, s)", 13, y=(3, 5), consts={"s": ints(3, 5)}),
    Case("Split-18-num-outputs", "y, y1, y2 = Split<axis = -3, num_outputs = 3>(a)", 18, y=(3, 3, 2)),
    Case("Split-18-halves", "y, y1 = Split<axis = 1, num_outputs = 2>(a)", 18, y=(4, 4)),
    Case("Split-over-height", "l, r = Split<axis = 2>(a)  y = Add(l, r)", 13),
    Case("Split-computed-sizes", "sh = Shape(a)  i = Gather(sh, one)  h = Div(i, two)  "
         "k = Sub(i, h)  s = Concat<axis = 0>(h, k)  l, r = Split<axis = 1>(a, s)  y = Mul(l, r)",
         13, y=(4,), consts={"one": ints(1), "two": ints(2)}),
    Case("Concat-of-single-channels-stays", "l, r = Split<axis = 1>(a, s)  "
         "c = Concat<axis = 3>(l, n)  y = Concat<axis = 1>(c, c)", free=7, y=(2,),
         consts={"s": ints(1, 7), "n": normal(1, 1, 6, 1)}),
    Case("Split-into-more-parts-than-are-followed-stays",
         f"z = Tile(a, t)  {', '.join(f'p{i}' for i in range(72))} = Split<axis = 1>(z, s)  "
         f"y = Concat<axis = 1>({', '.join(f'p{i}' for i in range(72))})", free=0, y=(72,),
         consts={"t": ints(1, 9, 1, 1), "s": np.ones(72, np.int64)}),
    Case("Split-into-parts-of-one-channel",
         "p, q, r, s, t, u, v, w = Split<axis = 1>(a)  y = Concat<axis = 1>(p, q, w, v)",
         free=0, y=(4,)),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


@each_case(CASES)
def test_costs_are_exact_after_removal(case):
    assert_costs_follow(case)


def test_concat_joins_along_its_axis_and_ties_elsewhere():
    c = couple("Concat", [axes(X, a1=0, a2=60), axes((1, 2, 6, 6)), axes(X, a1=10, a2=70)],
               [(1, 10, 6, 6)], axis=-3)  # fmt: skip
    assert carried(c)[1] == [0, 1, 2, 3, -1, -1, 10, 11, 12, 13]
    assert set(ties(c)) == {(60 + i, 70 + i) for i in range(6)} | {(-1, 60 + i) for i in range(6)}


def test_concat_of_inert_parts_is_inert():
    assert carried(couple("Concat", [axes(X), axes(X)], [(1, 8, 6, 6)], axis=1)) == [None] * 4


def test_axis_out_of_range_is_a_model_error():
    with pytest.raises(ModelError, match=r"axis must be in \[-4, 4\), got 4"):
        couple("Concat", [axes(X), axes(X)], [X], axis=4)


def test_split_gives_each_output_its_part():
    shapes = [(1, 1, 6, 6), (1, 3, 6, 6)]
    c = couple("Split", [axes(X, a1=0), np.array([1, 3])], shapes, axis=1)
    assert carried(c, 0)[1] == [0]
    assert carried(c, 1)[1] == [1, 2, 3]
    assert demands(c) == [(1, 0, [0]), (1, 1, [1, 2, 3])]


@pytest.mark.parametrize(
    ("version", "attributes", "expected"),
    [
        (11, {}, ({"split": (1, 2)}, {})),
        (11, {"split": (2, 2)}, ({"split": (1, 2)}, {})),
        (13, {}, ({"num_outputs": None}, {1: [1, 2]})),
        (18, {"num_outputs": 2}, ({"num_outputs": None}, {1: [1, 2]})),
    ],
)
def test_split_writes_its_sizes_where_its_opset_reads_them(version, attributes, expected):
    given = ("Split", [axes(X, a1=0)], [(1, 2, 6, 6), (1, 2, 6, 6)])
    assert derive([1], *given, version=version, axis=1, **attributes) == expected
    assert derive([], *given, version=version, axis=1, **attributes) == ({}, {})


def test_split_of_an_inert_axis_keeps_the_others():
    c = couple("Split", [axes(X, a1=0)], [(1, 4, 3, 6), (1, 4, 3, 6)], axis=2)
    assert carried(c, 1) == [None, [0, 1, 2, 3], None, None]
