"""The universal property for operators that index, sample, crop and fold."""
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
from rule_calls import axes, carried, couple, demands, derive, frozen, ties
from strategies import normal

BIG = 2**63 - 1
WIDTHS = np.random.default_rng(0).integers(-6, 6, (1, 8, 6, 4))

GATHER = [
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
    Case("OneHot-of-ArgMax", "m = ArgMax<axis = 3, keepdims = 0>(a)  y = OneHot(m, d, v)",
         consts={"d": np.int64(6), "v": np.float32([0.5, 2])}),
    Case("OneHot-11-on-axis-2", "m = ArgMax<axis = 2, keepdims = 0>(a)  y = OneHot<axis = 2>(m, d, v)", 11,
         consts={"d": ints(7), "v": np.float32([0.5, 2])}),
    Case("OneHot-over-channels-stays", "m = ArgMax<axis = 1, keepdims = 0>(a)  h = OneHot<axis = 1>(m, d, v)  y = Mul(a, h)",
         free=0, consts={"d": np.int64(8), "v": np.float32([0.5, 2])}),
    Case("Slice-flips-from-the-last-position", "y = Slice(a, s, e, ax, st)", 13,
         consts={"s": ints(7), "e": ints(-9), "ax": ints(1), "st": ints(-1)}),
    Case("Slice-flips-from-beyond", "y = Slice(a, s, e, ax, st)", 13,
         consts={"s": ints(BIG), "e": ints(-BIG), "ax": ints(-3), "st": ints(-1)}),
    Case("Slice-flips-a-part-stays", "y = Slice(a, s, e, ax, st)", 13, free=0, y=(7,),
         consts={"s": ints(-1), "e": ints(0), "ax": ints(1), "st": ints(-1)}),
]  # fmt: skip

SCATTER = [
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
    Case("ScatterND-into-channels-stays", "y = ScatterND(a, i, u)", free=0, consts={"i": ints(0, 1, 0, 3).reshape(2, 2), "u": normal(2, 6, 6)}),
    Case("TensorScatter", "y = TensorScatter<axis = 2>(a, u, w)", 24, consts={"u": normal(1, 8, 2, 6), "w": ints(3)}),
    Case("TensorScatter-of-another-branch", "s = Slice(b, s0, s2, s3)  y = TensorScatter<axis = 3, mode = \"circular\">(a, s, w)", 24,
         consts={"s0": ints(0), "s2": ints(2), "s3": ints(3), "w": ints(5)}),
    Case("TensorScatter-without-places", "s = Slice(b, s0, s2, s1)  y = TensorScatter(a, s)", 24,
         consts={"s0": ints(0), "s2": ints(2), "s1": ints(2)}),
    Case("TensorScatter-over-channels-stays", "s = Slice(b, s0, s2, s1)  y = TensorScatter<axis = 1>(a, s, w)", 24, free=0,
         consts={"s0": ints(0), "s2": ints(2), "s1": ints(1), "w": ints(3)}),
]  # fmt: skip

GRID = np.tanh(normal(1, 4, 5, 2))
SAMPLING = [
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
    Case("MaxUnpool-stays", "p, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)  "
         "y = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(p, i)", free=0),
    Case("MaxUnpool-11-of-known-size-stays", "p, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)  "
         "y = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(p, i, s)", 11, free=0, consts={"s": ints(1, 8, 6, 6)}),
    Case("Col2Im", "f = Reshape(a, z)  y = Col2Im(f, m, k)", 18, y=(2,),
         consts={"z": ints(1, 8, 36), "m": ints(7, 7), "k": ints(2, 2)}),
    Case("Col2Im-of-one-channel-stays", "f = Reshape(a, z)  y = Col2Im(f, m, k)", 18, free=0, y=(1,),
         consts={"z": ints(1, 8, 36), "m": ints(9, 7), "k": ints(4, 2)}),
    Case("CenterCropPad-height-and-width", "y = CenterCropPad<axes = [2, 3]>(a, s)", 18, consts={"s": ints(4, 9)}),
    Case("CenterCropPad-pads-channels", "y = CenterCropPad<axes = [-3]>(a, s)", 18, y=(13,), consts={"s": ints(13)}),
    Case("CenterCropPad-all-axes", "y = CenterCropPad(a, s)", 18, consts={"s": ints(1, 8, 5, 8)}),
    Case("CenterCropPad-to-a-computed-shape", "n = Shape(b)  y = CenterCropPad(a, n)", 18),
    Case("CenterCropPad-crops-channels-stays", "y = CenterCropPad(a, s)", 18, free=0, y=(5,), consts={"s": ints(1, 5, 6, 6)}),
    Case("DeformConv", "p = AveragePool<kernel_shape = [2, 2]>(x)  f = Conv(p, wf)  y = DeformConv(a, w, f, c)", 19, y=(5,),
         consts={"wf": normal(8, 3, 1, 1) / 4, "w": normal(5, 8, 2, 2), "c": normal(5)}),
    Case("DeformConv-masked-in-offset-groups-stays", "y = DeformConv<offset_group = 2>(a, w, f, c, m)", 19, y=(5,), free=0,
         consts={"f": normal(1, 16, 5, 5) / 4, "w": normal(5, 8, 2, 2), "c": normal(5), "m": normal(1, 8, 5, 5)}),
    Case("DeformConv-grouped", "y = DeformConv<group = 2>(a, w, f)", 22, y=(6,),
         consts={"f": normal(1, 8, 5, 5) / 4, "w": normal(6, 4, 2, 2)}),
    Case("DeformConv-depthwise", "y = DeformConv<group = 8>(a, w, f, , m)", 19, y=(16,),
         consts={"f": normal(1, 8, 5, 5) / 4, "w": normal(16, 1, 2, 2), "m": normal(1, 4, 5, 5)}),
]  # fmt: skip

