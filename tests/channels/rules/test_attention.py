"""The universal property for attention: whole heads go, and what is left computes the same."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from fused_calls import couple_fused, derived, held
from operator_cases import (
    Case,
    assert_costs_follow,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
    network,
)
from rule_calls import axes, carried, couple, ties
from strategies import analyse, normal

MS = "com.microsoft"
TOKENS = "f = Reshape(a, s)  i = Transpose<perm = [0, 2, 1]>(f)"
BACK = "u = Transpose<perm = [0, 2, 1]>(o)  y = Reshape(u, r)"
SHAPES = {"s": ints(1, 8, 36), "r": ints(1, -1, 6, 6)}


@dataclass(frozen=True)
class Heads(Case):
    """``i`` is ``a`` as (1, 36, 8) tokens; ``o``, tokens again, becomes ``y``.

    ``whole`` names constants and how many positions of an axis must be removable.
    """

    whole: tuple[tuple[str, int, int], ...] = ()


def heads(name, body, *, consts=None, whole=(), **extra):
    text = f"{TOKENS}  {body}  {BACK}"
    given = {"domains": (MS,), **extra}
    return Heads(name, text, consts={**SHAPES, **(consts or {})}, whole=tuple(whole), **given)


def project(*widths, names="qkv"):
    """Project the tokens to ``q``, ``k`` and ``v``."""
    body = "  ".join(f"{n} = MatMul(i, w{n})" for n, _ in zip(names, widths, strict=True))
    weights = {
        f"w{n}": normal(8, width, seed=k) / 2
        for k, (n, width) in enumerate(zip(names, widths, strict=True))
    }
    return body, weights


W12 = {"w": normal(8, 36) / 2}
PACKED = [
    heads("packed", "o = com.microsoft.Attention<num_heads = 3>(i, w, c)", y=(12,),
          consts={**W12, "c": normal(36)}, whole=[("w", 1, 36), ("c", 0, 36)]),
    heads("packed-without-bias", "o = com.microsoft.Attention<num_heads = 6>(i, w)", y=(12,), consts=W12,
          whole=[("w", 1, 36)]),
    heads("packed-unidirectional-scale", "o = com.microsoft.Attention<num_heads = 3, unidirectional = 1, scale = 0.3>(i, w, c)",
          y=(12,), consts={**W12, "c": normal(36)}, whole=[("w", 1, 36)]),
    heads("packed-hidden-sizes", "o = com.microsoft.Attention<num_heads = 4, qkv_hidden_sizes = [8, 8, 12]>(i, w, c)",
          y=(12,), consts={"w": normal(8, 28), "c": normal(28)}, whole=[("w", 1, 28)]),
    heads("packed-raw-mask", "o = com.microsoft.Attention<num_heads = 3>(i, w, c, m)", y=(12,),
          consts={**W12, "c": normal(36), "m": np.array([[1] * 30 + [0] * 6], np.int32)}, whole=[("w", 1, 36)]),
    heads("packed-mask-of-lengths", "o = com.microsoft.Attention<num_heads = 3>(i, w, c, m)", y=(12,),
          consts={**W12, "c": normal(36), "m": np.array([30], np.int32)}, whole=[("w", 1, 36)]),
    heads("packed-bias-per-head", "o = com.microsoft.Attention<num_heads = 3>(i, w, c, , , e)", y=(12,),
          consts={**W12, "c": normal(36), "e": normal(1, 3, 36, 36)}, whole=[("w", 1, 36), ("e", 1, 3)]),
    heads("packed-bias-for-all-heads", "o = com.microsoft.Attention<num_heads = 3>(i, w, c, , , e)", y=(12,),
          consts={**W12, "c": normal(36), "e": normal(1, 1, 36, 36)}, whole=[("w", 1, 36)]),
    heads("packed-past-and-present",
          "o, n = com.microsoft.Attention<num_heads = 3>(i, w, c, , p)  e = Slice(n, z, one, z)  "
          "l = Squeeze(e, z)  y1 = ReduceMean<axes = [2, 3]>(l)", y=(12, 3),
          consts={**W12, "c": normal(36), "p": normal(2, 1, 3, 5, 4), "z": ints(0), "one": ints(1)},
          whole=[("w", 1, 36), ("p", 2, 3)]),
    heads("packed-one-head-stays", "o = com.microsoft.Attention<num_heads = 1>(i, w, c)", y=(12,),
          consts={**W12, "c": normal(36)}, whole=[("c", 0, 36)]),
    heads("packed-computed-weight", "d = Mul(w, k)  o = com.microsoft.Attention<num_heads = 3>(i, d, c)", y=(12,),
          consts={**W12, "c": normal(36), "k": np.float32(0.5)}, whole=[("w", 1, 36)]),
    heads("packed-weight-of-activations-stays",
          "g = Reshape(b, s)  d = MatMul(g, h)  z = Squeeze(d, o0)  o = com.microsoft.Attention<num_heads = 3>(i, z, c)",
          free=0, y=(12,), consts={"h": normal(36, 36), "c": normal(36), "o0": ints(0)}, whole=[("h", 1, 36)]),
]  # fmt: skip

QKV, WQKV = project(12, 12, 12)
QKV2, WQKV2 = project(8, 8, 12)
ALL = [(f"w{n}", 1, 12) for n in "qkv"]
MULTI = [
    heads("multi", f"{QKV}  o = com.microsoft.MultiHeadAttention<num_heads = 3>(q, k, v)", y=(12,), consts=WQKV, whole=ALL),
    heads("multi-bias", f"{QKV}  o = com.microsoft.MultiHeadAttention<num_heads = 3, unidirectional = 1>(q, k, v, c)",
          y=(12,), consts={**WQKV, "c": normal(36)}, whole=[*ALL, ("c", 0, 36)]),
    heads("multi-values-wider", f"{QKV2}  o = com.microsoft.MultiHeadAttention<num_heads = 4>(q, k, v, c)", y=(12,),
          consts={**WQKV2, "c": normal(28)}, whole=[("wq", 1, 8), ("wv", 1, 12), ("c", 0, 28)]),
    heads("multi-of-the-tokens-themselves", "o = com.microsoft.MultiHeadAttention<num_heads = 4>(i, i, i)"),
    heads("multi-bias-per-head", f"{QKV}  o = com.microsoft.MultiHeadAttention<num_heads = 3>(q, k, v, , , e)", y=(12,),
          consts={**WQKV, "e": normal(1, 3, 36, 36)}, whole=[*ALL, ("e", 1, 3)]),
    heads("multi-bias-for-all-heads", f"{QKV}  o = com.microsoft.MultiHeadAttention<num_heads = 3>(q, k, v, , m, e)",
          y=(12,), consts={**WQKV, "e": normal(1, 1, 36, 36), "m": np.array([[1] * 30 + [0] * 6], np.int32)}, whole=ALL),
    heads("multi-cross-of-four-axes", f"{QKV}  k4 = Reshape(k, h)  v4 = Reshape(v, h)  kt = Transpose<perm = [0, 2, 1, 3]>(k4)  "
          "vt = Transpose<perm = [0, 2, 1, 3]>(v4)  o = com.microsoft.MultiHeadAttention<num_heads = 6>(q, kt, vt)",
          y=(12,), consts={**WQKV, "h": ints(1, 36, 6, 2)}, whole=ALL),
    heads("multi-past-and-present", f"{QKV}  o, n, n2 = com.microsoft.MultiHeadAttention<num_heads = 3>(q, k, v, , , , p, p2)  "
          "y1 = ReduceMean<axes = [2, 3]>(n)", y=(12, 3),
          consts={**WQKV, "p": normal(1, 3, 5, 4), "p2": normal(1, 3, 5, 4, seed=1)}, whole=[*ALL, ("p", 1, 3), ("p2", 1, 3)]),
]  # fmt: skip

GQA, WGQA = project(48, 24, 24)
GQA16, WGQA16 = project(64, 32, 32)
GQA1, WGQA1 = project(48, 8, 8)
LENGTHS = {"l": np.array([35], np.int32), "t": np.int32(36)}
QUERY = "com.microsoft.GroupQueryAttention<num_heads = 6, kv_num_heads = 3"
GROUPED = [
    heads("query", f"{GQA}  o, n, n2 = {QUERY}>(q, k, v, , , l, t)", y=(48,), consts={**WGQA, **LENGTHS},
          whole=[("wq", 1, 48), ("wk", 1, 24), ("wv", 1, 24)]),
    heads("query-packed", f"p = MatMul(i, w)  o, n, n2 = {QUERY}>(p, , , , , l, t)", y=(48,),
          consts={"w": normal(8, 96), **LENGTHS}, whole=[("w", 1, 96)]),
    heads("query-one-key-head", f"{GQA1}  o, n, n2 = com.microsoft.GroupQueryAttention<num_heads = 6, kv_num_heads = 1>(q, k, v, , , l, t)",
          y=(48,), consts={**WGQA1, **LENGTHS}, whole=[("wq", 1, 48), ("wk", 1, 0), ("wv", 1, 0)]),
    heads("query-rotary", f"{GQA16}  o, n, n2 = com.microsoft.GroupQueryAttention<num_heads = 4, kv_num_heads = 2, do_rotary = 1>"
          "(q, k, v, , , l, t, rc, rs)", y=(64,),
          consts={**WGQA16, **LENGTHS, "rc": normal(40, 8), "rs": normal(40, 8)}, whole=[("wq", 1, 64), ("wv", 1, 32)]),
    heads("query-bias-and-sink", f"{GQA}  o, n, n2 = {QUERY}, causal = 0>(q, k, v, , , l, t, , , , e, z)", y=(48,),
          consts={**WGQA, **LENGTHS, "e": normal(1, 6, 36, 36), "z": normal(6)},
          whole=[("wq", 1, 48), ("e", 1, 6), ("z", 0, 6)]),
    heads("query-past-and-present", f"{GQA}  o, n, n2 = {QUERY}>(q, k, v, pk, pv, l, t)  "
          "y1 = ReduceMean<axes = [2, 3]>(n)", y=(48, 3),
          consts={**WGQA, "l": np.array([40], np.int32), "t": np.int32(41), "pk": normal(1, 3, 5, 8), "pv": normal(1, 3, 5, 8)},
          whole=[("wq", 1, 48), ("pk", 1, 3), ("pv", 1, 3)]),
    heads("query-scores", f"{GQA}  o, n, n2, x4 = {QUERY}, qk_output = 2>(q, k, v, , , l, t)  "
          "y1 = ReduceMean<axes = [2, 3]>(x4)", y=(48, 6), consts={**WGQA, **LENGTHS}, whole=[("wq", 1, 48)]),
]  # fmt: skip

Q4 = ("q4 = Reshape(q, hq)  k4 = Reshape(k, hk)  v4 = Reshape(v, hv)  qt = Transpose<perm = [0, 2, 1, 3]>(q4)  "
      "kt = Transpose<perm = [0, 2, 1, 3]>(k4)  vt = Transpose<perm = [0, 2, 1, 3]>(v4)")  # fmt: skip
BACK4 = "oc = Transpose<perm = [0, 2, 1, 3]>(o4)  o = Reshape(oc, hb)"
NEW = {"domains": ()}
QKG, WQKG = project(24, 12, 12)
QKG1, WQKG1 = project(24, 4, 4)
STANDARD = [
    *(heads(f"standard-{opset}", f"{QKV}  o = Attention<q_num_heads = 3, kv_num_heads = 3>(q, k, v)", opset=opset, y=(12,),
            consts=WQKV, whole=ALL, **NEW) for opset in (23, 24)),
    heads("standard-causal-capped", f"{QKV2}  o = Attention<q_num_heads = 4, kv_num_heads = 4, is_causal = 1, softcap = 2.0, scale = 0.5>(q, k, v)",
          opset=23, y=(12,), consts=WQKV2, whole=[("wq", 1, 8), ("wv", 1, 12)], **NEW),
    heads("standard-grouped", f"{QKG}  o = Attention<q_num_heads = 6, kv_num_heads = 3>(q, k, v)", opset=23, y=(24,),
          consts=WQKG, whole=[("wq", 1, 24), ("wk", 1, 12), ("wv", 1, 12)], **NEW),
    heads("standard-one-key-head", f"{QKG1}  o = Attention<q_num_heads = 6, kv_num_heads = 1>(q, k, v)", opset=23, y=(24,),
          consts=WQKG1, whole=[("wq", 1, 24), ("wk", 1, 0)], **NEW),
    heads("standard-mask-per-head", f"{QKV}  o = Attention<q_num_heads = 3, kv_num_heads = 3>(q, k, v, m)", opset=23, y=(12,),
          consts={**WQKV, "m": normal(3, 36, 36)}, whole=[*ALL, ("m", 0, 3)], **NEW),
    heads("standard-mask-per-head-of-bools-stays", f"{QKV}  o = Attention<q_num_heads = 3, kv_num_heads = 3>(q, k, v, m)", opset=23,
          y=(12,), consts={**WQKV, "m": normal(1, 3, 36, 36) > -1}, whole=[(n, x, 0) for n, x, _ in ALL], **NEW),
    heads("standard-mask", f"{QKV}  o = Attention<q_num_heads = 3, kv_num_heads = 3>(q, k, v, m)", opset=24, y=(12,),
          consts={**WQKV, "m": normal(36, 36) > -1}, whole=ALL, **NEW),
    heads("standard-lengths", f"{QKV}  o = Attention<q_num_heads = 3, kv_num_heads = 3>(q, k, v, , , , n)", opset=24, y=(12,),
          consts={**WQKV, "n": ints(30)}, whole=ALL, **NEW),
    heads("standard-past-and-present", f"{QKV}  o, n, n2, x4 = Attention<q_num_heads = 3, kv_num_heads = 3>(q, k, v, , pk, pv)  "
          "y1 = ReduceMean(n, ax)  y2 = ReduceMean(x4, ax)", opset=23, y=(12, 3, 3),
          consts={**WQKV, "pk": normal(1, 3, 5, 4), "pv": normal(1, 3, 5, 4), "ax": ints(2, 3)},
          whole=[*ALL, ("pk", 1, 3), ("pv", 1, 3)], **NEW),
    # 2 positions in each of 6 heads: the heads carry the units
    heads("standard-of-four-axes", f"{QKV}  {Q4}  o4 = Attention(qt, kt, vt)  {BACK4}", opset=23, y=(12,),
          consts={**WQKV, **dict.fromkeys(("hq", "hk", "hv"), ints(1, 36, 6, 2)), "hb": ints(1, 36, -1)}, whole=ALL, **NEW),
    heads("standard-of-four-axes-grouped", f"{QKV}  {Q4}  o4 = Attention(qt, kt, vt)  {BACK4}", opset=23, y=(12,),
          consts={"wq": normal(8, 12), "wk": normal(8, 6), "wv": normal(8, 6), "hq": ints(1, 36, 6, 2),
                  "hk": ints(1, 36, 3, 2), "hv": ints(1, 36, 3, 2), "hb": ints(1, 36, -1)},
          whole=[("wq", 1, 12), ("wk", 1, 6), ("wv", 1, 6)], **NEW),
    # a mask that cannot be cut holds the heads: then the head size of the values alone may go
    heads("standard-of-four-axes-head-size", f"{QKV}  {Q4}  o4, n, n2 = Attention(qt, kt, vt, m, pk, pv)  {BACK4}", opset=23, y=(12,),
          consts={**WQKV, **dict.fromkeys(("hq", "hk", "hv"), ints(1, 36, 2, 6)), "hb": ints(1, 36, -1),
                  "pk": normal(1, 2, 5, 6), "pv": normal(1, 2, 5, 6), "m": normal(1, 2, 36, 41) > -1},
          whole=[("wq", 1, 0), ("wk", 1, 0), ("wv", 1, 12), ("pv", 3, 6)], **NEW),
]  # fmt: skip

ROTARY8 = {
    "wq": normal(8, 32),
    "rc": normal(36, 4),
    "rs": normal(36, 4, seed=1),
    "at": ints(*range(36)).reshape(1, 36),
}
ROTARY4 = "q = MatMul(i, wq)  q4 = Reshape(q, h)  qt = Transpose<perm = [0, 2, 1, 3]>(q4)"
FROM4 = "ot = Transpose<perm = [0, 2, 1, 3]>(o4)  o = Reshape(ot, hb)"
ROTARY = [
    heads("rotary-microsoft", "q = MatMul(i, wq)  o = com.microsoft.RotaryEmbedding(q, at, rc, rs)", y=(32,),
          consts=ROTARY8, whole=[("wq", 1, 32)]),
    heads("rotary-microsoft-partial", "q = MatMul(i, wq)  o = com.microsoft.RotaryEmbedding<num_heads = 2, rotary_embedding_dim = 8>(q, at, rc, rs)",
          y=(32,), consts=ROTARY8, whole=[("wq", 1, 32)]),
    heads("rotary-microsoft-of-four-axes", f"{ROTARY4}  o4 = com.microsoft.RotaryEmbedding(qt, at, rc, rs)  {FROM4}", y=(32,),
          consts={**ROTARY8, "rc": normal(36, 2), "rs": normal(36, 2), "h": ints(1, 36, 8, 4), "hb": ints(1, 36, -1)},
          whole=[("wq", 1, 32)]),
    heads("rotary", "q = MatMul(i, wq)  o = RotaryEmbedding<num_heads = 4, interleaved = 1>(q, rc, rs, at)", opset=23, y=(32,),
          consts=ROTARY8, whole=[("wq", 1, 32)], **NEW),
    heads("rotary-of-four-axes", f"{ROTARY4}  o4 = RotaryEmbedding(qt, rc, rs)  {FROM4}", opset=23, y=(32,),
          consts={**ROTARY8, "rc": normal(1, 36, 2), "rs": normal(1, 36, 2), "h": ints(1, 36, 8, 4), "hb": ints(1, 36, -1)},
          whole=[("wq", 1, 32)], **NEW),
    heads("rotary-of-four-axes-and-few-heads", f"{ROTARY4}  o4 = RotaryEmbedding(qt, rc, rs)  {FROM4}", opset=23, y=(32,),
          consts={**ROTARY8, "rc": normal(1, 36, 8), "rs": normal(1, 36, 8), "h": ints(1, 36, 2, 16), "hb": ints(1, 36, -1)},
          whole=[("wq", 1, 32)], **NEW),
]  # fmt: skip

OPEN = {"s": ints(0, 8, 36), "r": ints(0, -1, 6, 6)}
NORMS = {f"{n}{k}": normal(8, seed=k) for n in "gc" for k in (1, 2)}
BLOCKS = [
    heads("packed-open-batch", "o = com.microsoft.Attention<num_heads = 3>(i, w, c)", batch="N", y=(12,),
          consts={**OPEN, **W12, "c": normal(36)}, whole=[("w", 1, 36)]),
    heads("multi-open-batch", f"{QKV}  o = com.microsoft.MultiHeadAttention<num_heads = 3>(q, k, v, , , e)", batch="N", y=(12,),
          consts={**OPEN, **WQKV, "e": normal(1, 3, 36, 36)}, whole=ALL),
    heads("standard-open-batch", f"{QKV}  o = Attention<q_num_heads = 3, kv_num_heads = 3>(q, k, v)", opset=24, batch="N", y=(12,),
          consts={**OPEN, **WQKV}, whole=ALL, **NEW),
    # what ONNX Runtime's optimiser makes of an encoder: the residual stream stays, heads and the MLP may go
    heads("encoder", "h = com.microsoft.Attention<num_heads = 3>(i, w, c)  p = MatMul(h, wo)  "
          "n = com.microsoft.SkipLayerNormalization(p, i, g1, c1, bo)  m = MatMul(n, w1)  e = com.microsoft.BiasGelu(m, b1)  "
          "d = MatMul(e, w2)  o = com.microsoft.SkipLayerNormalization(d, n, g2, c2, b2)", free=0,
          consts={**W12, **NORMS, "c": normal(36), "wo": normal(12, 8), "bo": normal(8), "w1": normal(8, 10), "b1": normal(10),
                  "w2": normal(10, 8), "b2": normal(8)},
          whole=[("w", 1, 36), ("w", 0, 0), ("wo", 0, 12), ("w1", 1, 10), ("b1", 0, 10), ("w2", 0, 10)]),
    heads("decoder", f"n0 = SimplifiedLayerNormalization<axis = -1>(i, g1)  {GQA.replace('(i,', '(n0,')}  "
          "qr = com.microsoft.RotaryEmbedding(q, at, rc, rs)  kr = com.microsoft.RotaryEmbedding(k, at, rc, rs)  "
          f"h, n1, n2 = {QUERY}>(qr, kr, v, , , l, t)  p = MatMul(h, wo)  "
          "n3, , , z = com.microsoft.SkipSimplifiedLayerNormalization(i, p, g2)  "
          "u1 = MatMul(n3, w1)  u3 = MatMul(n3, w3)  e = com.microsoft.QuickGelu<alpha = 1.0>(u1)  x4 = Mul(e, u3)  "
          "d = MatMul(x4, w2)  o = Add(z, d)", free=0,
          consts={**WGQA, **LENGTHS, **NORMS, "rc": normal(36, 4), "rs": normal(36, 4, seed=1),
                  "at": ints(*range(36)).reshape(1, 36), "wo": normal(48, 8), "w1": normal(8, 10), "w3": normal(8, 10), "w2": normal(10, 8)},
          whole=[("wq", 1, 48), ("wk", 1, 24), ("wo", 0, 48), ("w1", 1, 10), ("w3", 1, 10), ("w2", 0, 10)]),
]  # fmt: skip

LINEAR = [
    *(Case(f"LinearAttention-{rule}-values", "f = Reshape(a, z)  v = Transpose<perm = [0, 2, 1]>(f)  "
           "g = Reshape(x, z3)  x3 = Transpose<perm = [0, 2, 1]>(g)  q = MatMul(x3, wq)  k = MatMul(x3, wk)  "
           f"o, p = LinearAttention<q_num_heads = 4, kv_num_heads = 2, update_rule = \"{rule}\">(q, k, v{more})  "
           "t = Transpose<perm = [0, 2, 1]>(o)  y = Reshape(t, s)", 27, y=(16,),
           consts={"z": ints(1, 8, 36), "z3": ints(1, 3, 36), "wq": normal(3, 12) / 4, "wk": normal(3, 6) / 4,
                   "be": 0.5 * np.ones((1, 36, 2), np.float32), "de": -0.5 * np.ones((1, 36, 2), np.float32),
                   "s": ints(1, -1, 6, 6)})
      for rule, more in (("linear", ""), ("delta", ", , , be"), ("gated", ", , de"))),
]  # fmt: skip

CASES = [*BLOCKS, *PACKED, *MULTI, *GROUPED, *STANDARD, *ROTARY]


@each_case(CASES)
def test_whole_heads_can_go(case):
    analysis = analyse(network(case))
    for name, axis, count in case.whole:
        assert analysis.removable(name, axis).sum() == count, (name, analysis.reasons(name, axis))


@each_case([*CASES, *LINEAR])
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case([*CASES, *LINEAR])
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


@each_case(CASES)
def test_costs_are_exact_after_removal(case):
    assert_costs_follow(case)


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


def test_packed_queries_keys_and_values_share_the_axis_of_heads():
    c = couple_fused("MultiHeadAttention", [axes((1, 5, 2, 3, 4), a2=0), None, None, axes((24,), a0=100)],
               [(1, 5, 8)], num_heads=2)  # fmt: skip
    assert carried(c) == [None, None, [0] * 4 + [1] * 4]
    blocks = np.arange(100, 124).reshape(3, 2, 4)
    pairs = set(ties(c))
    for block in blocks:
        for head, positions in enumerate(block.tolist()):
            assert (head, positions[0]) in pairs
            assert {(positions[0], p) for p in positions[1:]} <= pairs


def test_packed_keys_and_values_tie_to_the_queries():
    c = couple_fused("MultiHeadAttention", [axes((1, 5, 4), a2=0), axes((1, 5, 2, 2, 2), a2=20)],
               [(1, 5, 4)], num_heads=2)  # fmt: skip
    assert ties(c) == [(0, 1), (0, 20), (2, 3), (2, 21)]


def test_attention_with_an_input_cache_keeps_its_heads():
    cache = axes((2, 1, 2, 5, 2))
    c = couple_fused("Attention", [axes((1, 5, 3), a2=0), axes((3, 12), a0=10, a1=20), None, None, cache],
               [(1, 5, 4), (2, 1, 2, 10, 2)], weights=(1,), num_heads=2)  # fmt: skip
    assert (-1, 20) in ties(c)
    assert (-1, 22) in ties(c)
    assert carried(c, 1) == [None, None, [20, 22], None, None]


@pytest.mark.parametrize(
    ("gone", "sizes", "left"),
    [
        ([20, 21], (4, 4, 8), {"num_heads": 1, "qkv_hidden_sizes": (2, 2, 4)}),
        ([20, 21], None, {"num_heads": 1}),
        ([], (4, 4, 8), {}),
    ],
)
def test_attention_counts_its_heads_and_columns_anew(gone, sizes, left):
    width = 16 if sizes else 12
    values = 8 if sizes else 4
    given = {"qkv_hidden_sizes": sizes} if sizes else {}
    inputs = [axes((1, 5, 3), a2=0), axes((3, width), a0=10, a1=20)]
    assert derived(gone, "Attention", inputs, [(1, 5, values)], weights=(1,), num_heads=2,
                   **given) == left  # fmt: skip


def test_grouped_queries_keep_their_ratio():
    inputs = [axes((1, 5, 8), a2=0), axes((1, 5, 4), a2=20), axes((1, 5, 4), a2=30)]
    inputs += [None, None, axes((1,)), axes(())]
    given = ("GroupQueryAttention", inputs, [(1, 5, 8), (1, 2, 5, 2), (1, 2, 5, 2)])
    c = couple_fused(*given, num_heads=4, kv_num_heads=2)
    assert {(0, 20), (2, 20), (4, 22), (6, 22), (20, 30), (22, 32)} <= set(ties(c))
    assert carried(c, 1) == carried(c, 2) == [None, [20, 22], None, None]
    gone = [0, 1, 2, 3]
    assert derived(gone, *given, num_heads=4, kv_num_heads=2) == {"num_heads": 2, "kv_num_heads": 1}


def test_a_single_key_head_serves_the_heads_that_stay():
    inputs = [axes((1, 5, 8), a2=0), axes((1, 5, 2), a2=20), axes((1, 5, 2), a2=30)]
    given = ("Attention", inputs, [(1, 5, 8)])
    options = {"domain": "", "version": 23, "q_num_heads": 4, "kv_num_heads": 1}
    c = couple_fused(*given, **options)
    assert ties(c) == [(0, 1), (2, 3), (4, 5), (6, 7), (20, 21), (30, 31)]
    assert held(c) == {"shares these keys and values between all heads": [20, 30]}
    assert derived([0, 1], *given, **options) == {"q_num_heads": 3}


def test_attention_of_four_axes_has_no_heads_to_count():
    inputs = [axes((1, 4, 5, 2), a1=0), axes((1, 4, 5, 2), a1=10), axes((1, 4, 5, 3), a1=20, a3=30)]
    c = couple_fused("Attention", inputs, [(1, 4, 5, 3)], domain="", version=23)
    assert carried(c) == [None, [0, 1, 2, 3], None, [30, 31, 32]]
    assert derived([0], "Attention", inputs, [(1, 4, 5, 3)], domain="", version=23) == {}


@pytest.mark.parametrize("number", [0, 2])
def test_rotary_counts_heads_by_its_tables_or_its_attribute(number):
    inputs = [axes((1, 5, 8), a2=0), axes((1, 5)), axes((9, 2), a0=50, a1=60), axes((9, 2), a0=70)]
    given = ("RotaryEmbedding", inputs, [(1, 5, 8)])
    options = {"num_heads": number} if number else {}
    assert carried(couple_fused(*given, **options)) == [None, None, [0] * 4 + [4] * 4]
    left = derived([0, 1, 2, 3], *given, **options)
    assert left == ({"num_heads": 1} if number else {})
