"""Each rule by itself: what it ties, what it freezes, what the outputs carry."""

from __future__ import annotations

import numpy as np
import pytest
from rule_calls import axes, carried, couple, demands, derive, frozen, ties

from wrg_onnx.channels.axes import ShapeConflictError, Tie, broadcast
from wrg_onnx.channels.table import Derived, derivation, find_rule, op_rule
from wrg_onnx.channels.table import registered as registered_rules
from wrg_onnx.errors import ModelError
from wrg_onnx.graph import Node

X = (1, 4, 6, 6)


# Convolutions


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


# Matrix products


@pytest.mark.parametrize("trans_a", [0, 1])
@pytest.mark.parametrize("trans_b", [0, 1])
def test_gemm_ties_the_contracted_axes(trans_a, trans_b):
    a = axes((4, 3), a0=0) if trans_a else axes((3, 4), a1=0)
    b = axes((2, 4), a0=30, a1=20) if trans_b else axes((4, 2), a0=20, a1=30)
    c = couple("Gemm", [a, b, axes((2,), a0=40)], [(3, 2)], weights=(1, 2), transA=trans_a,
               transB=trans_b)  # fmt: skip
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23), (30, 40), (31, 41)]
    assert carried(c) == [None, [30, 31]]
    assert [f.tolist() for f in c.filters] == [[30, 31]]
    assert [f.tolist() for f in c.consumed] == [[20, 21, 22, 23]]


def test_gemm_without_bias_and_weight_first():
    c = couple("Gemm", [axes((2, 4), a0=30, a1=20), axes((4, 3), a0=0)], [(2, 3)], weights=(0,))
    assert carried(c) == [[30, 31], None]
    assert [f.tolist() for f in c.filters] == [[30, 31]]


def test_matmul_freezes_the_contraction_of_two_activations():
    c = couple("MatMul", [axes((2, 5, 4), a2=0), axes((2, 4, 5), a1=10)], [(2, 5, 5)])
    assert sorted(i for f in c.frozen for i in f.ids) == [0, 1, 2, 3, 10, 11, 12, 13]
    assert c.consumed == ()


def test_matmul_ties_leading_axes():
    c = couple("MatMul", [axes((1, 2, 5, 4), a1=50), axes((2, 4, 3), a0=60, a1=20, a2=30)],
               [(1, 2, 5, 3)], weights=(1,))  # fmt: skip
    assert (50, 60) in ties(c)
    assert carried(c) == [None, [50, 51], None, [30, 31, 32]]


def test_matmul_with_vectors_loses_their_axis():
    right = couple("MatMul", [axes((5, 4), a1=0), axes((4,), a0=10)], [(5,)], weights=(1,))
    left = couple("MatMul", [axes((4,), a0=0), axes((4, 5), a0=10, a1=20)], [(5,)], weights=(1,))
    assert carried(right) == [None]
    assert carried(left) == [[20, 21, 22, 23, 24]]


# Pointwise operators and broadcasting


def test_unary_passes_its_axes():
    assert carried(couple("Relu", [axes(X, a1=0)], [X])) == [None, [0, 1, 2, 3], None, None]


def test_operands_meet_from_the_right():
    c = couple("Add", [axes(X, a1=0), axes((4, 1, 1), a0=10)], [X])
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13)]


def test_one_position_is_broadcast_and_ties_nothing():
    c = couple("Mul", [axes(X, a1=0), axes((1, 1, 6, 6))], [X])
    assert ties(c) == []
    assert carried(c)[1] == [0, 1, 2, 3]


def test_live_axis_that_meets_an_inert_one_is_held():
    c = couple("Sub", [axes(X, a1=0), axes(X)], [X])
    assert ties(c) == [(-1, 0), (-1, 1), (-1, 2), (-1, 3)]


def test_single_live_position_that_meets_an_inert_one_is_held():
    joined, found = broadcast([axes((1, 1), a1=[7]), axes((1, 1))], (1, 1))
    assert [(t.left.tolist(), t.right.tolist()) for t in found] == [([7], [-1])]
    assert joined.at(1).tolist() == [7]


def test_where_ties_three_operands():
    c = couple("Where", [axes((4, 1, 1), a0=20), axes(X, a1=0), axes(X, a1=10)], [X])
    assert set(ties(c)) == {(i + a, i + 20) for i in range(4) for a in (0, 10)}


def test_prelu_slopes_are_tied():
    c = couple("PRelu", [axes(X, a1=0), axes((4, 1, 1), a0=10)], [X])
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13)]


