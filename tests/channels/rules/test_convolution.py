"""Rules of `rules/convolution.py`: the universal property, and what each rule says."""
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

from wrg_onnx.channels.axes import WHOLE_GROUPS

X = (1, 4, 6, 6)

CASES = [
    Case("Conv-grouped", "y = Conv<group = 2>(a, w, c)", y=(6,),
         consts={"w": normal(6, 4, 1, 1), "c": normal(6)}),
    Case("Conv-of-many-groups", "y = Conv<group = 4>(a, w, c)", y=(12,),
         consts={"w": normal(12, 2, 3, 3), "c": normal(12)}),
    Case("Conv-of-many-groups-of-two-activations", "p = GlobalAveragePool(b)  k = Reshape(p, s)  "
         "y = Conv<group = 4>(a, k)", y=(4,), consts={"s": ints(4, 2, 1, 1)}),
    Case("Convs-of-many-groups-in-a-row", "d = Conv<group = 4>(a, w)  e = Relu(d)  y = Conv<group = 4>(e, v)", y=(4,),
         consts={"w": normal(16, 2, 1, 1), "v": normal(4, 4, 1, 1)}),
    Case("Convs-of-unlike-groups-in-a-row", "d = Conv<group = 4>(a, w)  y = Conv<group = 2>(d, v)", y=(6,),
         consts={"w": normal(8, 2, 1, 1), "v": normal(6, 4, 1, 1)}),
    Case("ConvTranspose-of-many-groups", "y = ConvTranspose<group = 4, strides = [2, 2]>(a, w, c)", y=(12,),
         consts={"w": normal(8, 3, 2, 2), "c": normal(12)}),
    Case("DeformConv-of-many-groups", "y = DeformConv<group = 4>(a, w, f)", 22, y=(8,),
         consts={"f": normal(1, 8, 5, 5) / 4, "w": normal(8, 2, 2, 2)}),
    Case("Conv-depthwise", "y = Conv<group = 8, pads = [1, 1, 1, 1]>(a, w, c)",
         consts={"w": normal(8, 1, 3, 3), "c": normal(8)}),
    Case("Conv-depthwise-multiplied", "y = Conv<group = 8>(a, w)", y=(16,), consts={"w": normal(16, 1, 1, 1)}),
    Case("Conv-depthwise-7", "y = Conv<group = 8>(a, w)", 7, consts={"w": normal(8, 1, 1, 1)}),
    Case("Conv-shared-weight", "p = Conv(a, w)  r = Relu(p)  y = Conv(r, w)", consts={"w": normal(8, 8, 1, 1)}),
    Case("Conv-weight-through-nodes", "t = Transpose<perm = [1, 0]>(w)  r = Reshape(t, s)  i = Identity(r)  "
         "m = Mul(i, k)  y = Conv(a, m)", y=(5,),
         consts={"w": normal(8, 5), "s": ints(5, 8, 1, 1), "k": normal(5, 1, 1, 1)}),
    Case("Conv-weight-from-Constant-node", "y = Conv(a, w)  ", y=(5,), consts={"w": normal(5, 8, 1, 1)}),
    Case("Conv-dynamic-weight-depthwise", "p = GlobalAveragePool(b)  k = Transpose<perm = [1, 0, 2, 3]>(p)  "
         "y = Conv<group = 8>(a, k)", free=8),
    Case("Conv-of-two-activations", "p = GlobalAveragePool(b)  y = Conv(a, p)", y=(1,)),
    Case("Conv-of-two-activations-that-are-never-zero-stays", "p = GlobalAveragePool(b)  s = Sigmoid(a)  y = Conv(s, p)",
         free=0, y=(1,)),
    Case("Conv-with-a-styled-weight", "p = GlobalAveragePool(b)  i = Reshape(p, si)  m = Mul(w, i)  y = Conv(a, m)", y=(5,),
         consts={"w": normal(5, 8, 1, 1), "si": ints(1, 8, 1, 1)}),
    Case("ConvTranspose", "y = ConvTranspose<strides = [2, 2]>(a, w, c)", y=(5,),
         consts={"w": normal(8, 5, 2, 2), "c": normal(5)}),
    Case("ConvTranspose-grouped", "y = ConvTranspose<group = 2>(a, w, c)", y=(6,),
         consts={"w": normal(8, 3, 1, 1), "c": normal(6)}),
    Case("ConvTranspose-depthwise", "y = ConvTranspose<group = 8, strides = [2, 2]>(a, w)",
         consts={"w": normal(8, 1, 2, 2)}),
    Case("ConvTranspose-depthwise-multiplied", "y = ConvTranspose<group = 8>(a, w)", y=(16,),
         consts={"w": normal(8, 2, 1, 1)}),
    Case("Conv-of-padded-channels", "p = Pad(a, s)  y = Conv(p, w)", 13, y=(5,),
         consts={"s": ints(0, 1, 0, 0, 0, 1, 0, 0), "w": normal(5, 10, 1, 1)}),
    Case("Col2Im", "f = Reshape(a, z)  y = Col2Im(f, m, k)", 18, y=(2,),
         consts={"z": ints(1, 8, 36), "m": ints(7, 7), "k": ints(2, 2)}),
    Case("Col2Im-of-one-channel-stays", "f = Reshape(a, z)  y = Col2Im(f, m, k)", 18, free=0, y=(1,),
         consts={"z": ints(1, 8, 36), "m": ints(9, 7), "k": ints(4, 2)}),
    Case("DeformConv", "p = AveragePool<kernel_shape = [2, 2]>(x)  f = Conv(p, wf)  y = DeformConv(a, w, f, c)", 19, y=(5,),
         consts={"wf": normal(8, 3, 1, 1) / 4, "w": normal(5, 8, 2, 2), "c": normal(5)}),
    Case("DeformConv-masked-in-offset-groups-stays", "y = DeformConv<offset_group = 2>(a, w, f, c, m)", 19, y=(5,), free=0,
         consts={"f": normal(1, 16, 5, 5) / 4, "w": normal(5, 8, 2, 2), "c": normal(5), "m": normal(1, 8, 5, 5)}),
    Case("DeformConv-grouped", "y = DeformConv<group = 2>(a, w, f)", 22, y=(6,),
         consts={"f": normal(1, 8, 5, 5) / 4, "w": normal(6, 4, 2, 2)}),
    Case("DeformConv-depthwise", "y = DeformConv<group = 8>(a, w, f, , m)", 19, y=(16,),
         consts={"f": normal(1, 8, 5, 5) / 4, "w": normal(16, 1, 2, 2), "m": normal(1, 4, 5, 5)}),
    Case("CausalConvWithState", "f = Reshape(a, z)  c, p = CausalConvWithState(f, w, h, m)  y = Reshape(c, k)", 27,
         consts={"z": ints(1, 8, 36), "w": normal(8, 1, 3), "h": normal(8), "m": normal(1, 8, 2), "k": ints(1, 8, 6, 6)}),
    Case("CausalConvWithState-alone", "f = Reshape(a, z)  c, p = CausalConvWithState<activation = \"silu\">(f, w)  "
         "y = Reshape(c, k)  y1 = Unsqueeze(p, u)", 27, y=(8, 8),
         consts={"z": ints(1, 8, 36), "w": normal(8, 1, 3), "k": ints(1, 8, 6, 6), "u": ints(3)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_columns_are_folded_into_one_channel():
    given = [axes((1, 8, 36), a1=0), np.array([7, 7]), np.array([2, 2])]
    c = couple("Col2Im", given, [(1, 2, 7, 7)], version=18)
    assert ties(c) == [(0, 1), (0, 2), (0, 3), (4, 5), (4, 6), (4, 7)]
    assert carried(c)[1] == [0, 4]


def test_offset_groups_hold_the_channels():
    w, offset = axes((2, 4, 2, 2), a0=10, a1=20), axes((1, 16, 5, 5))
    c = couple("DeformConv", [axes(X, a1=0), w, offset], [(1, 2, 5, 5)], weights=(1,),
               offset_group=2, version=19)  # fmt: skip
    assert frozen(c) == {"moves parts of this axis by offsets of their own": [0, 1, 2, 3]}
    given = ("DeformConv", [axes(X, a1=0), axes((4, 1, 2, 2), a0=10), offset], [(1, 4, 5, 5)])
    assert derive([1], *given, weights=(1,), group=4, version=19) == ({"group": 3}, {})


def test_conv_ties_its_input_to_what_the_weight_consumes():
    c = couple("Conv", [axes(X, a1=0), axes((2, 4, 1, 1), a0=10, a1=20), axes((2,), a0=30)],
               [(1, 2, 6, 6)], weights=(1, 2))  # fmt: skip
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23), (10, 30), (11, 31)]
    assert carried(c) == [None, [10, 11], None, None]
    assert [f.tolist() for f in c.filters] == [[10, 11]]
    assert [f.tolist() for f in c.consumed] == [[20, 21, 22, 23]]
    assert frozen(c) == {}


def test_conv_without_bias():
    c = couple("Conv", [axes(X, a1=0), axes((2, 4, 1, 1), a0=10, a1=20), None], [(1, 2, 6, 6)],
               weights=(1,))  # fmt: skip
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23)]


