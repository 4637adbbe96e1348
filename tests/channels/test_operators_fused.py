"""The universal property for what ONNX Runtime's optimiser fuses; attention has its own file."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
from operator_cases import (
    Case,
    assert_costs_follow,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
)
from strategies import normal

TOKENS = "f = Reshape(a, s)  q = Transpose<perm = [0, 2, 1]>(f)"
BACK = "u = Transpose<perm = [0, 2, 1]>(o)  y = Reshape(u, r)"
SHAPES = {"s": ints(1, 8, 36), "r": ints(1, -1, 6, 6)}


def microsoft(name, body, **extra):
    return Case(name, body, domains=("com.microsoft",), **extra)


def tokens(name, body, *, consts=None, **extra):
    """Make a case on tokens: ``q`` is ``a`` as (1, 36, 8), and ``o`` becomes ``y``."""
    text = f"{TOKENS}  {body}  {BACK}"
    return microsoft(name, text, consts={**SHAPES, **(consts or {})}, **extra)


CONV = [
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
]  # fmt: skip

PRODUCTS = [
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
]  # fmt: skip

BIAS = [
    tokens("BiasGelu", "o = com.microsoft.BiasGelu(q, c)", consts={"c": normal(8)}),
    tokens("FastGelu", "o = com.microsoft.FastGelu(q)"),
    tokens("FastGelu-bias", "o = com.microsoft.FastGelu(q, c)", consts={"c": normal(8)}),
    tokens("QuickGelu", "o = com.microsoft.QuickGelu<alpha = 1.5>(q)"),
]

NORM = [
    tokens("LayerNormalization-stays-at-any-opset", "o = LayerNormalization<axis = -1>(q, g, c)", opset=11, free=0,
           consts={"g": normal(8), "c": normal(8)}),
    microsoft("LayerNormalization-over-positions", "f = Reshape(a, s)  n = LayerNormalization<axis = -1>(f, g, c)  "
              "y = Reshape(n, r)", opset=13, consts={**SHAPES, "g": normal(36), "c": normal(36)}),
    tokens("SimplifiedLayerNormalization-stays", "o = SimplifiedLayerNormalization<axis = -1>(q, g)", free=0,
           consts={"g": normal(8)}),
    microsoft("SimplifiedLayerNormalization-over-positions", "f = Reshape(a, s)  "
              "n = SimplifiedLayerNormalization<axis = -1>(f, g)  y = Reshape(n, r)",
              consts={**SHAPES, "g": normal(36)}),
    tokens("SkipLayerNormalization-stays", "v = MatMul(q, w)  o = com.microsoft.SkipLayerNormalization(q, v, g, c, d)",
           free=0, consts={"w": normal(8, 8), "g": normal(8), "c": normal(8), "d": normal(8)}),
    microsoft("SkipLayerNormalization-over-positions", "f = Reshape(a, s)  h = Reshape(b, s)  "
              "n = com.microsoft.SkipLayerNormalization(f, h, g, c)  y = Reshape(n, r)",
              consts={**SHAPES, "g": normal(36), "c": normal(36)}),
    microsoft("SkipLayerNormalization-skip-of-rank-2", "f = Reshape(a, s)  "
              "n = com.microsoft.SkipLayerNormalization(f, k, g)  y = Reshape(n, r)",
              consts={**SHAPES, "g": normal(36), "k": normal(8, 36)}),
    microsoft("SkipLayerNormalization-sum", "f = Reshape(a, s)  h = Reshape(b, s)  "
              "n, , , m = com.microsoft.SkipLayerNormalization(f, h, g, c, d)  y = Reshape(n, r)  y1 = Reshape(m, r)",
              y=(8, 8), consts={**SHAPES, "g": normal(36), "c": normal(36), "d": normal(36)}),
    microsoft("SkipSimplifiedLayerNormalization-sum", "f = Reshape(a, s)  h = Reshape(b, s)  "
              "n, , , m = com.microsoft.SkipSimplifiedLayerNormalization(f, h, g, d)  y = Reshape(n, r)  y1 = Reshape(m, r)",
              y=(8, 8), consts={**SHAPES, "g": normal(36), "d": normal(36)}),
    tokens("SkipSimplifiedLayerNormalization-stays", "v = MatMul(q, w)  "
           "o = com.microsoft.SkipSimplifiedLayerNormalization(q, v, g)", free=0,
           consts={"w": normal(8, 8), "g": normal(8)}),
    tokens("EmbedLayerNormalization", "e, m = com.microsoft.EmbedLayerNormalization(i, , t, p, , g, c)  "
           "k = MatMul(e, w)  o = Mul(q, k)", consts={
               "i": np.zeros((1, 36), np.int32), "t": normal(3, 4), "p": normal(40, 4), "g": normal(4),
               "c": normal(4), "w": normal(4, 8)}),
]  # fmt: skip

CASES = [*CONV, *PRODUCTS, *BIAS, *NORM]


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


@each_case(CASES)
def test_costs_are_exact_after_removal(case):
    assert_costs_follow(case)
