"""Rules of `rules/sampling.py`: the universal property, and what each rule says."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
)
from rule_calls import axes, carried, couple
from strategies import normal

GRID = np.tanh(normal(1, 4, 5, 2))

X = (1, 4, 6, 6)

CASES = [
    Case("GridSample-16", "y = GridSample(a, g)", 16, consts={"g": GRID}),
    Case("GridSample-20-of-a-computed-grid", "p = AveragePool<kernel_shape = [2, 2]>(x)  c = Conv(p, wt)  t = Tanh(c)  "
         "g = Transpose<perm = [0, 2, 3, 1]>(t)  y = GridSample<mode = \"nearest\", padding_mode = \"border\">(a, g)", 20,
         consts={"wt": normal(2, 3, 1, 1)}),
    Case("spatial-transformer", "n = Shape(a)  g = AffineGrid(t, n)  y = GridSample(a, g)", 20,
         consts={"t": np.float32([[[0.8, 0.2, 0.1], [-0.1, 0.9, 0]]])}),
    Case("spatial-transformer-of-known-size", "g = AffineGrid<align_corners = 1>(t, n)  y = GridSample(a, g)", 20,
         consts={"t": np.float32([[[0.8, 0.2, 0.1], [-0.1, 0.9, 0]]]), "n": ints(1, 8, 6, 6)}),
    Case("RoiAlign-10", "y = RoiAlign<output_height = 3, output_width = 2, sampling_ratio = 2>(a, r, i)", 10,
         consts={"r": np.float32([[0, 0, 4, 4], [1, 1, 5, 3]]), "i": ints(0, 0)}),
    Case("RoiAlign-16-max", "y = RoiAlign<output_height = 2, output_width = 2, mode = \"max\", sampling_ratio = 1>(a, r, i)", 16,
         consts={"r": np.float32([[0, 0, 4, 4]]), "i": ints(0)}),
    Case("MaxRoiPool", "y = MaxRoiPool<pooled_shape = [2, 2]>(a, r)",
         consts={"r": np.float32([[0, 0, 0, 4, 4], [0, 1, 1, 5, 3]])}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_regions_and_coordinates_freeze():
    c = couple("RoiAlign", [axes(X, a1=0), axes((3, 4), a0=20, a1=30), axes((3,))], [(3, 4, 2, 2)])
    assert {f.reason for f in c.frozen} == {"reads coordinates from this axis"}
    assert carried(c) == [None, [0, 1, 2, 3], None, None]