def test_conv_over_an_inert_input_ties_to_inert():
    c = couple("Conv", [axes(X), axes((2, 4, 1, 1), a0=10, a1=20)], [(1, 2, 6, 6)], weights=(1,))
    assert ties(c) == [(-1, 20), (-1, 21), (-1, 22), (-1, 23)]


def test_grouped_conv_ties_the_same_position_across_groups():
    c = couple(
        "Conv", [axes(X, a1=0), axes((4, 2, 1, 1), a0=10, a1=20)], [X], weights=(1,), group=2
    )
    assert ties(c) == [(0, 20), (1, 21), (2, 20), (3, 21), (10, 12), (11, 13)]
    assert [f.tolist() for f in c.consumed] == [[20, 21]]


def test_depthwise_conv_ties_input_to_filters_and_consumes_nothing():
    c = couple("Conv", [axes(X, a1=0), axes((8, 1, 3, 3), a0=10)], [(1, 8, 6, 6)], weights=(1,),
               group=4)  # fmt: skip
    assert ties(c) == [(0, 10), (0, 11), (1, 12), (1, 13), (2, 14), (2, 15), (3, 16), (3, 17)]
    assert c.consumed == ()


def test_depthwise_conv_counts_its_groups_anew():
    given = ("Conv", [axes(X, a1=0), axes((4, 1, 3, 3), a0=10)], [X])
    assert derive([1, 2], *given, weights=(1,), group=4) == ({"group": 2}, {})


