"""Rules of `rules/scattering.py`: the universal property, and what each rule says."""
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
from rule_calls import axes, carried, couple, derive, frozen, ties
from strategies import normal

WIDTHS = np.random.default_rng(0).integers(-6, 6, (1, 8, 6, 4))

X = (1, 4, 6, 6)

CASES = [
    Case("ScatterElements-over-width", "y = ScatterElements<axis = 3>(a, i, u)", 16,
         consts={"i": np.tile(ints(0, 5, 2, 1), (1, 8, 6, 1)), "u": normal(1, 8, 6, 4)}),
    Case("ScatterElements-18-max-of-fewer-channels", "y = ScatterElements<axis = -1, reduction = \"max\">(a, i, u)", 18,
         consts={"i": WIDTHS[:, :5], "u": normal(1, 5, 6, 4)}),
    Case("ScatterElements-11", "y = ScatterElements<axis = 3>(a, i, b)", 11, consts={"i": np.tile(np.arange(6)[::-1], (1, 8, 6, 1)).copy()}),
    Case("ScatterElements-add", "y = ScatterElements<axis = 3, reduction = \"add\">(a, i, u)", 16,
         consts={"i": WIDTHS, "u": normal(1, 8, 6, 4)}),
    Case("Scatter-9", "y = Scatter<axis = 2>(a, i, u)", 9, consts={"i": np.tile(ints(1), (1, 8, 1, 6)), "u": normal(1, 8, 1, 6)}),
    Case("ScatterElements-by-TopK", "v, i = TopK<axis = 3>(a, k)  y = ScatterElements<axis = 3>(b, i, v)", 13, consts={"k": ints(2)}),
    Case("ScatterElements-over-channels-stays", "y = ScatterElements<axis = 1>(a, i, u)", free=0,
         consts={"i": np.zeros((1, 1, 6, 6), np.int64), "u": normal(1, 1, 6, 6)}),
    Case("ScatterElements-of-the-input-stays", "e = ScatterElements<axis = 3>(x, i, u)  y = Concat<axis = 1>(e, a)", y=(11,),
         consts={"i": np.zeros((1, 3, 6, 1), np.int64), "u": normal(1, 3, 6, 1)}),
    Case("ScatterND-height-and-width", "p = Transpose<perm = [2, 3, 0, 1]>(a)  g = ScatterND(p, i, u)  "
         "y = Transpose<perm = [2, 3, 0, 1]>(g)", consts={"i": ints(0, 1, 5, 3, 2, 2).reshape(3, 2), "u": normal(3, 1, 8)}),
    Case("ScatterND-11", "p = Transpose<perm = [2, 3, 0, 1]>(a)  g = ScatterND(p, i, u)  "
         "y = Transpose<perm = [2, 3, 0, 1]>(g)", 11, consts={"i": ints(0, 1, 5, 3, 2, 2).reshape(3, 2), "u": normal(3, 1, 8)}),
    Case("ScatterND-18-adds-another-branch", "p = Transpose<perm = [2, 3, 0, 1]>(a)  q = Transpose<perm = [2, 3, 0, 1]>(b)  "
         "s = Gather(q, r)  g = ScatterND<reduction = \"add\">(p, i, s)  y = Transpose<perm = [2, 3, 0, 1]>(g)", 18,
         consts={"i": ints(0, 5, 0).reshape(3, 1), "r": ints(1, 2, 3)}),
    Case("ScatterND-into-channels", "y = ScatterND(a, i, u)", consts={"i": ints(0, 1, 0, 3).reshape(2, 2), "u": normal(2, 6, 6)}),
    Case("ScatterND-of-another-branch-into-channels", "p = Transpose<perm = [1, 0, 2, 3]>(a)  q = Transpose<perm = [1, 0, 2, 3]>(b)  "
         "s = Slice(q, s0, s3)  g = ScatterND(p, i, s)  y = Transpose<perm = [1, 0, 2, 3]>(g)",
         consts={"i": ints(6, -7, 0).reshape(3, 1), "s0": ints(0), "s3": ints(3)}),
    Case("ScatterND-into-each-channel-of-a-sample", "y = ScatterND(a, i, b)",
         consts={"i": np.stack(np.meshgrid([0], ints(*range(7, -1, -1)), indexing="ij"), -1)}),
    Case("ScatterND-into-a-place-of-each-channel", "y = ScatterND(a, i, u)",
         consts={"i": np.stack(np.meshgrid([0], ints(2, 5), [3], indexing="ij"), -1), "u": normal(1, 2, 1, 6)}),
    Case("ScatterND-adds-twice-to-a-channel", "p = Transpose<perm = [1, 0, 2, 3]>(a)  g = ScatterND<reduction = \"add\">(p, i, u)  "
         "y = Transpose<perm = [1, 0, 2, 3]>(g)", 18, consts={"i": ints(5, 1, 5).reshape(3, 1), "u": normal(3, 1, 6, 6)}),
    Case("ScatterND-into-channels-at-two-lists-of-places-stays", "y = ScatterND(a, i, u)", free=0,
         consts={"i": np.stack([np.zeros((2, 2), np.int64), ints(0, 1, 1, 2).reshape(2, 2)], -1), "u": normal(2, 2, 6, 6)}),
    Case("ScatterND-of-a-map-into-channels", "m = AveragePool<kernel_shape = [1, 1]>(x)  f = Slice(m, s0, s1, s1)  z = Squeeze(f, s1)  "
         "y = ScatterND(a, i, z)", free=7, consts={"i": ints(0, 3).reshape(1, 2), "s0": ints(0), "s1": ints(1)}),
    Case("TensorScatter", "y = TensorScatter<axis = 2>(a, u, w)", 24, consts={"u": normal(1, 8, 2, 6), "w": ints(3)}),
    Case("TensorScatter-of-another-branch", "s = Slice(b, s0, s2, s3)  y = TensorScatter<axis = 3, mode = \"circular\">(a, s, w)", 24,
         consts={"s0": ints(0), "s2": ints(2), "s3": ints(3), "w": ints(5)}),
    Case("TensorScatter-without-places", "s = Slice(b, s0, s2, s1)  y = TensorScatter(a, s)", 24,
         consts={"s0": ints(0), "s2": ints(2), "s1": ints(2)}),
    Case("TensorScatter-over-channels-stays", "s = Slice(b, s0, s2, s1)  y = TensorScatter<axis = 1>(a, s, w)", 24, free=0,
         consts={"s0": ints(0), "s2": ints(2), "s1": ints(1), "w": ints(3)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_scatter_elements_ties_updates_to_the_leading_positions():
    index = np.zeros((1, 2, 6, 1), np.int64)
    given = ("ScatterElements", [axes(X, a1=0), index, axes((1, 2, 6, 1), a1=20)], [X])
    c = couple(*given, axis=-1)
    assert ties(c) == [(0, 20), (1, 21)]
    assert carried(c)[1] == [0, 1, 2, 3]
    assert np.shape(derive([0, 20], *given, axis=-1)[1][1]) == (1, 1, 6, 1)


def test_scatter_nd_ties_the_axes_behind_its_indices():
    given = [axes((4, 6), a0=0, a1=50), np.array([[1], [3]]), axes((2, 6), a0=20, a1=60)]
    c = couple("ScatterND", given, [(4, 6)])
    assert ties(c) == [(1, 20), (3, 21), *((50 + i, 60 + i) for i in range(6))]
    assert frozen(c) == {}
    assert derive([0, 3, 21], "ScatterND", given, [(4, 6)])[1] == {1: [[0]]}


def test_scatter_nd_at_unknown_places_freezes_the_indexed_axes():
    given = [axes((4, 6), a0=0, a1=50), axes((2, 1)), axes((2, 6), a0=20, a1=60)]
    c = couple("ScatterND", given, [(4, 6)])
    assert ties(c) == [(50 + i, 60 + i) for i in range(6)]
    assert sorted(i for f in c.frozen for i in f.ids) == [0, 1, 2, 3, 20, 21]