def test_dropout_mask_carries_the_channels():
    c = couple("Dropout", [axes(X, a1=0)], [X, X])
    assert carried(c, 1) == carried(c, 0) == [None, [0, 1, 2, 3], None, None]


@pytest.mark.parametrize("training", [True, axes(())])
def test_a_dropout_that_drops_or_may_freezes_its_input(training):
    c = couple("Dropout", [axes(X, a1=0), np.float32(0.5), training], [X])
    assert frozen(c) == {"draws random numbers for this axis": [0, 1, 2, 3]}


def test_a_dropout_that_is_told_not_to_drop_freezes_nothing():
    assert frozen(couple("Dropout", [axes(X, a1=0), np.float32(0.5), False], [X])) == {}


def test_shape_freezes_nothing_and_size_all():
    shape = couple("Shape", [axes(X, a1=0)], [(4,)])
    assert frozen(shape) == {}
    assert [d.tolist() for d in shape.dropped] == [[0, 1, 2, 3]]
    size = couple("Size", [axes(X, a1=0)], [()])
    assert frozen(size) == {"counts the elements of this axis": [0, 1, 2, 3]}


# Normalisations, pools and reductions


@pytest.mark.parametrize("version", [7, 9, 14, 15])
def test_batch_normalization_ties_its_four_parameters(version):
    parameters = [axes((4,), a0=10 * n) for n in (1, 2, 3, 4)]
    c = couple("BatchNormalization", [axes(X, a1=0), *parameters], [X], version=version)
    assert ties(c) == [(i, 10 * n + i) for i in range(4) for n in (1, 2, 3, 4)]


def test_batch_statistics_carry_the_channels():
    parameters = [axes((4,), a0=10 * n) for n in (1, 2, 3, 4)]
    c = couple("BatchNormalization", [axes(X, a1=0, a2=60), *parameters], [X, (4,), ()],
               training_mode=1)  # fmt: skip
    assert carried(c, 1) == [[0, 1, 2, 3]]
    assert carried(c, 2) == []
    assert frozen(c) == {"normalises over this axis": list(range(60, 66))}


def test_instance_normalization_freezes_live_height():
    scale, bias = axes((4,), a0=10), axes((4,), a0=20)
    c = couple("InstanceNormalization", [axes(X, a1=0, a2=60), scale, bias],
               [X])  # fmt: skip
    assert frozen(c) == {"normalises over this axis": list(range(60, 66))}


@pytest.mark.parametrize(
    ("version", "attributes", "expected"),
    [
        (11, {}, [0, 1, 2, 3, 60, 61, 62, 63, 64, 65]),
        (11, {"axis": 2}, [60, 61, 62, 63, 64, 65]),
        (13, {}, []),
        (13, {"axis": 1}, [0, 1, 2, 3]),
        (13, {"axis": -2}, [60, 61, 62, 63, 64, 65]),
    ],
)
def test_softmax_freezes_what_its_opset_normalises(version, attributes, expected):
    c = couple("Softmax", [axes(X, a1=0, a2=60)], [X], version=version, **attributes)
    assert sorted(i for f in c.frozen for i in f.ids) == expected


def test_layer_norm_freezes_what_its_parameters_reach():
    x = axes((1, 4, 6), a1=0, a2=10)
    c = couple("LayerNormalization", [x, axes((6,), a0=20), None], [(1, 4, 6), (1, 4, 1)])
    assert frozen(c)["normalises over this axis"] == [20, 21, 22, 23, 24, 25]
    assert sorted(i for f in c.frozen for i in f.ids) == [*range(10, 16), *range(20, 26)]
    assert carried(c, 1) == [None, [0, 1, 2, 3], None]
    wide = couple("LayerNormalization", [x, axes((4, 6), a0=30, a1=20)], [(1, 4, 6)])
    assert {0, 1, 2, 3} <= {i for f in wide.frozen for i in f.ids}


def test_lrn_freezes_the_channels():
    assert frozen(couple("LRN", [axes(X, a1=0)], [X])) == {
        "normalises over this axis": [0, 1, 2, 3]
    }


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


def test_pool_passes_channels_and_freezes_what_it_pools_over():
    c = couple("MaxPool", [axes(X, a1=0, a3=60)], [(1, 4, 5, 5), ()])
    assert carried(c) == [None, [0, 1, 2, 3], None, None]
    assert frozen(c) == {"pools over this axis": list(range(60, 66))}


def test_indices_of_a_pool_freeze_the_channels():
    c = couple("MaxPool", [axes(X, a1=0)], [(1, 4, 5, 5), (1, 4, 5, 5)])
    assert frozen(c) == {"numbers its positions through all channels": [0, 1, 2, 3]}


