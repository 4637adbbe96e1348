"""The universal property for normalisations, contractions by equation, and work along an axis."""
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
    network,
)
from rule_calls import axes, carried, couple, derive, frozen, ties
from strategies import analyse, normal

from wrg_onnx.channels import mac_terms, total_cost

PARAMETERS = {"s": normal(8), "t": normal(8, seed=1)}
DECOMPOSED = ("f = Reshape(a, z)  n = InstanceNormalization(f, u, v)  r = Reshape(n, k)  "
              "m = Mul(r, s)  y = Add(m, t)")  # fmt: skip
TORCH = {"u": np.ones(2, np.float32), "v": np.zeros(2, np.float32),
         "s": normal(8, 1, 1), "t": normal(8, 1, 1, seed=1)}  # fmt: skip

GROUPS = [
    Case("GroupNormalization-21", "y = GroupNormalization<num_groups = 4>(a, s, t)", 21, consts=PARAMETERS),
    Case("GroupNormalization-21-one-channel-each", "y = GroupNormalization<num_groups = 8>(a, s, t)", 21,
         consts=PARAMETERS),
    Case("GroupNormalization-21-one-group-stays", "y = GroupNormalization<num_groups = 1>(a, s, t)", 21, free=0,
         consts=PARAMETERS),
    Case("GroupNormalization-of-a-sum", "e = Add(a, b)  y = GroupNormalization<num_groups = 4>(e, s, t)", 21,
         consts=PARAMETERS),
    Case("decomposed-GroupNorm", DECOMPOSED, consts={**TORCH, "z": ints(0, 2, -1), "k": ints(1, 8, 6, 6)}),
    Case("decomposed-GroupNorm-shape-read-back", f"k = Shape(a)  {DECOMPOSED}", consts={**TORCH, "z": ints(0, 2, -1)}),
    Case("decomposed-GroupNorm-dynamic-batch", f"k = Shape(a)  {DECOMPOSED}", batch="N",
         consts={**TORCH, "z": ints(0, 2, -1)}),
    Case("decomposed-GroupNorm-by-means", "f = Reshape(a, z)  m = ReduceMean<axes = [2]>(f)  d = Sub(f, m)  "
         "q = Mul(d, d)  p = ReduceMean<axes = [2]>(q)  e = Add(p, o)  w = Sqrt(e)  n = Div(d, w)  y = Reshape(n, k)",
         consts={"z": ints(1, 4, 72), "k": ints(1, 8, 6, 6), "o": np.float32(1e-5)}),
    Case("channel-shuffle-into-GroupNorm", "f = Reshape(a, z)  p = Transpose<perm = [0, 2, 1, 3, 4]>(f)  "
         "r = Reshape(p, k)  y = GroupNormalization<num_groups = 2>(r, s, t)", 21,
         consts={**PARAMETERS, "z": ints(1, 2, 4, 6, 6), "k": ints(1, 8, 6, 6)}),
    Case("Gather-of-groups-by-a-square-of-indices", "g = Gather<axis = 1>(a, i)  f = Reshape(g, z)  "
         "n = InstanceNormalization(f, u, v)  y = Reshape(n, k)",
         consts={"i": np.arange(8).reshape(2, 4), "z": ints(1, 2, -1), "u": np.ones(2, np.float32),
                 "v": np.zeros(2, np.float32), "k": ints(1, 8, 6, 6)}),
]  # fmt: skip

ATTENTION = ("kt = Transpose<perm = [0, 1, 3, 2]>(k)  l = MatMul(kt, q)  p = Softmax<axis = 2>(l)  "
             "o = MatMul(v, p)  y = Reshape(o, t)")  # fmt: skip
