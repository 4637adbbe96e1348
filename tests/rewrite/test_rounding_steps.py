"""Rounding between layers: where the proof can do without it, and what it then still sees."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import analyse, build, draw_alive, normal

from wrg_onnx.errors import ValidationError
from wrg_onnx.graph import Edit, edited
from wrg_onnx.rewrite import apply_plan, compare_with, plan_slices, run_masked
from wrg_onnx.rewrite.rounding_steps import rounding_steps

WEIGHTS = {
    "wa": normal(16, 3, 1, 1), "wb": normal(8, 16, 1, 1), "wc": normal(2, 8, 1, 1),
    "s": np.float32(0.05), "z": np.uint8(128), "s2": np.float32(0.06),
    "sc": np.full(16, 0.05, np.float32), "zc": np.full(16, 128, np.uint8),
}  # fmt: skip
BETWEEN = "q = QuantizeLinear(a, s, z)  d = DequantizeLinear(q, s, z)"


def network(between=BETWEEN):
    text = f"""net (float[1,3,32,32] x) => (float[1,2,32,32] y) {{
      a = Conv(x, wa)  {between}  b = Conv(d, wb)
      r = QuantizeLinear(b, s2, z)  e = DequantizeLinear(r, s2, z)  y = Conv(e, wc) }}"""
    return analyse(build(text, {k: v for k, v in WEIGHTS.items() if k in text}))


TWICE = """q = QuantizeLinear(a, s, z)  c = DequantizeLinear(q, s, z)
  t = QuantizeLinear(c, s2, z)  d = DequantizeLinear(t, s2, z)"""
APART = """q = QuantizeLinear(a, s, z)  m = MaxPool<kernel_shape = [1, 1]>(q)
  d = DequantizeLinear(m, s, z)"""


@pytest.mark.parametrize(
    ("between", "found"),
    [
        (BETWEEN, {"d": "a", "e": "b"}),
        (TWICE, {"c": "a", "d": "a", "e": "b"}),
        ("q = QuantizeLinear(a, s)  d = DequantizeLinear(q, s)", {"d": "a", "e": "b"}),
        ("q = QuantizeLinear(a, s, z)  d = DequantizeLinear(q, s2, z)", {"e": "b"}),
        ("q = QuantizeLinear(a, s)  d = DequantizeLinear(q, s, z)", {"e": "b"}),
        ("q = QuantizeLinear(a, sc, zc)  d = DequantizeLinear(q, sc, zc)", {"e": "b"}),
        (APART, {"e": "b"}),
    ],
)
def test_pairs_with_one_scale_are_steps(between, found):
    assert rounding_steps(network(between).units) == found


def test_a_quantised_weight_is_no_step():
    text = """net (float[1,3,4,4] x) => (float[1,16,4,4] y) {
      q = QuantizeLinear(wa, s, z)  d = DequantizeLinear(q, s, z)  y = Conv(x, d) }"""
    analysis = analyse(build(text, {k: WEIGHTS[k] for k in ("wa", "s", "z")}))
    assert rounding_steps(analysis.units) == {}


def surgery():
    analysis = network()
    alive = draw_alive(analysis.units, np.random.default_rng(0), 0.5)
    plan = plan_slices(analysis.units, alive)
    pruned = apply_plan(analysis.graph, plan)
    shapes = {v.name: analysis.shapes[v.name] for v in analysis.graph.inputs}
    return run_masked(analysis.graph, plan, shapes), pruned


def test_a_difference_of_one_rounding_does_not_become_a_step():
    reference, pruned = surgery()
    assert compare_with(reference, pruned).steps == 0
    nearly = pruned.constants["wa"] * np.float32(1 + 2**-17)
    found = compare_with(reference, edited(pruned, Edit({"wa": nearly})))
    assert found.steps == 2
    assert found.silent == ()
    assert found.error < 2e-5
    assert found.rounding is None


@pytest.mark.parametrize("weight", ["wa", "wb", "wc"])
def test_a_wrong_channel_is_not_taken_for_rounding(weight):
    reference, pruned = surgery()
    wrong = pruned.constants[weight].copy()
    wrong[:, [0, 1]] = wrong[:, [1, 0]]
    with pytest.raises(ValidationError, match="differs by"):
        compare_with(reference, edited(pruned, Edit({weight: wrong})))
