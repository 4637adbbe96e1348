"""Models that hand a state to their caller: what the state demands stays, the rest is cut."""
# ruff: noqa: E501 - a network reads best unbroken

from __future__ import annotations

import numpy as np
import onnx
import pytest
from operator_cases import ints
from strategies import analyse, build, compare, draw_alive, masked, normal, run, whole

from wrg_onnx.rewrite import apply_plan, plan_slices

EXPANDED = "hh = Expand(r, n)"
COMPARED = (
    "m = Shape(r)  same = Equal(n, m)  i = Cast<to = 6>(same)  all = ReduceMin<keepdims = 0>(i)  cond = Cast<to = 9>(all)  "
    "hh = If(cond) <then_branch = t () => (float[q0,q1,q2,q3] u) {u = Identity(r)}, else_branch = g () => (float[q0,q1,q2,q3] v) {v = Expand(r, n)}>"
)
TEXT = """net (float[1,3,h,w] src, float[a,b,c,d] r) => (float[1,1,h,w] pha, float[1,6,h,w] r2) {
  e1 = Conv<pads = [1,1,1,1]>(src, w1)  e = Relu(e1)  f1 = Conv<pads = [1,1,1,1]>(e, w2)  f = Relu(f1)
  p, x = Split<axis = 1>(f, parts)  n = Shape(x)  BEGIN
  j = Concat<axis = 1>(x, hh)  z1 = Conv<pads = [1,1,1,1]>(j, wg)  z2 = Sigmoid(z1)  reset, z = Split<axis = 1>(z2, halves)
  rh = Mul(reset, hh)  k = Concat<axis = 1>(x, rh)  c1 = Conv<pads = [1,1,1,1]>(k, wc)  cc = Tanh(c1)
  o1 = Sub(one, z)  o2 = Mul(o1, hh)  o3 = Mul(z, cc)  r2 = Add(o2, o3)
  d0 = Concat<axis = 1>(p, r2)  d1 = Conv<pads = [1,1,1,1]>(d0, w3)  d2 = Relu(d1)  d3 = Conv(d2, w4)  pha = Sigmoid(d3) }"""
"""A ConvGRU between an encoder and a decoder, whose state begins as 1 x 1 x 1 x 1 zeros."""
WEIGHTS = {
    "w1": normal(10, 3, 3, 3), "w2": normal(14, 10, 3, 3) / 9, "wg": normal(12, 12, 3, 3) / 9,
    "wc": normal(6, 12, 3, 3) / 9, "w3": normal(16, 14, 3, 3) / 9, "w4": normal(1, 16, 1, 1),
    "parts": ints(8, 6), "halves": ints(6, 6), "one": np.float32(1),
}  # fmt: skip


@pytest.fixture(params=[EXPANDED, COMPARED], ids=["expanded", "compared"])
def analysis(request):
    model = build(TEXT.replace("BEGIN", request.param), WEIGHTS)
    return analyse(model, a=1, b=1, c=1, d=1)


def test_state_of_the_interface_keeps_its_channels_and_no_others(analysis):
    assert not analysis.removable("wc", 0).any()
    assert not analysis.removable("wg", 0).any()
    assert analysis.removable("w1", 0).all()
    assert analysis.removable("w2", 0).tolist() == [True] * 8 + [False] * 6
    assert analysis.removable("w3", 0).all()
    assert analysis.removable("w3", 1).tolist() == [True] * 8 + [False] * 6


@pytest.mark.parametrize("state", [(1, 1, 1, 1), (1, 6, 8, 8)], ids=["begins", "goes-on"])
def test_pruned_model_takes_the_same_states(analysis, state):
    alive = draw_alive(analysis.units, np.random.default_rng(0), 0.5)
    plan = plan_slices(analysis.units, alive)
    assert plan.kept
    pruned = whole(apply_plan(analysis.graph, plan))
    onnx.checker.check_model(pruned, full_check=True)
    feeds = {"src": normal(1, 3, 8, 8), "r": normal(*state)}
    compare(run(masked(analysis.model, plan), feeds), run(pruned, feeds))
