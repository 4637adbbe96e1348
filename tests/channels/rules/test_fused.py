"""Rules of `rules/fused.py`: the universal property, and what each rule says."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
import pytest
from fused_calls import couple_fused, derived, held, listed
from operator_cases import (
    Case,
    assert_costs_follow,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
)
from rule_calls import axes, carried, ties
from strategies import normal


def microsoft(name, body, **extra):
    return Case(name, body, domains=("com.microsoft",), **extra)


BACK = "u = Transpose<perm = [0, 2, 1]>(o)  y = Reshape(u, r)"

SHAPES = {"s": ints(1, 8, 36), "r": ints(1, -1, 6, 6)}

TOKENS = "f = Reshape(a, s)  q = Transpose<perm = [0, 2, 1]>(f)"


def tokens(name, body, *, consts=None, **extra):
    """Make a case on tokens: ``q`` is ``a`` as (1, 36, 8), and ``o`` becomes ``y``."""
    text = f"{TOKENS}  {body}  {BACK}"
    return microsoft(name, text, consts={**SHAPES, **(consts or {})}, **extra)


CASES = [
    Case("Gelu-microsoft", "y = com.microsoft.Gelu(a)", domains=("com.microsoft",)),
    microsoft("FusedConv", "y = com.microsoft.FusedConv<activation = \"Relu\">(a, w, c)", y=(5,),
              consts={"w": normal(5, 8, 1, 1), "c": normal(5)}),
    microsoft("FusedConv-without-bias", "y = com.microsoft.FusedConv<activation = \"Tanh\">(a, w)", y=(5,),
              consts={"w": normal(5, 8, 1, 1)}),
    microsoft("FusedConv-summand", "z = Conv(b, v)  y = com.microsoft.FusedConv<activation = \"Relu\">(a, w, c, z)",
              y=(8,), consts={"w": normal(8, 8, 1, 1), "v": normal(8, 8, 1, 1), "c": normal(8)}),
    microsoft("FusedConv-summand-without-bias",
              "y = com.microsoft.FusedConv<activation = \"Relu\">(a, w, , b)", consts={"w": normal(8, 8, 1, 1)}),
    microsoft("FusedConv-summand-of-the-input-stays", "y = com.microsoft.FusedConv<activation = \"Relu\">(x, w, , a)",
              consts={"w": normal(8, 3, 1, 1)}),
    microsoft("FusedConv-activation-parameters",
              "y = com.microsoft.FusedConv<activation = \"LeakyRelu\", activation_params = [0.2]>(a, w)", y=(5,),
              consts={"w": normal(5, 8, 1, 1)}),
    microsoft("FusedConv-grouped", "y = com.microsoft.FusedConv<group = 2, activation = \"Relu\">(a, w, c)", y=(6,),
              consts={"w": normal(6, 4, 1, 1), "c": normal(6)}),
    microsoft("FusedConv-depthwise",
              "y = com.microsoft.FusedConv<group = 8, pads = [1, 1, 1, 1], activation = \"Relu\">(a, w, c)",
              consts={"w": normal(8, 1, 3, 3), "c": normal(8)}),
    microsoft("FusedConv-depthwise-clipped",
              "y = com.microsoft.FusedConv<group = 8, activation = \"Clip\", activation_params = [0.0, 6.0]>(a, w)",
              consts={"w": normal(8, 1, 1, 1)}),
    tokens("FusedMatMul", "o = com.microsoft.FusedMatMul<alpha = 0.5>(q, w)", y=(5,), consts={"w": normal(8, 5)}),
    tokens("FusedMatMul-transB", "o = com.microsoft.FusedMatMul<transB = 1>(q, w)", y=(5,), consts={"w": normal(5, 8)}),
    tokens("FusedMatMul-transA", "o = com.microsoft.FusedMatMul<transA = 1>(f, w)", y=(5,), consts={"w": normal(8, 5)}),
    tokens("FusedMatMul-both", "o = com.microsoft.FusedMatMul<transA = 1, transB = 1>(f, w)", y=(5,),
           consts={"w": normal(5, 8)}),
    tokens("TransposeMatMul", "o = com.microsoft.TransposeMatMul<transA = 1, alpha = 2.0>(f, w)", y=(5,),
           consts={"w": normal(8, 5)}),
    microsoft("FusedMatMul-transBatchA",
              # a as (8, 6, 6): the channels move behind the batch
              "f = Reshape(a, s)  m = com.microsoft.FusedMatMul<transBatchA = 1>(f, w)  "
              "t = Transpose<perm = [1, 0, 2]>(m)  y = Unsqueeze(t, z)",
              consts={"s": ints(8, 6, 6), "w": normal(6, 6, 6), "z": ints(0)}),
    microsoft("FusedMatMul-transBatchA-transA",
              # (8, 6, 6) becomes (6, 8, 6), then (6, 6, 8): the channels are summed over
              "f = Reshape(a, s)  m = com.microsoft.FusedMatMul<transBatchA = 1, transA = 1>(f, w)  "
              "t = Transpose<perm = [2, 0, 1]>(m)  y = Unsqueeze(t, z)", y=(5,),
              consts={"s": ints(8, 6, 6), "w": normal(6, 8, 5), "z": ints(0)}),
    microsoft("FusedMatMul-transBatchB",
              "f = Reshape(a, s)  m = com.microsoft.FusedMatMul<transBatchB = 1>(w, f)  "
              "t = Transpose<perm = [1, 0, 2]>(m)  y = Unsqueeze(t, z)", y=(5,),
              consts={"s": ints(8, 6, 6), "w": normal(6, 5, 8), "z": ints(0)}),
    microsoft("FusedMatMul-transBatchB-transB",
              "f = Reshape(a, s)  m = com.microsoft.FusedMatMul<transBatchB = 1, transB = 1>(w, f)  "
              "t = Transpose<perm = [2, 0, 1]>(m)  y = Unsqueeze(t, z)",
              consts={"s": ints(8, 6, 6), "w": normal(6, 6, 6), "z": ints(0)}),
    tokens("FusedMatMul-of-activations-over-channels-stays",
           "g = Reshape(b, s)  k = com.microsoft.FusedMatMul<transA = 1>(f, g)  p = Softmax(k)  "
           "o = MatMul(p, v)", free=0, y=(4,), consts={"v": normal(36, 4)}),
    microsoft("FusedGemm", "f = Flatten(a)  h = com.microsoft.FusedGemm<transB = 1, activation = \"Relu\">(f, w, c)  "
              "y = Reshape(h, t)", y=(4,), consts={"w": normal(4, 288), "c": normal(4), "t": ints(1, -1, 1, 1)}),
    microsoft("FusedGemm-transA", "f = Flatten(a)  p = Transpose(f)  "
              "h = com.microsoft.FusedGemm<transA = 1, alpha = 0.5, activation = \"LeakyRelu\", activation_alpha = 0.1>(p, w)  "
              "y = Reshape(h, t)", y=(4,), consts={"w": normal(288, 4), "t": ints(1, -1, 1, 1)}),
    tokens("BiasGelu", "o = com.microsoft.BiasGelu(q, c)", consts={"c": normal(8)}),
    tokens("FastGelu", "o = com.microsoft.FastGelu(q)"),
    tokens("FastGelu-bias", "o = com.microsoft.FastGelu(q, c)", consts={"c": normal(8)}),
    tokens("QuickGelu", "o = com.microsoft.QuickGelu<alpha = 1.5>(q)"),
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


def test_channels_last_conv_reads_the_last_axis():
    w = axes((2, 4, 1, 1), a0=10, a1=20)
    c = couple_fused("NhwcConv", [axes((1, 6, 6, 4), a3=0), w, axes((2,), a0=30)], [(1, 6, 6, 2)],
               weights=(1, 2))  # fmt: skip
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23), (10, 30), (11, 31)]
    assert carried(c) == [None, None, None, [10, 11]]
    assert listed(c.filters) == [[10, 11]]
    assert listed(c.consumed) == [[20, 21, 22, 23]]


def test_channels_last_conv_freezes_height():
    c = couple_fused("NhwcConv", [axes((1, 6, 5, 4), a1=40, a3=0), axes((2, 4, 1, 1), a0=10, a1=20)],
               [(1, 6, 5, 2)], weights=(1,))  # fmt: skip
    assert held(c) == {"convolves over this axis": [40, 41, 42, 43, 44, 45]}


def test_channels_last_fused_conv_ties_its_summand():
    inputs = [axes((1, 6, 6, 4), a3=0), axes((2, 4, 1, 1), a0=10, a1=20), None,
              axes((1, 6, 6, 2), a3=40)]  # fmt: skip
    c = couple_fused("NhwcFusedConv", inputs, [(1, 6, 6, 2)], weights=(1,), activation="Relu")
    assert (10, 40) in ties(c)
    assert (11, 41) in ties(c)
    assert carried(c) == [None, None, None, [10, 11]]


def test_channels_last_depthwise_conv_counts_its_groups_anew():
    given = ("NhwcConv", [axes((1, 6, 6, 4), a3=0), axes((4, 1, 3, 3), a0=10)], [(1, 6, 6, 4)])
    assert derived([1, 2], *given, weights=(1,), group=4) == {"group": 2}


def test_channels_last_pool_passes_the_last_axis():
    c = couple_fused("NhwcMaxPool", [axes((1, 6, 6, 4), a2=50, a3=0)], [(1, 3, 3, 4)])
    assert carried(c) == [None, None, None, [0, 1, 2, 3]]
    assert held(c) == {"pools over this axis": [50, 51, 52, 53, 54, 55]}


def test_fused_conv_with_an_activation_over_channels_freezes_its_output():
    w = axes((2, 4, 1, 1), a0=10, a1=20)
    c = couple_fused("FusedConv", [axes((1, 4, 6, 6), a1=0), w], [(1, 2, 6, 6)], weights=(1,),
               activation="Softmax")  # fmt: skip
    assert held(c) == {"applies Softmax over this axis": [10, 11]}


@pytest.mark.parametrize(("activation", "stays"), [("Relu", {}), ("Softmax", [30, 31])])
def test_fused_matmul_activation(activation, stays):
    c = couple_fused("FusedMatMulActivation", [axes((1, 3, 4), a2=0), axes((2, 4), a0=30, a1=20)],
               [(1, 3, 2)], weights=(1,), transB=1, activation=activation)  # fmt: skip
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23)]
    assert carried(c) == [None, None, [30, 31]]
    assert held(c) == ({"applies Softmax over this axis": stays} if stays else {})


def test_fused_matmul_leaves_vectors_alone():
    c = couple_fused("FusedMatMul", [axes((4,), a0=0), axes((4, 2), a0=20, a1=30)], [(2,)],
               weights=(1,), transA=1, transBatchA=1)  # fmt: skip
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23)]
    assert carried(c) == [[30, 31]]


@pytest.mark.parametrize("bias", [True, False])
def test_gemm_fast_gelu_ties_its_bias(bias):
    operands = [axes((1, 3, 4), a2=0), axes((4, 2), a0=20, a1=30)]
    operands += [axes((2,), a0=40)] if bias else []
    c = couple_fused("GemmFastGelu", operands, [(1, 3, 2)], weights=(1, 2))
    assert ties(c) == [(0, 20), (1, 21), (2, 22), (3, 23), *([(30, 40), (31, 41)] if bias else [])]
    assert carried(c) == [None, None, [30, 31]]
    assert listed(c.filters) == [[30, 31]]


def test_bias_add_ties_the_bias_and_the_skip():
    c = couple_fused("BiasAdd", [axes((1, 5, 2), a2=0), axes((2,), a0=10), axes((1, 5, 2), a2=20)],
               [(1, 5, 2)])  # fmt: skip
    assert ties(c) == [(0, 10), (0, 20), (1, 11), (1, 21)]
    assert carried(c) == [None, None, [0, 1]]


def test_bias_split_gelu_ties_the_halves():
    c = couple_fused("BiasSplitGelu", [axes((1, 5, 4), a2=0), axes((4,), a0=10)], [(1, 5, 2)])
    assert ties(c) == [(0, 2), (0, 10), (1, 3), (1, 11), (2, 12), (3, 13)]
    assert carried(c) == [None, None, [0, 1]]


def test_bias_split_gelu_of_inert_operands_is_inert():
    c = couple_fused("BiasSplitGelu", [axes((1, 5, 4)), axes((4,))], [(1, 5, 2)])
    assert carried(c) == [None, None, None]


def test_bias_dropout_ties_bias_and_residual_and_passes_the_mask():
    c = couple_fused("BiasDropout", [axes((1, 5, 2), a2=0), axes((2,), a0=10), axes((1, 5, 2), a2=20)],
               [(1, 5, 2), (1, 5, 2)])  # fmt: skip
    assert ties(c) == [(0, 10), (0, 20), (1, 11), (1, 21)]
    assert carried(c, 1) == [None, None, [0, 1]]


def test_bias_dropout_without_residual_and_mask():
    c = couple_fused(
        "BiasDropout", [axes((1, 5, 2), a2=0), axes((2,), a0=10), None], [(1, 5, 2), ()]
    )
    assert ties(c) == [(0, 10), (1, 11)]
    assert carried(c, 1) == []


def test_a_bias_dropout_that_drops_freezes_its_input():
    x = axes((1, 5, 2), a2=0)
    c = couple_fused(
        "BiasDropout", [x, axes((2,), a0=10), None, np.float32(0.5), True], [(1, 5, 2)]
    )
    assert held(c) == {"draws random numbers for this axis": [0, 1]}
