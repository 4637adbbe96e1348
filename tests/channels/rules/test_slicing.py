"""Rules of `rules/slicing.py`: the universal property, and what each rule says."""
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
from rule_calls import axes, carried, couple, demands, derive, frozen, ties

BIG = 2**63 - 1

X = (1, 4, 6, 6)

INT_MAX = 2**63 - 1

CASES = [
    Case("Slice-9", "y = Slice<axes = [1], starts = [2], ends = [7]>(a)", 9, y=(5,)),
    Case("Slice-9-negative", "y = Slice<axes = [1], starts = [-5], ends = [-1]>(a)", 9, y=(4,)),
    Case("Slice-9-to-the-end", f"y = Slice<axes = [1], starts = [3], ends = [{BIG}]>(a)", 9, y=(5,)),
    Case("Slice-13", "y = Slice(a, s, e, ax)", 13, y=(5,),
         consts={"s": ints(2), "e": ints(7), "ax": ints(1)}),
    Case("Slice-13-negative", "y = Slice(a, s, e, ax)", 13, y=(4,),
         consts={"s": ints(-5), "e": ints(-1), "ax": ints(-3)}),
    Case("Slice-13-front", "y = Slice(a, s, e, ax)", 13, y=(6,),
         consts={"s": ints(0), "e": ints(-2), "ax": ints(1)}),
    Case("Slice-13-int-max", "y = Slice(a, s, e, ax)", 13, y=(5,),
         consts={"s": ints(3), "e": ints(BIG), "ax": ints(1)}),
    Case("Slice-13-both-sides", "l = Slice(a, z, e, ax)  r = Slice(a, e, m, ax)  y = Add(l, r)", 13,
         y=(4,), consts={"z": ints(0), "e": ints(4), "m": ints(BIG), "ax": ints(1)}),
    Case("Slice-several-axes", "y = Slice(a, s, e, ax, st)", 13, y=(5,),
         consts={"s": ints(0, 2), "e": ints(6, 7), "ax": ints(3, 1), "st": ints(2, 1)}),
    Case("Slice-without-axes", "y = Slice(a, s, e)", 13, y=(5,),
         consts={"s": ints(0, 2), "e": ints(1, 7)}),
    Case("Slice-int32", "y = Slice(a, s, e, ax)", 13, y=(5,),
         consts={"s": np.int32([2, 0]), "e": np.int32([7, 6]), "ax": np.int32([1, 2])}),
    Case("Slice-steps", "y = Slice(a, s, e, ax, st)", 13, y=(4,),
         consts={"s": ints(0), "e": ints(8), "ax": ints(1), "st": ints(2)}),
    Case("Slice-steps-to-a-place-in-between", "y = Slice(a, s, e, ax, st)", 13, y=(3,),
         consts={"s": ints(1), "e": ints(6), "ax": ints(1), "st": ints(2)}),
    Case("Slice-steps-to-a-place-before-the-end", "y = Slice(a, s, e, ax, st)", 13, y=(3,),
         consts={"s": ints(0), "e": ints(-3), "ax": ints(1), "st": ints(2)}),
    Case("Slice-steps-that-leave-a-rest", "y = Slice(a, s, e, ax, st)", 13, y=(3,),
         consts={"s": ints(1), "e": ints(100), "ax": ints(1), "st": ints(3)}),
    Case("Slice-even-and-odd", "p = Slice(a, z, e, ax, st)  q = Slice(a, ax, e, ax, st)  y = Mul(p, q)", 13, y=(4,),
         consts={"z": ints(0), "e": ints(BIG), "ax": ints(1), "st": ints(2)}),
    Case("Slice-steps-from-further-on-stay", "y = Slice(a, s, e, ax, st)", 13, free=0, y=(3,),
         consts={"s": ints(3), "e": ints(8), "ax": ints(1), "st": ints(2)}),
    Case("Slice-steps-back-stay", "y = Slice(a, s, e, ax, st)", 13, free=0, y=(4,),
         consts={"s": ints(7), "e": ints(-9), "ax": ints(1), "st": ints(-2)}),
    Case("Slice-flip", "y = Slice(a, s, e, ax, st)", 13,
         consts={"s": ints(-1), "e": ints(-BIG), "ax": ints(1), "st": ints(-1)}),
    Case("Slice-computed-half", "sh = Shape(a)  i = Gather(sh, one)  h = Div(i, two)  "
         "l = Slice(a, z, h, one)  r = Slice(a, h, i, one)  y = Mul(l, r)", 13, y=(4,),
         consts={"one": ints(1), "two": ints(2), "z": ints(0)}),
    Case("Focus-slices", "p = Slice(a, z, m, ax, st)  q = Slice(a, o, m, ax, st)  "
         "y = Concat<axis = 1>(p, q)", 13, y=(16,),
         consts={"z": ints(0), "o": ints(1), "m": ints(BIG), "ax": ints(2), "st": ints(2)}),
    Case("Slice-flips-from-the-last-position", "y = Slice(a, s, e, ax, st)", 13,
         consts={"s": ints(7), "e": ints(-9), "ax": ints(1), "st": ints(-1)}),
    Case("Slice-flips-from-beyond", "y = Slice(a, s, e, ax, st)", 13,
         consts={"s": ints(BIG), "e": ints(-BIG), "ax": ints(-3), "st": ints(-1)}),
    Case("Slice-flips-a-part-stays", "y = Slice(a, s, e, ax, st)", 13, free=0, y=(7,),
         consts={"s": ints(-1), "e": ints(0), "ax": ints(1), "st": ints(-1)}),
    Case("ReverseSequence", "p = Transpose<perm = [3, 0, 1, 2]>(a)  r = ReverseSequence(p, n)  "
         "y = Transpose<perm = [1, 2, 3, 0]>(r)", consts={"n": ints(4)}),
    Case("ReverseSequence-over-channels-stays", "y = ReverseSequence<time_axis = 1, batch_axis = 0>(a, n)", free=0,
         consts={"n": ints(4)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_slice_flips_a_whole_axis():
    given = [axes(X, a1=0), np.array([-1]), np.array([-9]), np.array([1]), np.array([-1])]
    c = couple("Slice", given, [X])
    assert carried(c)[1] == [3, 2, 1, 0]
    assert demands(c) == []
    assert frozen(c) == {}


@pytest.mark.parametrize(
    ("start", "end", "expected", "counted"),
    [
        (1, 3, [1, 2], [(1, 0, [0]), (2, 0, [0, 1, 2])]),
        (0, 2, [0, 1], [(2, 0, [0, 1])]),
        (2, INT_MAX, [2, 3], [(1, 0, [0, 1])]),
        (-3, -1, [1, 2], [(1, 0, [0]), (2, 0, [0, 1, 2])]),
        (-2, 4, [2, 3], [(1, 0, [0, 1]), (2, 0, [0, 1, 2, 3])]),
        (-INT_MAX, INT_MAX, [0, 1, 2, 3], [(1, 0, [])]),
    ],
)
def test_slice_takes_the_slice_of_the_ids(start, end, expected, counted):
    shape = (1, len(expected), 6, 6)
    given = [axes(X, a1=0), np.array([start]), np.array([end]), np.array([1])]
    c = couple("Slice", given, [shape])
    assert carried(c)[1] == expected
    assert demands(c) == counted
    for demand in c.demands:
        written = (start, end)[demand.position - 1]
        assert (demand.rest is not None) == (written < 0)


def test_slice_by_attributes_is_derived():
    given = ("Slice", [axes(X, a1=0)], [(1, 2, 6, 6)])
    attributes = {"axes": (1,), "starts": (-3,), "ends": (-1,), "version": 9}
    assert couple(*given, **attributes).demands == ()
    assert derive([], *given, **attributes) == ({}, {})
    assert derive([0, 2], *given, **attributes) == ({"starts": (0,), "ends": (1,)}, {})


def test_slice_in_steps_ties_blocks_of_as_many_positions():
    given = [axes(X, a1=0), np.array([1]), np.array([3]), np.array([1]), np.array([2])]
    c = couple("Slice", given, [(1, 1, 6, 6)])
    assert ties(c) == [(0, 1), (2, 3)]
    assert carried(c)[1] == [1]
    assert frozen(c) == {}
    assert demands(c) == [(2, 0, [0, 1])]


def test_slice_in_steps_from_the_end_freezes_a_live_axis():
    given = [axes(X, a1=0), np.array([-4]), np.array([4]), np.array([1]), np.array([2])]
    c = couple("Slice", given, [(1, 2, 6, 6)])
    assert frozen(c) == {"slices this axis in steps of 2": [0, 1, 2, 3]}


def test_slice_at_unknown_bounds_freezes_the_cut_axes():
    given = [axes(X, a1=0, a2=60), axes((1,)), axes((1,)), np.array([2])]
    c = couple("Slice", given, [(1, 4, 3, 6)])
    assert frozen(c) == {"slices this axis at bounds computed at run time": list(range(60, 66))}
    assert carried(c)[1] == [0, 1, 2, 3]


def test_slice_of_unknown_axes_freezes_all():
    given = [axes(X, a1=0), np.array([0]), np.array([2]), axes((1,))]
    c = couple("Slice", given, [(1, 2, 6, 6)])
    assert frozen(c) == {"slices axes computed at run time": [0, 1, 2, 3]}