RESIZE = [
    Case("SpaceToDepth-CRD", "y = SpaceToDepth<blocksize = 2, mode = \"CRD\">(a)", 28, y=(32,)),
    Case("SpaceToDepth-DCR", "y = SpaceToDepth<blocksize = 2, mode = \"DCR\">(a)", 28, y=(32,)),
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
]  # fmt: skip

WITHOUT_A_RULE = [
    Case("SplitToSequence-stays", "s = SplitToSequence<axis = 1>(a, n)  p = SequenceAt(s, z)  y = Identity(p)", free=0, y=(4,),
         consts={"n": np.int64(4), "z": np.int64(0)}),
    Case("SequenceConstruct-stays", "s = SequenceConstruct(a, b)  y = ConcatFromSequence<axis = 1>(s)", free=0, y=(16,)),
    Case("Optional-stays", "s = Optional(a)  y = OptionalGetElement(s)", 18, free=0),
    Case("NonZero-stays", "s = NonZero(a)  f = Cast<to = 1>(s)  m = ReduceMean(f)  y = Mul(a, m)", free=0),
    Case("NonMaxSuppression-stays", "f = Reshape(a, s)  n = NonMaxSuppression(k, f, t)  g = Cast<to = 1>(n)  "
         "m = ReduceSum(g)  y = Mul(a, m)", free=0,
         consts={"s": ints(1, 8, 36), "k": np.abs(normal(1, 36, 4)), "t": ints(2)}),
]  # fmt: skip

CASES = [*WITHOUT_A_RULE, *RESIZE, *GATHER, *SCATTER, *SAMPLING]


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


X = (1, 4, 6, 6)


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
    assert frozen(c) == {"picks positions computed at run time": [0, 1, 2, 3]}


def test_slice_flips_a_whole_axis():
    given = [axes(X, a1=0), np.array([-1]), np.array([-9]), np.array([1]), np.array([-1])]
    c = couple("Slice", given, [X])
    assert carried(c)[1] == [3, 2, 1, 0]
    assert demands(c) == []
    assert frozen(c) == {}


def test_gather_elements_reads_the_leading_positions_of_a_longer_axis():
    index = np.zeros((1, 2, 6, 3), np.int64)
    given = ("GatherElements", [axes(X, a1=0, a3=60), index], [(1, 2, 6, 3)])
    c = couple(*given, axis=3)
    assert carried(c) == [None, [0, 1], None, None]
    assert frozen(c) == {"picks positions of this axis": list(range(60, 66))}
    assert derive([3], *given, axis=3) == ({}, {})
    assert np.shape(derive([1, 3], *given, axis=3)[1][1]) == (1, 1, 6, 3)


def test_gather_elements_ties_computed_indices():
    c = couple("GatherElements", [axes(X, a1=0), axes(X, a1=10, a3=60)], [X], axis=3)
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13)]
    assert frozen(c) == {"reads positions from this axis": list(range(60, 66))}