HEADS = [
    Case("attention-loses-heads", "q = Reshape(a, s)  k = Reshape(b, s)  v = Reshape(h, s)  " + ATTENTION,
         consts={"s": ints(1, 2, 4, 36), "t": ints(1, 8, 6, 6), "wh": normal(8, 3, 1, 1)}),
    Case("attention-of-one-projection-loses-heads", "c = Concat<axis = 1>(a, b, h)  f = Reshape(c, s)  "
         "q, k, v = Split<axis = 1>(f, n)  kt = Transpose<perm = [0, 1, 2, 4, 3]>(k)  l = MatMul(kt, q)  "
         "p = Softmax<axis = 3>(l)  o = MatMul(v, p)  y = Reshape(o, t)",
         consts={"s": ints(1, 3, 2, 4, 36), "n": ints(1, 1, 1), "t": ints(1, 8, 6, 6), "wh": normal(8, 3, 1, 1)}),
    Case("attention-among-channels-keeps-what-it-can", "q = Reshape(a, s)  k = Reshape(b, s)  v = Reshape(h, s)  "
         "kt = Transpose<perm = [0, 1, 3, 2]>(k)  l = MatMul(q, kt)  p = Softmax(l)  o = MatMul(p, v)  y = Reshape(o, t)",
         consts={"s": ints(1, 2, 4, 36), "t": ints(1, 8, 6, 6), "wh": normal(8, 3, 1, 1)}),
]  # fmt: skip

NORMS = [
    Case("RMSNormalization-over-width", "y = RMSNormalization(a, s)", 23, consts={"s": normal(6)}),
    Case("RMSNormalization-over-height-and-width", "y = RMSNormalization<axis = -2>(a, s)", 23, consts={"s": normal(6, 6)}),
    Case("RMSNormalization-scaled-per-channel", "y = RMSNormalization<axis = 3>(a, s)", 23, consts={"s": normal(8, 1, 6)}),
    Case("RMSNormalization-over-channels-stays", "y = RMSNormalization<axis = 1>(a, s)", 23, free=0,
         consts={"s": normal(8, 6, 6)}),
    Case("RMSNormalization-of-tokens-stays", "p = Transpose<perm = [0, 2, 3, 1]>(a)  n = RMSNormalization(p, s)  "
         "y = Transpose<perm = [0, 3, 1, 2]>(n)", 23, free=0, consts={"s": normal(8)}),
    Case("MeanVarianceNormalization-over-channels-stays", "y = MeanVarianceNormalization<axes = [1, 2, 3]>(a)", 13, free=0),
    Case("MeanVarianceNormalization-negative-axes", "y = MeanVarianceNormalization<axes = [-1]>(a)", 13, spare=("wa", "ba")),
]  # fmt: skip

