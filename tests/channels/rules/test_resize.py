"""Rules of `rules/resize.py`: the universal property, and what each rule says."""
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
from rule_calls import axes, carried, couple, demands, frozen

X = (1, 4, 6, 6)

CASES = [
    Case("Upsample-7", "y = Upsample<scales = [1.0, 1.0, 2.0, 2.0]>(a)", 7),
    Case("Upsample-9", "y = Upsample(a, s)", 9, consts={"s": np.float32([1, 1, 2, 2])}),
    Case("Resize-10", "y = Resize(a, s)", 10, consts={"s": np.float32([1, 1, 2, 2])}),
    Case("Resize-11-scales", "y = Resize<mode = \"nearest\">(a, r, s)", 11,
         consts={"r": np.float32([]), "s": np.float32([1, 1, 2, 2])}),
    Case("Resize-13-scales", "y = Resize(a, r, s)", 13,
         consts={"r": np.float32([]), "s": np.float32([1, 1, 2, 2])}),
    Case("Resize-11-empty-scales", "y = Resize(a, r, r, z)", 11,
         consts={"r": np.float32([]), "z": ints(1, 8, 9, 9)}),
    Case("Resize-13-sizes", "y = Resize<mode = \"linear\">(a, , , z)", 13,
         consts={"z": ints(1, 8, 9, 9)}),
    Case("Resize-13-computed-sizes",
         "sh = Shape(a)  f = Slice(sh, z0, z2)  z = Concat<axis = 0>(f, hw)  "
         "y = Resize<mode = \"linear\">(a, , , z)", 13,
         consts={"z0": ints(0), "z2": ints(2), "hw": ints(9, 9)}),
    Case("Resize-18-axes", "y = Resize<axes = [2, 3], mode = \"cubic\">(a, , , z)", 18,
         consts={"z": ints(9, 9)}),
    Case("Resize-18-channel-axis-too", "y = Resize<axes = [-2, 1]>(a, , , z)", 18,
         consts={"z": ints(9, 8)}),
    Case("Resize-over-channels-stays", "y = Resize(a, , s)", 13, free=0, y=(16,),
         consts={"s": np.float32([1, 2, 1, 1])}),
    Case("Resize-by-nearly-1-stays", "y = Resize<mode = \"linear\">(a, , s)", 13, free=0, consts={"s": np.float32([1, 1.1, 1, 1])}),
    Case("Resize-keeping-the-aspect-ratio", "y = Resize<axes = [2, 3], keep_aspect_ratio_policy = \"not_larger\">(a, , , z)", 18,
         consts={"z": ints(9, 12)}),
    Case("Resize-keeping-the-aspect-ratio-of-channels-stays",
         "y = Resize<axes = [1, 2], keep_aspect_ratio_policy = \"not_larger\">(a, , , z)", 18, free=0, consts={"z": ints(8, 9)}),
    Case("Resize-18-scales-by-axes", "y = Resize<axes = [3, 2]>(a, , s)", 18, consts={"s": np.float32([2, 1])}),
    Case("Resize-18-scales-channels-by-1", "y = Resize<axes = [-3, -1]>(a, , s)", 18, consts={"s": np.float32([1, 2])}),
    Case("Resize-crops-height", "y = Resize<axes = [2, 3], mode = \"linear\", coordinate_transformation_mode = \"tf_crop_and_resize\">"
         "(a, r, , z)", 18, consts={"r": np.float32([0.2, 0, 0.8, 1]), "z": ints(4, 6)}),
    Case("Resize-crops-channels-stays", "y = Resize<mode = \"linear\", coordinate_transformation_mode = \"tf_crop_and_resize\">"
         "(a, r, , z)", 13, free=0, consts={"r": np.float32([0, 0.1, 0, 0, 1, 0.9, 1, 1]), "z": ints(1, 8, 6, 6)}),
    Case("Resize-by-computed-scales", "n = Shape(x)  f = Cast<to = 1>(n)  h = Slice(f, two, four)  q = Div(big, h)  "
         "s = Concat<axis = 0>(one, q)  y = Resize(a, , s)", 13,
         consts={"two": ints(2), "four": ints(4), "one": np.float32([1, 1]), "big": np.float32([12, 9])}),
    Case("Resize-by-scales-at-run-time-stays", "m = ReduceMax<keepdims = 0>(x)  z = Mul(m, o)  s = Add(z, u)  y = Resize(a, , s)", 13,
         free=0, consts={"o": np.float32(0), "u": np.float32([1, 1, 2, 2])}),
    Case("Resize-of-two-widths-to-one-shape",
         "n = Shape<start = 2>(x)  two = Add(n, n)  s = Concat<axis = 0>(one_eight, two)  "
         "y = Resize(a, , , s)  y1 = Resize(b, , , s)", 18, y=(8, 8),
         consts={"one_eight": ints(1, 8)}),
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


@pytest.mark.parametrize(
    ("inputs", "attributes", "counted"),
    [
        ([None, np.float32([1, 1, 2, 2])], {}, []),
        ([None, None, np.array([1, 4, 12, 12])], {}, [(3, 1, [0, 1, 2, 3])]),
        ([None, np.float32([1, 1, 2, 2]), np.array([], np.int64)], {}, []),
        ([None, None, np.array([12, 4, 12])], {"axes": (2, 1, 3)}, [(3, 1, [0, 1, 2, 3])]),
        ([None, None, np.array([12, 12])], {"axes": (-2, -1)}, []),
    ],
)
def test_resize_demands_the_channels_where_sizes_name_them(inputs, attributes, counted):
    c = couple("Resize", [axes(X, a1=0), *inputs], [(1, 4, 12, 12)], version=18, **attributes)
    assert demands(c) == counted
    assert carried(c)[1] == [0, 1, 2, 3]
    assert frozen(c) == {}


def test_resize_freezes_the_axes_it_changes():
    c = couple("Resize", [axes(X, a1=0), np.float32([1, 2, 1, 1])], [(1, 8, 6, 6)], version=10)
    assert frozen(c) == {"resizes this axis": [0, 1, 2, 3]}