def test_grouped_conv_keeps_its_groups():
    given = ("Conv", [axes(X, a1=0), axes((4, 2, 1, 1), a0=10, a1=20)], [X])
    assert derive([0, 2, 20], *given, weights=(1,), group=2) == ({}, {})


def test_conv_that_loses_whole_groups_ties_all_of_a_group():
    given = ("Conv", [axes(X, a1=0), axes((6, 2, 1, 1), a0=10, a1=20)], [(1, 6, 6, 6)])
    c = couple(*given, weights=(1,), group=2, carriers=(WHOLE_GROUPS,))
    assert ties(c) == [(0, 1), (0, 10), (0, 11), (0, 12), (2, 3), (2, 13), (2, 14), (2, 15)]
    assert c.consumed == ()
    assert frozen(c) == {}  # nobody reads of an axis that carries no channels in this form
    assert [f.ids.tolist() for f in c.frozen] == [[20, 21]]
    assert c.choice == "of 2 groups x 2 channels, whole groups go"


def test_conv_that_loses_whole_groups_counts_them_anew():
    given = ("Conv", [axes(X, a1=0), axes((4, 2, 1, 1), a0=10, a1=20)], [X])
    gone = derive([2, 3, 12, 13], *given, weights=(1,), group=2, carriers=(WHOLE_GROUPS,))
    assert gone == ({"group": 1}, {})


