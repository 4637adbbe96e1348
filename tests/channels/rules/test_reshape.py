"""Rules of `rules/reshape.py`: the universal property, and what each rule says."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from operator_cases import (
    Case,
    assert_costs_follow,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
    network,
)
from rule_calls import axes, call, carried, couple, demands, derive, frozen, ties
from strategies import analyse, normal

from wrg_onnx.channels.axes import Operand
from wrg_onnx.channels.table import find_rule

DECOMPOSED = ("f = Reshape(a, z)  n = InstanceNormalization(f, u, v)  r = Reshape(n, k)  "
              "m = Mul(r, s)  y = Add(m, t)")  # fmt: skip

TORCH = {"u": np.ones(2, np.float32), "v": np.zeros(2, np.float32),
         "s": normal(8, 1, 1), "t": normal(8, 1, 1, seed=1)}  # fmt: skip

ATTENTION = ("kt = Transpose<perm = [0, 1, 3, 2]>(k)  l = MatMul(kt, q)  p = Softmax<axis = 2>(l)  "
             "o = MatMul(v, p)  y = Reshape(o, t)")  # fmt: skip

DIVIDED_TWICE = ("attention-loses", "attention-of", "attention-among", "decomposed-GroupNorm")

EXPAND = (
    "m = ConstantOfShape<value = int64[1] {1}>(rank)  k = Mul(m, minus)  e = Equal(s, k)  "
    "t = Where(e, m, s)"
)

POOL = "p = GlobalAveragePool(a)"

SIZES = {"one": ints(1), "minus": np.int64(-1), "rank": ints(4), "keep": ints(-1), "six": ints(6)}

SHAPE = "n = Shape(a)  c = Gather(n, one)"

X = (1, 4, 6, 6)


def reshape(x, target, shape, **attributes):
    return couple("Reshape", [x, np.array(target)], [shape], **attributes)


CASES = [












    Case("Transpose", "t = Transpose<perm = [0, 2, 3, 1]>(a)  r = Relu(t)  "
         "y = Transpose<perm = [0, 3, 1, 2]>(r)"),
    Case("Transpose-default", "t = Transpose(a)  y = Transpose(t)"),
    Case("Squeeze-Unsqueeze-11", "s = Squeeze<axes = [0]>(a)  y = Unsqueeze<axes = [0]>(s)", 11),
    Case("Squeeze-Unsqueeze-13", "s = Squeeze(a, ax)  y = Unsqueeze(s, ax)", 13, consts={"ax": ints(0)}),
    Case("Squeeze-without-axes", "p = GlobalAveragePool(a)  s = Squeeze(p)  y = Unsqueeze(s, ax)", 13,
         consts={"ax": ints(0, 2, 3)}),
    Case("Squeeze-without-axes-7", "p = GlobalAveragePool(a)  s = Squeeze(p)  "
         "y = Unsqueeze<axes = [0, 2, 3]>(s)", 7),
    Case("Expand", "p = GlobalAveragePool(a)  y = Expand(p, s)", consts={"s": ints(1, 8, 6, 6)}),
    Case("Expand-with-ones", "p = GlobalAveragePool(a)  y = Expand(p, s)", consts={"s": ints(1, 1, 6, 6)}),
    Case("Expand-short", "p = GlobalAveragePool(a)  y = Expand(p, s)", consts={"s": ints(8, 6, 6)}),
    Case("Expand-computed", "p = GlobalAveragePool(a)  s = Shape(a)  y = Expand(p, s)"),
    Case("Tile-channels", "y = Tile(a, s)", y=(16,), consts={"s": ints(1, 2, 1, 1)}),
    Case("Tile-height", "y = Tile(a, s)", consts={"s": ints(1, 1, 2, 1)}),
    Case("DepthToSpace", "y = DepthToSpace<blocksize = 2>(a)", y=(2,)),
    Case("DepthToSpace-CRD", "y = DepthToSpace<blocksize = 2, mode = \"CRD\">(a)", y=(2,)),
    Case("SpaceToDepth", "y = SpaceToDepth<blocksize = 2>(a)", y=(32,)),


    Case("runtime-sizes-stay", "n = Shape(a)  m = CumSum(n, k)  d = Sub(m, m)  q = Add(n, d)  "
         "y = Resize(a, , , q)", free=0, consts={"k": np.int64(0)}),
    Case("Expand-to-the-width-of-a-feature", "n = Shape(a)  e = Expand(k, n)  y = Concat<axis = 1>(a, e)",
         y=(16,), consts={"k": np.float32(0.5)}),
    Case("Expand-of-an-axis-to-the-width-of-a-feature", "n = Shape(a)  e = Expand(k, n)  y = Mul(a, e)",
         consts={"k": normal(1, 1, 6, 6)}),
    Case("Expand-to-a-written-width", "e = Expand(k, n)  y = Concat<axis = 1>(a, e)",
         y=(13,), consts={"k": np.zeros((1, 1, 1, 1), np.float32), "n": ints(1, 5, 6, 6)}),
    Case("Expand-of-a-feature-to-a-width", "p = ReduceMean<axes = [1]>(b)  n = Shape(a)  e = Expand(p, n)  y = Mul(a, e)"),
    Case("Expand-of-a-feature-to-a-written-width", "p = ReduceMean<axes = [1]>(b)  e = Expand(p, n)  y = Mul(a, e)",
         consts={"n": ints(1, 8, 6, 6)}),
    Case("Expand-of-a-feature-to-a-new-axis", "p = ReduceMean<axes = [0, 1], keepdims = 0>(b)  e = Expand(p, n)  y = Mul(a, e)",
         consts={"n": ints(1, 8, 6, 6)}),
    Case("runtime-target-of-Expand-stays", "n = Shape(x)  m = CumSum(n, k)  d = Sub(m, m)  "
         "q = Add(d, o)  p = GlobalAveragePool(a)  y = Expand(p, q)", free=0,
         consts={"k": np.int64(0), "o": ints(1, 8, 6, 6)}),
    Case("Reshape-flat", "f = Reshape(a, s)  r = Relu(f)  y = Reshape(r, t)",
         consts={"s": ints(1, 8, 36), "t": ints(1, 8, 6, 6)}),
    Case("Reshape-copies-and-infers", "f = Reshape(a, s)  y = Reshape(f, t)",
         consts={"s": ints(0, 0, -1), "t": ints(0, -1, 6, 6)}),
    Case("Reshape-zero-copies-a-live-axis", "f = Reshape(a, s)  y = Reshape(f, t)",
         consts={"s": ints(2, 0, 18), "t": ints(1, 8, 6, 6)}),
    Case("Reshape-allowzero", "f = Reshape<allowzero = 1>(a, s)  y = Reshape(f, t)",
         consts={"s": ints(1, 8, -1), "t": ints(0, 0, 6, 6)}),
    Case("Reshape-from-Shape", "n = Shape(a)  f = Reshape(a, s)  r = Relu(f)  y = Reshape(r, n)",
         consts={"s": ints(1, 8, -1)}),
    Case("Reshape-shared-constant", "f = Reshape(a, s)  g = Reshape(h, s)  u = Reshape(f, t)  "
         "w = Reshape(g, t)  y = Concat<axis = 1>(u, w)", y=(16,),
         consts={"s": ints(1, 8, 36), "t": ints(1, 8, 6, 6), "wh": normal(8, 3, 1, 1)}),
    Case("Reshape-shared-with-an-inert-one", "f = Reshape(a, s)  g = Reshape(k, s)  u = Reshape(f, t)  "
         "m = ReduceSum(g)  y = Mul(u, m)", consts={"s": ints(1, 8, 36), "t": ints(1, 8, 6, 6), "k": normal(1, 288)}),
    Case("Reshape-channel-shuffle", "f = Reshape(a, s)  p = Transpose<perm = [0, 2, 1, 3, 4]>(f)  "
         "y = Reshape(p, t)", consts={"s": ints(1, 2, 4, 6, 6), "t": ints(1, 8, 6, 6)}),
    Case("Reshape-channel-shuffle-inferred", "f = Reshape(a, s)  p = Transpose<perm = [0, 2, 1, 3, 4]>(f)  "
         "y = Reshape(p, t)", consts={"s": ints(0, 2, -1, 6, 6), "t": ints(0, -1, 6, 6)}),
    Case("Reshape-into-one-position-each", "f = Reshape(a, s)  y = Reshape(f, t)",
         consts={"s": ints(1, 4, 2, 36), "t": ints(1, 8, 6, 6)}),
    Case("Reshape-weights-by-zero-of-a-moved-axis", "f = Reshape(a, s)  r = Relu(f)  y = Reshape(r, t)",
         consts={"s": ints(8, 1, 6, 6), "t": ints(1, 8, 6, 6)}),
    Case("Flatten", "f = Flatten(a)  h = Gemm<transB = 1>(f, w, c)  y = Reshape(h, t)", y=(4,),
         consts={"w": normal(4, 288), "c": normal(4), "t": ints(1, 4, 1, 1)}),
    Case("Flatten-axis-2", "f = Flatten<axis = 2>(a)  y = Reshape(f, t)", consts={"t": ints(1, 8, 6, 6)}),
    Case("Flatten-axis-0", "f = Flatten<axis = 0>(a)  y = Reshape(f, t)", consts={"t": ints(1, 8, 6, 6)}),
    Case("Flatten-negative-axis", "p = GlobalAveragePool(a)  f = Flatten<axis = -3>(p)  "
         "h = MatMul(f, w)  y = Reshape(h, t)", y=(4,), consts={"w": normal(8, 4), "t": ints(1, 4, 1, 1)}),
    Case("attention-weights-leave-values-free", "f = Reshape(a, s)  q = Reshape(h, s)  "
         "qt = Transpose<perm = [0, 2, 1]>(q)  k = MatMul(qt, q)  p = Softmax<axis = -1>(k)  "
         "o = MatMul(f, p)  y = Reshape(o, t)",
         consts={"s": ints(1, 8, 36), "t": ints(1, 8, 6, 6), "wh": normal(8, 3, 1, 1)}),
    Case("dynamic-batch-Reshape", "n = Shape(a)  i = Gather(n, z)  s = Concat<axis = 0>(i, e, m)  "
         "f = Reshape(a, s)  r = Relu(f)  y = Reshape(r, t)", batch="N",
         consts={"z": ints(0), "e": ints(8), "m": ints(-1), "t": ints(-1, 8, 6, 6)}),
    Case("dynamic-batch-shuffle", "n = Shape(a)  i = Gather(n, z)  c = Gather(n, o)  h = Div(c, two)  "
         "s = Concat<axis = 0>(i, two, h, six, six)  f = Reshape(a, s)  "
         "p = Transpose<perm = [0, 2, 1, 3, 4]>(f)  u = Concat<axis = 0>(i, m, six, six)  y = Reshape(p, u)",
         batch="N", consts={"z": ints(0), "o": ints(1), "two": ints(2), "six": ints(6), "m": ints(-1)}),
    Case("dynamic-batch-shape-shared-with-an-inert-Reshape",
         "n = Shape(a)  i = Gather(n, z)  s = Concat<axis = 0>(i, e, m)  f = Reshape(a, s)  "
         "g = Reshape(x2, s)  u = ReduceMean<axes = [1, 2]>(g)  f4 = Reshape(f, t)  v = Reshape(u, t1)  "
         "y = Mul(f4, v)", batch="N",
         consts={"z": ints(0), "e": ints(8), "m": ints(-1), "t": ints(-1, 8, 6, 6), "t1": ints(-1, 1, 1, 1),
                 "sp": ints(1, 8, 1, 1)}),
    Case("dynamic-batch-size-used-twice-in-arithmetic",
         "n = Shape(a)  i = Gather(n, z)  e2 = Identity(e)  s = Concat<axis = 0>(i, e2, m)  f = Reshape(a, s)  "
         "f4 = Reshape(f, t)  q = Cast<to = 1>(e2)  y = Mul(f4, q)", batch="N", free=0,
         consts={"z": ints(0), "e": ints(8), "m": ints(-1), "t": ints(-1, 8, 6, 6)}),
    Case("SpaceToDepth-CRD", "y = SpaceToDepth<blocksize = 2, mode = \"CRD\">(a)", 28, y=(32,)),
    Case("SpaceToDepth-DCR", "y = SpaceToDepth<blocksize = 2, mode = \"DCR\">(a)", 28, y=(32,)),
    Case("decomposed-GroupNorm", DECOMPOSED, consts={**TORCH, "z": ints(0, 2, -1), "k": ints(1, 8, 6, 6)}),
    Case("decomposed-GroupNorm-shape-read-back", f"k = Shape(a)  {DECOMPOSED}", consts={**TORCH, "z": ints(0, 2, -1)}),
    Case("decomposed-GroupNorm-dynamic-batch", f"k = Shape(a)  {DECOMPOSED}", batch="N",
         consts={**TORCH, "z": ints(0, 2, -1)}),
    Case("decomposed-GroupNorm-by-means", "f = Reshape(a, z)  m = ReduceMean<axes = [2]>(f)  d = Sub(f, m)  "
         "q = Mul(d, d)  p = ReduceMean<axes = [2]>(q)  e = Add(p, o)  w = Sqrt(e)  n = Div(d, w)  y = Reshape(n, k)",
         consts={"z": ints(1, 4, 72), "k": ints(1, 8, 6, 6), "o": np.float32(1e-5)}),
    Case("attention-loses-heads", "q = Reshape(a, s)  k = Reshape(b, s)  v = Reshape(h, s)  " + ATTENTION,
         consts={"s": ints(1, 2, 4, 36), "t": ints(1, 8, 6, 6), "wh": normal(8, 3, 1, 1)}),
    Case("attention-of-one-projection-loses-heads", "c = Concat<axis = 1>(a, b, h)  f = Reshape(c, s)  "
         "q, k, v = Split<axis = 1>(f, n)  kt = Transpose<perm = [0, 1, 2, 4, 3]>(k)  l = MatMul(kt, q)  "
         "p = Softmax<axis = 3>(l)  o = MatMul(v, p)  y = Reshape(o, t)",
         consts={"s": ints(1, 3, 2, 4, 36), "n": ints(1, 1, 1), "t": ints(1, 8, 6, 6), "wh": normal(8, 3, 1, 1)}),
    Case("attention-among-channels-keeps-what-it-can", "q = Reshape(a, s)  k = Reshape(b, s)  v = Reshape(h, s)  "
         "kt = Transpose<perm = [0, 1, 3, 2]>(k)  l = MatMul(q, kt)  p = Softmax(l)  o = MatMul(p, v)  y = Reshape(o, t)",
         consts={"s": ints(1, 2, 4, 36), "t": ints(1, 8, 6, 6), "wh": normal(8, 3, 1, 1)}),
    Case("Expand-of-a-kept-axis", f"{POOL}  {EXPAND}  y = Expand(p, t)",
         consts={**SIZES, "s": ints(-1, -1, 6, 6)}),
    Case("Expand-to-a-written-axis", f"{POOL}  {EXPAND}  y = Expand(p, t)",
         consts={**SIZES, "s": ints(-1, 8, 6, 6)}),
    Case("Expand-to-a-computed-axis",
         f"{POOL}  {SHAPE}  s = Concat<axis = 0>(keep, c, six, six)  {EXPAND}  y = Expand(p, t)",
         consts=SIZES),
    Case("Expand-at-an-open-batch",
         f"{POOL}  {SHAPE}  b0 = Gather(n, zero)  s = Concat<axis = 0>(b0, c, six, six)  {EXPAND}  "
         "y = Expand(p, t)", batch="N", consts={**SIZES, "zero": ints(0)}),
    Case("Expand-where-the-length-decides",
         f"{POOL}  {SHAPE}  e = Equal(c, eight)  t = Where(e, four, five)  f = Cast<to = 1>(t)  "
         "y = Mul(a, f)", free=0,
         consts={**SIZES, "eight": ints(8), "four": ints(4), "five": ints(5)}),
    Case("Expand-of-keys-for-several-queries",
         f"n = Shape(a)  c = Gather(n, one)  u = Unsqueeze(a, axis)  "
         f"s = Concat<axis = 0>(keep, c, three, six, six)  {EXPAND}  w = Expand(u, t)  "
         "d = Mul(c, three)  v = Concat<axis = 0>(keep, d, six, six)  y = Reshape(w, v)", y=(24,),
         consts={**SIZES, "rank": ints(5), "three": ints(3), "axis": ints(2)}),
    Case("Reshape-of-two-widths-to-one-shape",
         "n = Shape(x)  b0 = Gather(n, zero)  s = Concat<axis = 0>(b0, flat)  c = Reshape(a, s)  "
         "d = Reshape(b, s)  t = Concat<axis = 0>(b0, wide)  y = Reshape(c, t)  y1 = Reshape(d, t)",
         batch="N", y=(8, 8), consts={"zero": ints(0), "flat": ints(8, 36), "wide": ints(8, 6, 6)}),
    Case("Reshape-of-two-widths-and-of-one-that-stays",
         "n = Shape(x)  b0 = Gather(n, zero)  s = Concat<axis = 0>(b0, flat)  c = Reshape(a, s)  "
         "d = Reshape(b, s)  f = Softmax<axis = 1>(d)  t = Concat<axis = 0>(b0, wide)  "
         "y = Reshape(c, t)  y1 = Reshape(f, t)",
         batch="N", y=(8, 8), consts={"zero": ints(0), "flat": ints(8, 36), "wide": ints(8, 6, 6)}),
    Case("Reshape-to-a-shape-that-is-passed-on-stays",
         "n = Shape(x)  b0 = Gather(n, zero)  s = Concat<axis = 0>(b0, flat)  c = Reshape(a, s)  "
         "d = Reshape(b, s)  i = Cast<to = 7>(s)  e = Reshape(b, i)  t = Concat<axis = 0>(b0, wide)  "
         "y = Reshape(c, t)  g = Add(d, e)  y1 = Reshape(g, t)", free=0,
         batch="N", y=(8, 8), consts={"zero": ints(0), "flat": ints(8, 36), "wide": ints(8, 6, 6)}),
    Case("Reshape-by-a-batch-that-merged-heads-tell-stays",
         "m = Reshape(a, merged)  n = Shape(m)  k = Gather(n, zero)  d = Div(k, eight)  "
         "s = Concat<axis = 0>(d, wide)  y = Reshape(m, s)", free=0, batch="N",
         consts={"zero": ints(0), "eight": ints(8), "merged": ints(-1, 6, 6), "wide": ints(8, 6, 6)}),
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


@each_case([case for case in CASES if case.name.startswith(DIVIDED_TWICE)])
def test_second_way_to_divide_an_axis_leaves_whole_groups_to_remove(case):
    units = analyse(network(case)).units
    divided = {node.choice for node in units.nodes.values()} - {""}
    groups = 4 if case.name == "decomposed-GroupNorm-by-means" else 2
    assert [f"({groups}) carries the units" in choice for choice in divided] == [True]
    held = np.unique(units.group[units.of(units.axes["wa"].at(0))])
    assert (np.isin(units.group, held)).sum() == groups


def test_transpose_permutes():
    c = couple("Transpose", [axes(X, a1=0, a3=60)], [(6, 6, 4, 1)])
    assert carried(c) == [list(range(60, 66)), None, [0, 1, 2, 3], None]
    assert carried(couple("Transpose", [axes(X, a1=0)], [(1, 6, 6, 4)], perm=(0, 2, 3, 1)))[3]


@pytest.mark.parametrize(
    ("version", "inputs", "attributes", "shape"),
    [
        (11, [], {"axes": (0, 3)}, (4, 6)),
        (13, [np.array([-1, 0])], {}, (4, 6)),
        (13, [], {}, (4, 6)),
    ],
)
def test_squeeze_drops_axes(version, inputs, attributes, shape):
    given = [axes((1, 4, 6, 1), a1=0), *inputs]
    c = couple("Squeeze", given, [shape], version=version, **attributes)
    assert carried(c) == [[0, 1, 2, 3], None]


@pytest.mark.parametrize(
    ("version", "expected"), [(11, ({"axes": (0,)}, {})), (13, ({}, {1: [0]}))]
)
def test_squeeze_names_its_axes_before_one_channel_is_left(version, expected):
    given = ("Squeeze", [axes((1, 4, 6), a1=0)], [(4, 6)])
    assert derive([0, 1], *given, version=version) == ({}, {})
    assert derive([0, 1, 2], *given, version=version) == expected


def test_squeeze_freezes_a_live_position_that_it_drops():
    c = couple("Squeeze", [axes((1, 1, 6), a1=[9]), np.array([1])], [(1, 6)])
    assert frozen(c) == {"leaves this axis of one position out": [9]}


def test_unsqueeze_inserts_axes():
    c = couple("Unsqueeze", [axes((4, 6), a0=0), np.array([0, -1])], [(1, 4, 6, 1)])
    assert carried(c) == [None, [0, 1, 2, 3], None, None]


def test_unsqueeze_at_unknown_axes_freezes():
    c = couple("Unsqueeze", [axes((4, 6), a0=0), axes((2,))], [(1, 4, 6, 1)])
    assert frozen(c) == {"inserts axes at places computed at run time": [0, 1, 2, 3]}


def test_expand_demands_the_sizes_of_live_axes():
    p = axes((1, 4, 1, 1), a1=0)
    long = couple("Expand", [p, np.array([1, 4, 6, 6])], [X])
    assert demands(long) == [(1, 1, [0, 1, 2, 3])]
    short = couple("Expand", [axes((4, 1, 1), a0=0), np.array([1, 4, 6, 6])], [X])
    assert demands(short) == [(1, 1, [0, 1, 2, 3])]
    ones = couple("Expand", [p, np.array([1, 1, 6, 6])], [X])
    assert demands(ones) == []
    unknown = couple("Expand", [p, axes((4,))], [X])
    assert demands(unknown) == [(1, 1, [0, 1, 2, 3])]


def test_tile_repeats_the_ids():
    c = couple("Tile", [axes(X, a1=0), np.array([1, 2, 1, 1])], [(1, 8, 6, 6)])
    assert carried(c)[1] == [0, 1, 2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize(("mode", "pairs"), [("DCR", [(0, 2), (0, 4), (0, 6)]), ("CRD", [(0, 1)])])
def test_depth_to_space_ties_what_makes_one_channel(mode, pairs):
    c = couple("DepthToSpace", [axes((1, 8, 2, 2), a1=0)], [(1, 2, 4, 4)], blocksize=2, mode=mode)
    assert set(pairs) <= set(ties(c))
    assert carried(c)[1] == ([0, 1] if mode == "DCR" else [0, 4])


def test_space_to_depth_repeats_the_channels():
    c = couple("SpaceToDepth", [axes(X, a1=0)], [(1, 16, 3, 3)], blocksize=2)
    assert carried(c)[1] == [0, 1, 2, 3] * 4


def test_reshape_carries_ids_to_where_they_vary():
    c = reshape(axes(X, a1=0), [1, 4, 36], (1, 4, 36))
    assert carried(c) == [None, [0, 1, 2, 3], None]
    assert demands(c) == [(1, 1, [0, 1, 2, 3])]


def test_reshape_leaves_minus_one_and_zero_alone():
    assert demands(reshape(axes(X, a1=0), [1, -1, 36], (1, 4, 36))) == []
    assert demands(reshape(axes(X, a1=0), [0, 0, -1], (1, 4, 36))) == []


def test_zero_that_copies_an_axis_with_other_ids_is_demanded():
    c = reshape(axes((1, 4, 6), a1=0), [2, 0, 3], (2, 4, 3))
    assert carried(c) == [[0, 2], None, None]
    assert demands(c) == [(1, 0, [0, 2]), (1, 1, [-1, -1, -1, -1])]
    assert c.demands[1].rest.tolist() == [0, 1, 2, 3]


def test_reshape_repeats_ids_of_a_flattened_channel():
    c = reshape(axes((1, 2, 3), a1=0), [1, 6], (1, 6))
    assert carried(c)[1] == [0, 0, 0, 1, 1, 1]


def test_reshape_that_divides_an_axis_ties_and_says_so():
    c = reshape(axes((1, 4), a1=0), [2, 2], (2, 2))
    assert len(ties(c)) == 2
    assert "of 2 x 2, factor 0 (2) carries the units" in c.choice


def test_reshape_of_two_live_axes_freezes_one():
    c = reshape(axes((4, 3), a0=0, a1=10), [12], (12,))
    assert frozen(c) == {"merges this axis with another that carries channels": [10, 11, 12]}


def test_reshape_to_unknown_sizes_freezes():
    c = couple("Reshape", [axes(X, a1=0), axes((2,))], [(4, 36)])
    assert frozen(c) == {"reshapes to sizes computed at run time": [0, 1, 2, 3]}


@pytest.mark.parametrize(
    ("axis", "shape", "expected"),
    [
        (1, (1, 12), [None, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]]),
        (2, (4, 3), [[0, 1, 2, 3], None]),
        (0, (1, 12), [None, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]]),
        (-1, (4, 3), [[0, 1, 2, 3], None]),
    ],
)
def test_flatten_carries_channels(axis, shape, expected):
    assert carried(couple("Flatten", [axes((1, 4, 3), a1=0)], [shape], axis=axis)) == expected


def expand(x, target, **others):
    given = Operand("x", axes(x), elsewhere=others.get("elsewhere", x))
    made = call("Expand", [given, np.array(target)], [target])
    numbers = iter(range(100, 200))
    new_ids = lambda count: np.array([next(numbers) for _ in range(count)])  # noqa: E731
    return find_rule(made.node)(replace(made, new_ids=new_ids))


def test_expand_of_a_mask_makes_an_axis_that_heads_may_leave():
    c = expand((1, 1, 1, 5), (1, 3, 1, 5))
    assert carried(c) == [None, [100, 101, 102], None, None]
    assert demands(c) == [(1, 1, [100, 101, 102])]


def test_expand_keeps_an_axis_that_may_be_wide_before_at_other_sizes():
    c = expand((1, 1, 1, 5), (1, 3, 1, 5), elsewhere=(2, 3, 1, 5))
    assert carried(c) == [None, None, None, None]
    assert carried(expand((1, 1, 1, 5), (1, 3, 1, 5), elsewhere=None)) == [None] * 4


def test_expand_beside_channels_leaves_the_units_to_them():
    given = Operand("x", axes((1, 2, 1, 5), a1=0), elsewhere=(1, 2, 1, 5))
    made = call("Expand", [given, np.array((1, 2, 4, 5))], [(1, 2, 4, 5)])
    c = find_rule(made.node)(replace(made, new_ids=lambda count: np.arange(100, 100 + count)))
    assert carried(c) == [None, [0, 1], None, None]