EINSUM = [
    Case("Einsum-as-a-1x1-convolution", "y = Einsum<equation = \"nchw,oc->nohw\">(a, w)", y=(5,), consts={"w": normal(5, 8)}),
    Case("Einsum-ellipsis", "p = Transpose<perm = [0, 2, 3, 1]>(a)  e = Einsum<equation = \"...c,co->...o\">(p, w)  "
         "y = Transpose<perm = [0, 3, 1, 2]>(e)", y=(5,), consts={"w": normal(8, 5)}),
    Case("Einsum-implicit-output", "y = Einsum<equation = \"bahw,ac\">(a, w)", y=(5,), consts={"w": normal(8, 5)}),
    Case("Einsum-per-channel", "y = Einsum<equation = \"nchw, c -> nchw\">(a, w)", consts={"w": normal(8)}),
    Case("Einsum-of-activations-over-positions", "e = Einsum<equation = \"nchw,ndhw->ncd\">(a, b)  y = Unsqueeze(e, u)",
         consts={"u": ints(3)}),
    Case("Einsum-of-activations-over-channels-stays", "e = Einsum<equation = \"nchw,nchv->nhwv\">(a, b)  y = Identity(e)",
         free=0, y=(6,)),
    Case("Einsum-sums-channels-stays", "e = Einsum<equation = \"nchw->nhw\">(a)  y = Unsqueeze(e, u)", free=0, y=(1,),
         consts={"u": ints(1)}),
    Case("Einsum-sums-height", "e = Einsum<equation = \"nchw->cw\">(a)  y = Unsqueeze(e, u)", consts={"u": ints(0, 2)}),
    Case("Einsum-diagonal-of-height-and-width", "e = Einsum<equation = \"nchh->nch\">(a)  y = Unsqueeze(e, u)",
         consts={"u": ints(3)}),
    Case("Einsum-diagonal-of-channels", "e = Einsum<equation = \"nchw,ndhw->ncd\">(a, b)  "
         "d = Einsum<equation = \"ncc->nc\">(e)  y = Unsqueeze(d, u)", consts={"u": ints(2, 3)}),
    Case("Einsum-three-operands", "y = Einsum<equation = \"nchw,dc,od->nohw\">(a, w, v)", y=(5,),
         consts={"w": normal(4, 8), "v": normal(5, 4)}),
    Case("Einsum-heads", "f = Reshape(a, z)  e = Einsum<equation = \"nhcl,hcd->nhdl\">(f, w)  y = Reshape(e, k)",
         consts={"z": ints(1, 2, 4, 36), "w": normal(2, 4, 4), "k": ints(1, 8, 6, 6)}),
    Case("Einsum-bilinear", "y = Einsum<equation = \"nchw,cod,ndhw->nohw\">(a, w, b)", y=(5,), consts={"w": normal(8, 5, 8)}),
    Case("Einsum-squeeze-and-excite", "g = Einsum<equation = \"nchw->nc\">(a)  e = Einsum<equation = \"nc,co->no\">(g, w)  "
         "s = Sigmoid(e)  y = Einsum<equation = \"nc,nchw->nchw\">(s, a)", consts={"w": normal(8, 8) / 36}),
    Case("Einsum-ellipsis-in-both-and-implicit", "f = Reshape(a, z)  e = Einsum<equation = \"...ij,...jk\">(w, f)  "
         "y = Reshape(e, k)", y=(5,), consts={"z": ints(1, 8, 36), "w": normal(1, 5, 8), "k": ints(1, 5, 6, 6)}),
]  # fmt: skip

