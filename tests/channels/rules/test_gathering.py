"""Rules of `rules/gathering.py`: the universal property, and what each rule says."""
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

WIDTHS = np.random.default_rng(0).integers(-6, 6, (1, 8, 6, 4))

X = (1, 4, 6, 6)

CASES = [
    Case("Gather-picks", "y = Gather<axis = 1>(a, i)", y=(6,), consts={"i": ints(7, 5, 3, 1, 0, 2)}),
    Case("Gather-negative-and-repeated", "y = Gather<axis = 1>(a, i)", y=(5,),
         consts={"i": ints(-1, 0, 0, -3, 4)}),
    Case("Gather-int32", "y = Gather<axis = -3>(a, i)", y=(4,), consts={"i": np.int32([6, 2, 4, 0])}),
    Case("Gather-one-position", "g = Gather<axis = 1>(a, i)  u = Unsqueeze(g, ax)  y = Mul(a, u)",
         free=7, consts={"i": np.int64(3), "ax": ints(1)}),
    Case("Gather-over-height", "y = Gather<axis = 2>(a, i)", consts={"i": ints(0, 2)}),
    Case("Gather-index-through-Cast", "r = Cast<to = 7>(i)  y = Gather<axis = 1>(a, r)", y=(2,),
         consts={"i": np.float32([0, 2])}),
    Case("Gather-computed-index-stays", "m = ReduceMean(a)  z = Mul(m, o)  c = Cast<to = 7>(z)  "
         "r = Unsqueeze(c, u)  q = Reshape(r, n)  y = Gather<axis = 1>(a, q)", free=0, y=(1,),
         consts={"o": np.float32(0), "u": ints(0), "n": ints(-1)}),
    Case("Gather-shuffle", "y = Gather<axis = 1>(a, i)", consts={"i": ints(0, 4, 1, 5, 2, 6, 3, 7)}),
    Case("Gather-square-of-indices", "g = Gather<axis = 1>(a, i)  y = Reshape(g, z)",
         consts={"i": np.arange(8).reshape(2, 4), "z": ints(1, 8, 6, 6)}),
    Case("Gather-cube-of-indices", "g = Gather<axis = 1>(a, i)  y = Reshape(g, z)",
         consts={"i": np.int32(np.arange(8).reshape(1, 4, 2)), "z": ints(1, -1, 6, 6)}),
    Case("Gather-other-square-stays", "g = Gather<axis = 1>(a, i)  y = Reshape(g, z)", free=0,
         consts={"i": np.arange(8)[::-1].reshape(2, 4), "z": ints(1, 8, 6, 6)}),
    Case("Gather-index-by-Concat", "j = Concat<axis = 0>(i, i)  y = Gather<axis = 1>(a, j)", y=(4,), consts={"i": ints(5, -3)}),
    Case("GatherElements-over-width", "y = GatherElements<axis = 3>(a, i)", consts={"i": WIDTHS}),
    Case("GatherElements-of-fewer-channels", "y = GatherElements<axis = -2>(a, i)", y=(5,),
         consts={"i": WIDTHS[:, :5].swapaxes(2, 3).copy()}),
    Case("GatherElements-int32", "y = GatherElements<axis = 3>(a, i)", consts={"i": np.int32(WIDTHS)}),
    Case("GatherElements-11", "y = GatherElements<axis = 3>(a, i)", 11, consts={"i": WIDTHS}),
    Case("GatherElements-by-TopK", "v, i = TopK<axis = 3>(a, k)  y = GatherElements<axis = 3>(b, i)", consts={"k": ints(2)}),
    Case("GatherElements-over-channels-stays", "y = GatherElements<axis = 1>(a, i)", free=0, y=(5,),
         consts={"i": np.random.default_rng(0).integers(0, 8, (1, 5, 6, 6))}),
    Case("GatherND-height-and-width", "p = Transpose<perm = [2, 3, 0, 1]>(a)  g = GatherND(p, i)  "
         "y = Transpose<perm = [2, 3, 0, 1]>(g)", consts={"i": np.random.default_rng(0).integers(0, 6, (3, 4, 2))}),
    Case("GatherND-lists-channels", "p = Transpose<perm = [1, 0, 2, 3]>(a)  g = GatherND(p, i)  "
         "y = Transpose<perm = [1, 0, 2, 3]>(g)", y=(6,), consts={"i": ints(7, -3, 3, 1, 0, 0).reshape(6, 1)}),
    Case("GatherND-batch", "y = GatherND<batch_dims = 1>(a, i)", 13, free=0, y=(3,), consts={"i": ints(1, 5, 3).reshape(1, 3, 1)}),
    Case("GatherND-behind-the-batch", "p = Transpose<perm = [0, 2, 1, 3]>(a)  g = GatherND<batch_dims = 1>(p, i)  "
         "y = Transpose<perm = [0, 2, 1, 3]>(g)", 12, consts={"i": ints(1, 5, 3).reshape(1, 3, 1)}),
    Case("GatherND-11", "p = Transpose<perm = [2, 3, 0, 1]>(a)  g = GatherND(p, i)  "
         "y = Transpose<perm = [2, 3, 0, 1]>(g)", 11, consts={"i": np.random.default_rng(0).integers(0, 6, (3, 4, 2))}),
    Case("GatherND-of-channels-and-height-stays", "p = Transpose<perm = [1, 2, 0, 3]>(a)  g = GatherND(p, i)  "
         "y = Transpose<perm = [1, 0, 2, 3]>(g3)  ".replace("g3", "gu").replace("y =", "gu = Unsqueeze(g, ax)  y ="), free=0, y=(5,),
         consts={"i": np.random.default_rng(0).integers(0, 6, (5, 2)), "ax": ints(1)}),
    Case("Compress-picks", "y = Compress<axis = 1>(a, c)", y=(5,),
         consts={"c": np.array([True, False, True, True, False, False, True, True])}),
    Case("Compress-short", "y = Compress<axis = -3>(a, c)", 9, free=8, y=(2,), consts={"c": np.array([True, False, True])}),
    Case("Compress-over-height", "y = Compress<axis = 2>(a, c)", consts={"c": np.array([True, False, True])}),
    Case("Compress-all-stays", "c = Compress(a, k)  m = ReduceSum(c)  y = Mul(a, m)", free=0, consts={"k": np.array([True] * 20)}),
    Case("Compress-at-run-time-stays", "r = ReduceMax<keepdims = 0>(x)  q = Less(t, r)  y = Compress<axis = 1>(a, q)",
         free=0, y=(5,), consts={"t": np.float32([-9, 99, -9, -9, 99, 99, -9, -9])}),
    Case("Gather-of-groups-by-a-square-of-indices", "g = Gather<axis = 1>(a, i)  f = Reshape(g, z)  "
         "n = InstanceNormalization(f, u, v)  y = Reshape(n, k)",
         consts={"i": np.arange(8).reshape(2, 4), "z": ints(1, 2, -1), "u": np.ones(2, np.float32),
                 "v": np.zeros(2, np.float32), "k": ints(1, 8, 6, 6)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_gather_by_a_square_of_indices_divides_the_axis():
    given = ("Gather", [axes(X, a1=0), np.arange(4).reshape(2, 2)], [(1, 2, 2, 6, 6)])
    c = couple(*given, axis=1)
    assert carried(c)[1:3] == [[0, 2], None]
    assert ties(c) == [(0, 1), (2, 3)]
    assert "factor 0 (2) carries the units" in c.choice
    assert derive([0, 1], *given, axis=1) == ({}, {1: [[0, 1]]})
    assert derive([], *given, axis=1) == ({}, {})


def test_gather_by_another_square_freezes():
    c = couple("Gather", [axes(X, a1=0), np.array([[0, 2], [1, 3]])], [(1, 2, 2, 6, 6)], axis=1)
    assert frozen(c) == {"picks positions by indices computed at run time": [0, 1, 2, 3]}


def test_gather_elements_reads_the_leading_positions_of_a_longer_axis():
    index = np.zeros((1, 2, 6, 3), np.int64)
    given = ("GatherElements", [axes(X, a1=0, a3=60), index], [(1, 2, 6, 3)])
    c = couple(*given, axis=3)
    assert carried(c) == [None, [0, 1], None, None]
    assert frozen(c) == {"picks single elements along this axis": list(range(60, 66))}
    assert derive([3], *given, axis=3) == ({}, {})
    assert np.shape(derive([1, 3], *given, axis=3)[1][1]) == (1, 1, 6, 3)


def test_gather_elements_ties_computed_indices():
    c = couple("GatherElements", [axes(X, a1=0), axes(X, a1=10, a3=60)], [X], axis=3)
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13)]
    assert frozen(c) == {"takes indices from this axis": list(range(60, 66))}


def test_gather_nd_follows_a_list_of_positions():
    given = ("GatherND", [axes((4, 6), a0=0, a1=50), np.array([[-1], [0], [2]])], [(3, 6)])
    c = couple(*given)
    assert carried(c) == [[3, 0, 2], list(range(50, 56))]
    assert derive([0], *given) == ({}, {1: [[2], [1]]})


def test_gather_nd_freezes_what_it_indexes_otherwise():
    pairs = couple("GatherND", [axes((4, 6), a0=0), np.array([[0, 1], [2, 2]])], [(2,)])
    assert frozen(pairs) == {"picks single elements along this axis": [0, 1, 2, 3]}
    computed = couple("GatherND", [axes((4, 6), a0=0), axes((3, 1))], [(3, 6)])
    assert frozen(computed) == {"picks single elements along this axis": [0, 1, 2, 3]}
    batch = couple(
        "GatherND", [axes((4, 6), a0=0), np.zeros((4, 1), np.int64)], [(4,)], batch_dims=1
    )
    assert ties(batch) == [(-1, 0), (-1, 1), (-1, 2), (-1, 3)]


def test_compress_takes_its_condition_of_what_is_left():
    condition = np.array([True, False, True])
    given = ("Compress", [axes(X, a1=0), condition], [(1, 2, 6, 6)])
    assert carried(couple(*given, axis=1))[1] == [0, 2]
    assert derive([0, 3], *given, axis=1) == ({}, {1: [False, True]})
    assert derive([], *given, axis=1) == ({}, {})


def test_gather_picks_and_renumbers():
    given = ("Gather", [axes(X, a1=0), np.array([-1, 0, 0])], [(1, 3, 6, 6)])
    assert carried(couple(*given, axis=1))[1] == [3, 0, 0]
    assert derive([], *given, axis=1) == ({}, {})
    assert derive([1], *given, axis=1) == ({}, {1: [2, 0, 0]})
    assert derive([0], *given, axis=1) == ({}, {1: [2]})


def test_gather_of_one_position_freezes_it_and_follows_it():
    given = ("Gather", [axes(X, a1=0), np.int64(-2)], [(1, 6, 6)])
    assert frozen(couple(*given, axis=1)) == {"picks this one position of the axis": [2]}
    assert derive([0], *given, axis=1) == ({}, {1: 1})


def test_gather_at_unknown_places_freezes():
    c = couple("Gather", [axes((50, 8), a0=0, a1=100), axes((1, 5))], [(1, 5, 8)], weights=(0,))
    assert frozen(c) == {"picks positions by indices computed at run time": list(range(50))}
    assert carried(c) == [None, None, list(range(100, 108))]
