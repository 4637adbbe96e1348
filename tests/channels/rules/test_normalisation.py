"""Rules of `rules/normalisation.py`: the universal property, and what each rule says."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import pytest
from operator_cases import (
    Case,
    assert_costs_follow,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
)
from rule_calls import axes, carried, couple, derive, frozen, ties
from strategies import normal

BN = {"s": normal(8), "t": normal(8, seed=1), "m": normal(8, seed=2), "v": normal(8) ** 2 + 0.1}

PARAMETERS = {"s": normal(8), "t": normal(8, seed=1)}

WIDE = (1, 8, 6, 6)

BACK = "u = Transpose<perm = [0, 2, 1]>(o)  y = Reshape(u, r)"

SHAPES = {"s": ints(1, 8, 36), "r": ints(1, -1, 6, 6)}

TOKENS = "f = Reshape(a, s)  q = Transpose<perm = [0, 2, 1]>(f)"


def microsoft(name, body, **extra):
    return Case(name, body, domains=("com.microsoft",), **extra)


def tokens(name, body, *, consts=None, **extra):
    """Make a case on tokens: ``q`` is ``a`` as (1, 36, 8), and ``o`` becomes ``y``."""
    text = f"{TOKENS}  {body}  {BACK}"
    return microsoft(name, text, consts={**SHAPES, **(consts or {})}, **extra)


X = (1, 4, 6, 6)

CASES = [
    *(Case(f"BatchNormalization-{o}", "y = BatchNormalization(a, s, t, m, v)", o, consts=BN)
      for o in (7, 9, 14, 15, 17)),
    Case("InstanceNormalization", "y = InstanceNormalization(a, s, t)",
         consts={k: BN[k] for k in "st"}),
    Case("LayerNormalization-over-width", "y = LayerNormalization(a, s)", consts={"s": normal(6)}),
    Case("LayerNormalization-over-channels-stays",
         "p = Transpose<perm = [0, 2, 3, 1]>(a)  n = LayerNormalization(p, s)  "
         "y = Transpose<perm = [0, 3, 1, 2]>(n)", free=0, consts={"s": normal(8)}),
    Case("LRN-stays", "y = LRN<size = 3>(a)", free=0),
    Case("LpNormalization-over-width", "y = LpNormalization<axis = 3>(a)"),
    Case("decomposed-LayerNorm2d-stays",
         "m = ReduceMean<axes = [1]>(a)  d = Sub(a, m)  q = Mul(d, d)  "
         "v = ReduceMean<axes = [1]>(q)  r = Sqrt(v)  y = Div(d, r)", free=0),
    Case("GroupNormalization-21", "y = GroupNormalization<num_groups = 4>(a, s, t)", 21, consts=PARAMETERS),
    Case("GroupNormalization-21-one-channel-each", "y = GroupNormalization<num_groups = 8>(a, s, t)", 21,
         consts=PARAMETERS),
    Case("GroupNormalization-21-one-group-stays", "y = GroupNormalization<num_groups = 1>(a, s, t)", 21, free=0,
         consts=PARAMETERS),
    Case("GroupNormalization-of-a-sum", "e = Add(a, b)  y = GroupNormalization<num_groups = 4>(e, s, t)", 21,
         consts=PARAMETERS),
    Case("channel-shuffle-into-GroupNorm", "f = Reshape(a, z)  p = Transpose<perm = [0, 2, 1, 3, 4]>(f)  "
         "r = Reshape(p, k)  y = GroupNormalization<num_groups = 2>(r, s, t)", 21,
         consts={**PARAMETERS, "z": ints(1, 2, 4, 6, 6), "k": ints(1, 8, 6, 6)}),
    Case("RMSNormalization-over-width", "y = RMSNormalization(a, s)", 23, consts={"s": normal(6)}),
    Case("RMSNormalization-over-height-and-width", "y = RMSNormalization<axis = -2>(a, s)", 23, consts={"s": normal(6, 6)}),
    Case("RMSNormalization-scaled-per-channel", "y = RMSNormalization<axis = 3>(a, s)", 23, consts={"s": normal(8, 1, 6)}),
    Case("RMSNormalization-over-channels-stays", "y = RMSNormalization<axis = 1>(a, s)", 23, free=0,
         consts={"s": normal(8, 6, 6)}),
    Case("RMSNormalization-of-tokens-stays", "p = Transpose<perm = [0, 2, 3, 1]>(a)  n = RMSNormalization(p, s)  "
         "y = Transpose<perm = [0, 3, 1, 2]>(n)", 23, free=0, consts={"s": normal(8)}),
    Case("MeanVarianceNormalization-over-channels-stays", "y = MeanVarianceNormalization<axes = [1, 2, 3]>(a)", 13, free=0),
    Case("MeanVarianceNormalization-negative-axes", "y = MeanVarianceNormalization<axes = [-1]>(a)", 13, spare=("wa", "ba")),
    tokens("LayerNormalization-stays-at-any-opset", "o = LayerNormalization<axis = -1>(q, g, c)", opset=11, free=0,
           consts={"g": normal(8), "c": normal(8)}),
    microsoft("LayerNormalization-over-positions", "f = Reshape(a, s)  n = LayerNormalization<axis = -1>(f, g, c)  "
              "y = Reshape(n, r)", opset=13, consts={**SHAPES, "g": normal(36), "c": normal(36)}),
    tokens("SimplifiedLayerNormalization-stays", "o = SimplifiedLayerNormalization<axis = -1>(q, g)", free=0,
           consts={"g": normal(8)}),
    microsoft("SimplifiedLayerNormalization-over-positions", "f = Reshape(a, s)  "
              "n = SimplifiedLayerNormalization<axis = -1>(f, g)  y = Reshape(n, r)",
              consts={**SHAPES, "g": normal(36)}),
]  # fmt: skip

NOT_CHECKED = [  # the checker refuses these forms; ONNX Runtime runs them
    Case("GroupNormalization-18-scales-groups", "y = GroupNormalization<num_groups = 2>(a, s, t)", 18,
         consts={"s": normal(2), "t": normal(2, seed=1)}),
    Case("MeanVarianceNormalization-default", "y = MeanVarianceNormalization(a)", 13),
    Case("MeanVarianceNormalization-9", "y = MeanVarianceNormalization<axes = [2, 3]>(a)", 9),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case([*CASES, *NOT_CHECKED])
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


@each_case(CASES)
def test_costs_are_exact_after_removal(case):
    assert_costs_follow(case)


def test_groups_of_opset_18_share_one_scale():
    given = ("GroupNormalization", [axes(WIDE, a1=0), axes((2,), a0=20), axes((2,), a0=30)], [WIDE])
    c = couple(*given, version=18, num_groups=2)
    assert ties(c) == [(0, 1), (0, 2), (0, 3), (0, 20), (0, 30), (4, 5), (4, 6), (4, 7), (4, 21),
                       (4, 31)]  # fmt: skip
    assert carried(c)[1] == list(range(8))
    assert derive([0, 1, 2, 3, 20, 30], *given, version=18, num_groups=2) == ({"num_groups": 1}, {})
    assert derive([], *given, version=18, num_groups=2) == ({}, {})


def test_groups_of_opset_21_have_a_scale_per_channel():
    given = (
        "GroupNormalization",
        [axes(WIDE, a1=0, a2=60), axes((8,), a0=20), axes((8,), a0=30)],
        [WIDE],
    )
    c = couple(*given, version=21, num_groups=2)
    assert {(5, 25), (5, 35), (4, 5)} <= set(ties(c))
    assert frozen(c) == {"normalises over this axis": list(range(60, 66))}


def test_a_single_group_stays():
    parameters = [axes((8,), a0=20), axes((8,), a0=30)]
    c = couple(
        "GroupNormalization", [axes(WIDE, a1=0), *parameters], [WIDE], version=21, num_groups=1
    )
    assert frozen(c) == {"normalises over this axis": list(range(8))}


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (axes((6,), a0=20), list(range(20, 26))),
        (axes((8, 1, 6), a0=40, a2=20), list(range(20, 26))),
    ],
)
def test_rms_norm_freezes_what_it_normalises(scale, expected):
    c = couple("RMSNormalization", [axes(WIDE, a1=0), scale], [WIDE], version=23)
    assert frozen(c) == {"normalises over this axis": expected}
    assert ties(c) == ([] if scale.rank == 1 else [(i, i + 40) for i in range(8)])


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
        "scales by neighbours along this axis": [0, 1, 2, 3]
    }