ALONG = [
    Case("CumSum-over-width", "y = CumSum(a, k)", 14, consts={"k": np.int64(3)}),
    Case("CumSum-11-negative-axis", "y = CumSum<exclusive = 1, reverse = 1>(a, k)", 11, consts={"k": np.int32(-1)}),
    Case("CumSum-over-channels-stays", "y = CumSum(a, k)", free=0, consts={"k": np.int64(1)}),
    Case("CumSum-over-a-computed-axis-stays", "r = ReduceMax<keepdims = 0>(x)  z = Mul(r, o)  k = Cast<to = 7>(z)  "
         "y = CumSum(a, k)", free=0, consts={"o": np.float32(0)}),
    Case("CumProd-over-height", "y = CumProd(a, k)", 26, consts={"k": np.int64(2)}),
    Case("CumProd-over-channels-stays", "y = CumProd(a, k)", 26, free=0, consts={"k": np.int64(1)}),
    Case("TopK-over-width", "y, i = TopK(a, k)", 11, consts={"k": ints(2)}),
    Case("TopK-indices-carry-channels", "v, i = TopK<axis = 2>(a, k)  f = Cast<to = 1>(i)  y = Mul(v, f)", 11,
         consts={"k": ints(2)}),
    Case("TopK-7", "y, i = TopK<axis = 2, k = 3>(a)", 7),
    Case("TopK-10", "y, i = TopK<axis = 3>(a, k)", 10, consts={"k": ints(3)}),
    Case("TopK-24", "y, i = TopK<axis = -1, largest = 0>(a, k)", 24, consts={"k": ints(3)}),
    Case("TopK-over-channels-stays", "y, i = TopK<axis = 1>(a, k)", free=0, y=(3,), consts={"k": ints(3)}),
    Case("ReverseSequence", "p = Transpose<perm = [3, 0, 1, 2]>(a)  r = ReverseSequence(p, n)  "
         "y = Transpose<perm = [1, 2, 3, 0]>(r)", consts={"n": ints(4)}),
    Case("ReverseSequence-over-channels-stays", "y = ReverseSequence<time_axis = 1, batch_axis = 0>(a, n)", free=0,
         consts={"n": ints(4)}),
    Case("Trilu", "y = Trilu(a)"),
    Case("Trilu-lower-below-the-diagonal", "y = Trilu<upper = 0>(a, k)", consts={"k": np.int64(-1)}),
    Case("Trilu-over-channels-stays", "p = Transpose<perm = [0, 2, 1, 3]>(a)  t = Trilu(p)  "
         "y = Transpose<perm = [0, 2, 1, 3]>(t)", free=0),
    Case("Det", "d = Det(a)  y = Unsqueeze(d, u)", consts={"u": ints(2, 3)}),
    Case("DFT-17", "f = Reshape(a, z)  d = DFT<axis = 2>(f)  y = Reshape(d, k)",
         consts={"z": ints(1, 8, 36, 1), "k": ints(1, 8, 12, 6)}),
    Case("DFT-20", "f = Reshape(a, z)  d = DFT(f, , ax)  y = Reshape(d, k)", 20,
         consts={"z": ints(1, 8, 36, 1), "k": ints(1, 8, 12, 6), "ax": np.int64(2)}),
    Case("DFT-20-default-axis", "f = Reshape(a, z)  d = DFT<onesided = 1>(f)  y = Identity(d)", 20, consts={"z": ints(1, 8, 36, 1)}),
    Case("DFT-over-channels-stays", "f = Reshape(a, z)  d = DFT<axis = 1>(f)  y = Identity(d)", free=0,
         consts={"z": ints(1, 8, 36, 1)}),
    Case("STFT-of-the-channels-one-by-one", "f = Reshape(a, z)  d = STFT(f, n, w)  e = Reshape(d, k)  y = Identity(e)",
         free=8, consts={"z": ints(8, 36, 1), "n": np.int64(6), "w": normal(12), "k": ints(1, 8, 5, -1)}),
    Case("STFT-of-a-window-made-from-its-size", "f = Reshape(a, z)  w = HannWindow(m)  d = STFT(f, n, w)  y = Reshape(d, k)",
         consts={"z": ints(8, 36, 1), "n": np.int64(6), "m": np.int64(12), "k": ints(1, 8, 5, -1)}),
    Case("RandomNormalLike-stays", "r = RandomNormalLike<seed = 1.0>(a)  z = Mul(r, o)  y = Add(z, a)", free=0,
         consts={"o": np.float32(0)}),
    Case("Bernoulli-stays", "s = Sigmoid(a)  r = Bernoulli<seed = 1.0>(s)  z = Mul(r, o)  y = Add(z, a)", free=0,
         consts={"o": np.float32(0)}),
]  # fmt: skip

STREAMING = [
    Case("CausalConvWithState", "f = Reshape(a, z)  c, p = CausalConvWithState(f, w, h, m)  y = Reshape(c, k)", 27,
         consts={"z": ints(1, 8, 36), "w": normal(8, 1, 3), "h": normal(8), "m": normal(1, 8, 2), "k": ints(1, 8, 6, 6)}),
    Case("CausalConvWithState-alone", "f = Reshape(a, z)  c, p = CausalConvWithState<activation = \"silu\">(f, w)  "
         "y = Reshape(c, k)  y1 = Unsqueeze(p, u)", 27, y=(8, 8),
         consts={"z": ints(1, 8, 36), "w": normal(8, 1, 3), "k": ints(1, 8, 6, 6), "u": ints(3)}),
    *(Case(f"LinearAttention-{rule}-values", "f = Reshape(a, z)  v = Transpose<perm = [0, 2, 1]>(f)  "
           "g = Reshape(x, z3)  x3 = Transpose<perm = [0, 2, 1]>(g)  q = MatMul(x3, wq)  k = MatMul(x3, wk)  "
           f"o, p = LinearAttention<q_num_heads = 4, kv_num_heads = 2, update_rule = \"{rule}\">(q, k, v{more})  "
           "t = Transpose<perm = [0, 2, 1]>(o)  y = Reshape(t, s)", 27, y=(16,),
           consts={"z": ints(1, 8, 36), "z3": ints(1, 3, 36), "wq": normal(3, 12) / 4, "wk": normal(3, 6) / 4,
                   "be": 0.5 * np.ones((1, 36, 2), np.float32), "de": -0.5 * np.ones((1, 36, 2), np.float32),
                   "s": ints(1, -1, 6, 6)})
      for rule, more in (("linear", ""), ("delta", ", , , be"), ("gated", ", , de"))),
]  # fmt: skip

