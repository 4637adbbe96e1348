"""Sums that no weight consumes lose positions where a weight before them makes zeros."""
# ruff: noqa: E501 - networks read best unbroken

from __future__ import annotations

import numpy as np
import pytest
from strategies import (
    analyse,
    assert_every_cut_is_exact,
    assert_surgery_is_exact,
    build,
    draw_alive,
    normal,
)

from wrg_onnx.rewrite import apply_plan, plan_slices, validate_translation


def ints(*values):
    return np.array(values, np.int64)


def modulated(batch, *, is_transposed=False, epsilon=1e-8):
    """Two convolutions whose weights are scaled for each sample, as in StyleGAN2."""
    i, o, side = 8, 6, 8 if is_transposed else 4
    turned, kernel = ("t = Transpose<perm = [0, 2, 1, 3, 4]>(v)", (batch * i, o, 1, 1))
    if not is_transposed:
        turned, kernel = "t = Identity(v)", (batch * o, i, 1, 1)
    op = f"ConvTranspose<group = {batch}, strides = [2, 2], output_padding = [1, 1]>"
    op = op if is_transposed else f"Conv<group = {batch}>"
    weights = {
        "start": normal(1, i, 4, 4), "m": normal(12, i), "c": normal(i, seed=2), "w": normal(1, o, i, 1, 1),
        "bias": normal(o, 1, 1), "m2": normal(12, o), "w2": normal(1, 3, o, 1, 1), "c2": normal(o),
        "sm": ints(batch, 1, i, 1, 1), "sm2": ints(batch, 1, o, 1, 1), "two": np.float32(2),
        "axes": ints(2, 3, 4), "eps": np.float32(epsilon), "sd": ints(batch, o, 1, 1, 1),
        "repeat": ints(batch, 1, 1, 1), "kernel": ints(*kernel), "kernel2": ints(batch * 3, o, 1, 1),
        "wide": ints(1, batch * i, 4, 4), "narrow": ints(batch, o, side, side),
        "wide2": ints(1, batch * o, side, side), "last": ints(batch, 3, side, side),
    }  # fmt: skip
    text = f"""net (float[{batch},12] z, float[1,1,{side},{side}] noise) => (float[{batch},3,{side},{side}] y) {{
        x = Tile(start, repeat)
        g = Gemm(z, m, c)  s = Reshape(g, sm)  u = Mul(w, s)
        q = Pow(u, two)  r = ReduceSum<keepdims = 0>(q, axes)  e = Add(r, eps)  f = Sqrt(e)
        d = Reciprocal(f)  k = Reshape(d, sd)  v = Mul(u, k)  {turned}
        n = Reshape(t, kernel)  a = Reshape(x, wide)  h0 = {op}(a, n)  h1 = Reshape(h0, narrow)
        h2 = Add(h1, noise)  h3 = Add(h2, bias)  h = LeakyRelu(h3)
        g2 = Gemm(z, m2, c2)  s2 = Reshape(g2, sm2)  u2 = Mul(w2, s2)  n2 = Reshape(u2, kernel2)
        a2 = Reshape(h, wide2)  y0 = Conv<group = {batch}>(a2, n2)  y = Reshape(y0, last) }}"""
    return build(text, weights)


FORMS = pytest.mark.parametrize(
    ("batch", "is_transposed"), [(1, False), (2, False), (1, True), (3, True)]
)


@FORMS
def test_modulated_convolutions_lose_channels(batch, is_transposed):
    analysis = analyse(modulated(batch, is_transposed=is_transposed))
    assert analysis.tied(("start", 1), ("w", 2), ("m", 1), ("c", 0))
    assert analysis.tied(("w", 1), ("bias", 0), ("w2", 2), ("m2", 1), ("c2", 0))
    assert analysis.removable("w", 1).all()
    assert analysis.removable("w", 2).all()
    assert_every_cut_is_exact(analysis)


@FORMS
def test_only_what_must_be_zero_is_zeroed_for_the_proof(batch, is_transposed):
    """Without an epsilon filters of zeros would be divided by their length."""
    analysis = analyse(modulated(batch, is_transposed=is_transposed, epsilon=0))
    alive = draw_alive(analysis.units, np.random.default_rng(1), share=0.5)
    plan = plan_slices(analysis.units, alive)
    pruned = apply_plan(analysis.graph, plan)
    side = 8 if is_transposed else 4
    shapes = {"z": (batch, 12), "noise": (1, 1, side, side)}
    assert validate_translation(analysis.graph, pruned, plan, shapes).error < 1e-5


def test_a_length_over_channels_lets_them_go():
    """As the L2Norm of SSD: each pixel over its length, times a scale for each channel."""
    text = """net (float[1,3,6,6] x) => (float[1,2,6,6] y) {
        c = Conv(x, w, b)  a = Relu(c)  n = ReduceL2<axes = [1]>(a)  e = Add(n, eps)
        d = Div(a, e)  s = Mul(d, scale)  y = Conv(s, v) }"""
    weights = {
        "w": normal(8, 3, 1, 1), "b": normal(8), "eps": np.float32(1e-3),
        "scale": normal(8, 1, 1), "v": normal(2, 8, 1, 1),
    }  # fmt: skip
    analysis = analyse(build(text, weights))
    assert analysis.removable("w", 0).all()
    alive = draw_alive(analysis.units, np.random.default_rng(1), share=0.5)
    plan = assert_surgery_is_exact(analysis, alive)
    pruned = apply_plan(analysis.graph, plan)
    found = validate_translation(analysis.graph, pruned, plan, {"x": (1, 3, 6, 6)})
    assert found.error < 1e-5