def test_conv_transpose_that_loses_whole_groups_ties_all_of_a_group():
    c = couple("ConvTranspose", [axes(X, a1=0), axes((4, 3, 2, 2), a0=10, a1=20)], [(1, 6, 7, 7)],
               weights=(1,), group=2, carriers=(WHOLE_GROUPS,))  # fmt: skip
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13), (10, 11), (12, 13)]
    assert carried(c)[1] == [10, 10, 10, 12, 12, 12]
    assert frozen(c) == {}
    assert [f.ids.tolist() for f in c.frozen] == [[20, 21, 22]]


def test_only_a_conv_with_channels_in_groups_has_a_choice():
    for shape, group in (((4, 4, 1, 1), 1), ((4, 1, 1, 1), 4)):
        c = couple("Conv", [axes(X, a1=0), axes(shape, a0=10, a1=20)], [X], group=group)
        assert c.in_groups is None
        assert c.choice == ""
    c = couple("Conv", [axes(X, a1=0), axes((4, 2, 1, 1), a0=10, a1=20)], [X], group=2)
    assert c.in_groups.tolist() == [0, 1, 2, 3, 10, 11, 12, 13]


def test_conv_freezes_live_height_batch_and_kernel():
    c = couple("Conv", [axes(X, a0=[50], a2=60), axes((2, 4, 3, 3), a0=10, a2=70)],
               [(1, 2, 4, 4)], weights=(1,))  # fmt: skip
    assert frozen(c) == {"convolves over this axis": [50, 60, 61, 62, 63, 64, 65]}
    assert sorted(i for f in c.frozen if not f.reason for i in f.ids) == [70, 71, 72]


def test_conv_of_two_activations_freezes_what_it_sums_over():
    c = couple("Conv", [axes(X, a1=0), axes((2, 4, 1, 1), a1=20)], [(1, 2, 6, 6)])
    assert sorted(i for f in c.frozen for i in f.ids) == [0, 1, 2, 3, 20, 21, 22, 23]
    assert c.consumed == ()


def test_depthwise_conv_of_two_activations_is_free():
    c = couple("Conv", [axes(X, a1=0), axes((4, 1, 2, 2), a0=20)], [(1, 4, 5, 5)], group=4)
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23)]
    assert frozen(c) == {}


def test_conv_transpose_makes_channels_from_the_second_axis():
    w = axes((4, 2, 2, 2), a0=10, a1=20)
    c = couple("ConvTranspose", [axes(X, a1=0), w, axes((2,), a0=30)],
               [(1, 2, 7, 7)], weights=(1, 2))  # fmt: skip
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13), (20, 30), (21, 31)]
    assert carried(c)[1] == [20, 21]
    assert [f.tolist() for f in c.consumed] == [[10, 11, 12, 13]]


def test_grouped_conv_transpose_repeats_its_filters():
    c = couple("ConvTranspose", [axes(X, a1=0), axes((4, 2, 2, 2), a0=10, a1=20)], [(1, 4, 7, 7)],
               weights=(1,), group=2)  # fmt: skip
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13), (10, 12), (11, 13)]
    assert carried(c)[1] == [20, 21, 20, 21]


def test_depthwise_conv_transpose_freezes_the_shared_axis():
    c = couple("ConvTranspose", [axes(X, a1=0), axes((4, 2, 2, 2), a0=10, a1=20)], [(1, 8, 7, 7)],
               weights=(1,), group=4)  # fmt: skip
    assert carried(c)[1] == [10, 10, 11, 11, 12, 12, 13, 13]
    assert frozen(c) == {"uses these filters in every group": [20, 21]}