NOT_CHECKED = [  # the checker refuses these forms; ONNX Runtime runs them
    Case("GroupNormalization-18-scales-groups", "y = GroupNormalization<num_groups = 2>(a, s, t)", 18,
         consts={"s": normal(2), "t": normal(2, seed=1)}),
    Case("MeanVarianceNormalization-default", "y = MeanVarianceNormalization(a)", 13),
    Case("MeanVarianceNormalization-9", "y = MeanVarianceNormalization<axes = [2, 3]>(a)", 9),
]  # fmt: skip

CASES = [*GROUPS, *HEADS, *NORMS, *EINSUM, *ALONG, *STREAMING]


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case([*CASES, *NOT_CHECKED])
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


X = (1, 8, 6, 6)


@pytest.mark.parametrize(
    "case", [*HEADS, *(c for c in GROUPS if c.name.startswith("decomposed"))], ids=lambda c: c.name
)
def test_second_way_to_divide_an_axis_leaves_whole_groups_to_remove(case):
    units = analyse(network(case)).units
    divided = {node.choice for node in units.nodes.values()} - {""}
    groups = 4 if case.name == "decomposed-GroupNorm-by-means" else 2
    assert [f"({groups}) carries the units" in choice for choice in divided] == [True]
    held = np.unique(units.group[units.of(units.axes["wa"].at(0))])
    assert (np.isin(units.group, held)).sum() == groups


def test_groups_of_opset_18_share_one_scale():
    given = ("GroupNormalization", [axes(X, a1=0), axes((2,), a0=20), axes((2,), a0=30)], [X])
    c = couple(*given, version=18, num_groups=2)
    assert ties(c) == [(0, 1), (0, 2), (0, 3), (0, 20), (0, 30), (4, 5), (4, 6), (4, 7), (4, 21),
                       (4, 31)]  # fmt: skip
    assert carried(c)[1] == list(range(8))
    assert derive([0, 1, 2, 3, 20, 30], *given, version=18, num_groups=2) == ({"num_groups": 1}, {})
    assert derive([], *given, version=18, num_groups=2) == ({}, {})


def test_groups_of_opset_21_have_a_scale_per_channel():
    given = (
        "GroupNormalization",
        [axes(X, a1=0, a2=60), axes((8,), a0=20), axes((8,), a0=30)],
        [X],
    )
    c = couple(*given, version=21, num_groups=2)
    assert {(5, 25), (5, 35), (4, 5)} <= set(ties(c))
    assert frozen(c) == {"normalises over this axis": list(range(60, 66))}


def test_a_single_group_stays():
    parameters = [axes((8,), a0=20), axes((8,), a0=30)]
    c = couple("GroupNormalization", [axes(X, a1=0), *parameters], [X], version=21, num_groups=1)
    assert frozen(c) == {"normalises over this axis": list(range(8))}


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (axes((6,), a0=20), list(range(20, 26))),
        (axes((8, 1, 6), a0=40, a2=20), list(range(20, 26))),
    ],
)
def test_rms_norm_freezes_what_it_normalises(scale, expected):
    c = couple("RMSNormalization", [axes(X, a1=0), scale], [X], version=23)
    assert frozen(c) == {"normalises over this axis": expected}
    assert ties(c) == ([] if scale.rank == 1 else [(i, i + 40) for i in range(8)])