def test_scatter_elements_ties_updates_to_the_leading_positions():
    index = np.zeros((1, 2, 6, 1), np.int64)
    given = ("ScatterElements", [axes(X, a1=0), index, axes((1, 2, 6, 1), a1=20)], [X])
    c = couple(*given, axis=-1)
    assert ties(c) == [(0, 20), (1, 21)]
    assert carried(c)[1] == [0, 1, 2, 3]
    assert np.shape(derive([0, 20], *given, axis=-1)[1][1]) == (1, 1, 6, 1)


def test_gather_nd_follows_a_list_of_positions():
    given = ("GatherND", [axes((4, 6), a0=0, a1=50), np.array([[-1], [0], [2]])], [(3, 6)])
    c = couple(*given)
    assert carried(c) == [[3, 0, 2], list(range(50, 56))]
    assert derive([0], *given) == ({}, {1: [[2], [1]]})


def test_gather_nd_freezes_what_it_indexes_otherwise():
    pairs = couple("GatherND", [axes((4, 6), a0=0), np.array([[0, 1], [2, 2]])], [(2,)])
    assert frozen(pairs) == {"picks positions of this axis": [0, 1, 2, 3]}
    computed = couple("GatherND", [axes((4, 6), a0=0), axes((3, 1))], [(3, 6)])
    assert frozen(computed) == {"picks positions of this axis": [0, 1, 2, 3]}
    batch = couple(
        "GatherND", [axes((4, 6), a0=0), np.zeros((4, 1), np.int64)], [(4,)], batch_dims=1
    )
    assert ties(batch) == [(-1, 0), (-1, 1), (-1, 2), (-1, 3)]


def test_scatter_nd_ties_the_axes_behind_its_indices():
    given = [axes((4, 6), a0=0, a1=50), np.array([[1], [3]]), axes((2, 6), a0=20, a1=60)]
    c = couple("ScatterND", given, [(4, 6)])
    assert ties(c) == [(50 + i, 60 + i) for i in range(6)]
    assert sorted(i for f in c.frozen for i in f.ids) == [0, 1, 2, 3, 20, 21]


def test_compress_takes_its_condition_of_what_is_left():
    condition = np.array([True, False, True])
    given = ("Compress", [axes(X, a1=0), condition], [(1, 2, 6, 6)])
    assert carried(couple(*given, axis=1))[1] == [0, 2]
    assert derive([0, 3], *given, axis=1) == ({}, {1: [False, True]})
    assert derive([], *given, axis=1) == ({}, {})


def test_one_hot_inserts_an_inert_axis():
    given = [axes((1, 4, 6), a1=0), np.int64(5), axes((2,), a0=90)]
    assert carried(couple("OneHot", given, [(1, 5, 4, 6)], axis=1)) == [
        None,
        None,
        [0, 1, 2, 3],
        None,
    ]


def test_regions_and_coordinates_freeze():
    c = couple("RoiAlign", [axes(X, a1=0), axes((3, 4), a0=20, a1=30), axes((3,))], [(3, 4, 2, 2)])
    assert {f.reason for f in c.frozen} == {"reads coordinates from this axis"}
    assert carried(c) == [None, [0, 1, 2, 3], None, None]


def test_columns_are_folded_into_one_channel():
    given = [axes((1, 8, 36), a1=0), np.array([7, 7]), np.array([2, 2])]
    c = couple("Col2Im", given, [(1, 2, 7, 7)], version=18)
    assert ties(c) == [(0, 1), (0, 2), (0, 3), (4, 5), (4, 6), (4, 7)]
    assert carried(c)[1] == [0, 4]


def test_center_crop_pad_demands_the_padded_length():
    c = couple(
        "CenterCropPad", [axes(X, a1=0), np.array([7])], [(1, 7, 6, 6)], axes=(1,), version=18
    )
    assert carried(c)[1] == [-1, 0, 1, 2, 3, -1, -1]
    assert demands(c) == [(1, 0, [-1, 0, 1, 2, 3, -1, -1])]


def test_offset_groups_hold_the_channels():
    w, offset = axes((2, 4, 2, 2), a0=10, a1=20), axes((1, 16, 5, 5))
    c = couple("DeformConv", [axes(X, a1=0), w, offset], [(1, 2, 5, 5)], weights=(1,),
               offset_group=2, version=19)  # fmt: skip
    assert frozen(c) == {"moves parts of this axis by offsets of their own": [0, 1, 2, 3]}
    given = ("DeformConv", [axes(X, a1=0), axes((4, 1, 2, 2), a0=10), offset], [(1, 4, 5, 5)])
    assert derive([1], *given, weights=(1,), group=4, version=19) == ({"group": 3}, {})