# Joining and dividing


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


INT_MAX = 2**63 - 1


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


def test_slice_in_steps_freezes_a_live_axis():
    given = [axes(X, a1=0), np.array([0]), np.array([4]), np.array([1]), np.array([2])]
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


def test_gather_picks_and_renumbers():
    given = ("Gather", [axes(X, a1=0), np.array([-1, 0, 0])], [(1, 3, 6, 6)])
    assert carried(couple(*given, axis=1))[1] == [3, 0, 0]
    assert derive([], *given, axis=1) == ({}, {})
    assert derive([1], *given, axis=1) == ({}, {1: [2, 0, 0]})
    assert derive([0], *given, axis=1) == ({}, {1: [2]})


def test_gather_of_one_position_freezes_it_and_follows_it():
    given = ("Gather", [axes(X, a1=0), np.int64(-2)], [(1, 6, 6)])
    assert frozen(couple(*given, axis=1)) == {"picks this one position": [2]}
    assert derive([0], *given, axis=1) == ({}, {1: 1})


def test_gather_at_unknown_places_freezes():
    c = couple("Gather", [axes((50, 8), a0=0, a1=100), axes((1, 5))], [(1, 5, 8)], weights=(0,))
    assert frozen(c) == {"picks positions computed at run time": list(range(50))}
    assert carried(c) == [None, None, list(range(100, 108))]


# Moving


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
    assert frozen(c) == {"drops this axis": [9]}


def test_unsqueeze_inserts_axes():
    c = couple("Unsqueeze", [axes((4, 6), a0=0), np.array([0, -1])], [(1, 4, 6, 1)])
    assert carried(c) == [None, [0, 1, 2, 3], None, None]


def test_unsqueeze_at_unknown_axes_freezes():
    c = couple("Unsqueeze", [axes((4, 6), a0=0), axes((2,))], [(1, 4, 6, 1)])
    assert frozen(c) == {"inserts axes computed at run time": [0, 1, 2, 3]}


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


# Resizing and padding


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


@pytest.mark.parametrize(
    ("version", "inputs", "attributes"),
    [
        (9, [], {"pads": (0, 1, 0, 0, 0, 2, 0, 0)}),
        (13, [np.array([0, 1, 0, 0, 0, 2, 0, 0])], {}),
        (18, [np.array([1, 2]), None, np.array([-3])], {}),
    ],
)
def test_pad_puts_inert_positions_around(version, inputs, attributes):
    c = couple("Pad", [axes(X, a1=0), *inputs], [(1, 7, 6, 6)], version=version, **attributes)
    assert carried(c)[1] == [-1, 0, 1, 2, 3, -1, -1]


@pytest.mark.parametrize(
    ("pads", "attributes"),
    [([0, 1, 0, 0, 0, 1, 0, 0], {"mode": "reflect"}), ([0, -1, 0, 0, 0, 3, 0, 0], {})],
)
def test_pad_freezes_what_it_reflects_or_crops(pads, attributes):
    c = couple("Pad", [axes(X, a1=0), np.array(pads)], [(1, 6, 6, 6)], **attributes)
    assert frozen(c) == {"pads this axis": [0, 1, 2, 3]}


# Reshape


def reshape(x, target, shape, **attributes):
    return couple("Reshape", [x, np.array(target)], [shape], **attributes)


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


# The table


def test_registering_a_rule_twice_is_an_error():
    with pytest.raises(ValueError, match=r"'\.Relu' since 1 is registered twice"):
        op_rule("Relu", since=1)(lambda _: None)
    with pytest.raises(ValueError, match=r"'\.Conv' since 1 is registered twice"):
        derivation("Conv", since=1)(lambda *_: Derived())


def test_latest_rule_that_fits_the_opset_is_found():
    old, new = (find_rule(Node(0, "s", "Softmax", "", v, (), ())) for v in (12, 13))
    assert (old.__name__, new.__name__) == ("couple_softmax_flattened", "couple_softmax")
    assert find_rule(Node(0, "s", "Attention", "", 22, (), ())) is None
    assert find_rule(Node(0, "s", "Relu", "other", 1, (), ())) is None


def test_every_rule_says_what_it_does():
    listed = list(registered_rules())
    assert listed == sorted(listed, key=lambda entry: entry[:3])
    assert all(entry[3].endswith(".") for entry in listed)


def test_ties_of_unequal_lengths_are_refused():
    with pytest.raises(ShapeConflictError, match="2 positions against 3"):
        Tie(np.arange(2), np.arange(3))