def test_einsum_needs_a_weight_where_it_sums():
    given = [axes((2, 8), a1=0), axes((8, 3), a0=10, a1=20)]
    c = couple("Einsum", given, [(2, 3)], weights=(1,), equation="bc,cd->bd")
    assert ties(c) == [(i, i + 10) for i in range(8)]
    assert [f.tolist() for f in c.filters] == [[20, 21, 22]]
    assert [f.tolist() for f in c.consumed] == [list(range(10, 18))]
    both = couple("Einsum", given, [(2, 3)], equation="bc,cd->bd")
    assert both.consumed == both.filters == ()
    assert {f.reason for f in both.frozen} == {"sums over this axis, which no weight consumes"}
    assert sorted(i for f in both.frozen for i in f.ids) == [*range(8), *range(10, 18)]


def test_einsum_reads_a_repeated_letter_as_one_axis():
    c = couple("Einsum", [axes((1, 4, 4), a1=0, a2=10)], [(4,)], equation="ncc->c")
    assert carried(c) == [[0, 1, 2, 3]]
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13)]


def test_einsum_leaves_a_broadcast_axis_out():
    given = [axes((2, 8), a1=0), axes((1, 8), a1=10)]
    c = couple("Einsum", given, [(2, 8)], weights=(1,), equation="...c,...c->...c")
    assert carried(c) == [None, list(range(8))]
    assert c.filters == ()


def test_einsum_in_its_implicit_form_sorts_letters_behind_the_broadcast_axes():
    given = [axes((5, 2, 3), a1=10, a2=20)]
    assert carried(couple("Einsum", given, [(5, 3, 2)], equation="...BA")) == [
        None, [20, 21, 22], [10, 11]]  # fmt: skip


def test_einsum_costs_the_product_of_its_letters():
    case = next(case for case in EINSUM if case.name == "Einsum-as-a-1x1-convolution")
    units = analyse(network(case)).units
    by_einsum = 8 * 5 * 36
    by_the_others = 2 * 3 * 8 * 36 + 5 * 2 * 36
    assert total_cost(mac_terms(units), np.ones(units.count, bool)) == by_einsum + by_the_others


def test_swiglu_ties_the_gate_to_the_value():
    c = couple("SwiGLU", [axes(X, a1=0), axes(X, a1=10)], [X], version=28)
    assert ties(c) == [(i, i + 10) for i in range(8)]


def test_work_along_an_axis_computed_at_run_time_freezes_all():
    c = couple("CumSum", [axes(X, a1=0), axes(())], [X])
    assert frozen(c) == {"accumulates over an axis computed at run time": list(range(8))}
    c = couple("DFT", [axes(X, a1=0), None, axes(())], [(1, 8, 6, 2)], version=20)
    assert frozen(c) == {"transforms an axis computed at run time": list(range(8))}


def test_value_channels_of_linear_attention_are_tied_across_heads():
    given = [axes((1, 5, 12), a2=0), axes((1, 5, 6), a2=20), axes((1, 5, 8), a2=40),
             axes((1, 2, 3, 4), a3=60)]  # fmt: skip
    c = couple("LinearAttention", given, [(1, 5, 16), (1, 2, 3, 4)], version=27, q_num_heads=4,
               kv_num_heads=2)  # fmt: skip
    assert ties(c) == [
        (40, 44),
        (40, 60),
        (41, 45),
        (41, 61),
        (42, 46),
        (42, 62),
        (43, 47),
        (43, 63),
    ]
    assert carried(c)[2] == [40, 41, 42, 43] * 4
    assert carried(c, 1)[3] == [40, 41, 42, 43]
    assert sorted(i for f in c.frozen for i in f.ids) == [*range(12), *range(20, 26)]
