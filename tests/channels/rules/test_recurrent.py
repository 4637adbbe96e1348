"""Recurrent layers between convolutions: what is pruned equals what is masked."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
    network,
)
from strategies import analyse, compare, draw_alive, masked, normal, whole

from wrg_onnx.calibrate import channels_first, measure_weights, plan_taps
from wrg_onnx.channels import Limits, find_holds, mac_terms, total_cost
from wrg_onnx.factors import L2
from wrg_onnx.rewrite import apply_plan, plan_slices, validate_translation

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
IN = "m = Reshape(a, flat)  s = Transpose<perm = [2, 0, 1]>(m)  "  # (36, 1, 8)
OUT = "y = Transpose<perm = [2, 3, 0, 1]>(l)"  # (1, hidden, 36, directions)
FLAT = {"flat": ints(1, 8, 36)}


def weights(op, hidden=5, directions=1, inputs=8, suffix=""):
    rows = GATES[op] * hidden
    return {
        f"w{suffix}": normal(directions, rows, inputs) / 3,
        f"r{suffix}": normal(directions, rows, hidden) / 3,
        f"c{suffix}": normal(directions, 2 * rows),
    }


def layer(name, op, opset, text, directions=1, more=None, **case):
    consts = FLAT | weights(op, directions=directions) | (more or {})
    y = case.pop("y", (5,))
    return Case(f"{op}-{opset}{name}", IN + text, opset, y=y, consts=consts, **case)


def plain(op, opset, *, name="", directions=1, operands="c", **attributes):
    given = {"hidden_size": 5, **attributes}
    text = ", ".join(f"{key} = {value}" for key, value in given.items())
    return layer(name, op, opset, f"l = {op}<{text}>(s, w, r, {operands})  {OUT}", directions)


STATE = {"h0": normal(1, 1, 5), "c0": normal(1, 1, 5), "p": normal(1, 15), "n": np.int32([30])}
BOTH = '"bidirectional"'
CASES = [
    *(plain(op, opset) for op in GATES for opset in (7, 14, 22)),
    *(plain(op, 14, name="-without-bias", operands="") for op in GATES),
    *(plain(op, 14, name="-reverse", direction='"reverse"') for op in GATES),
    *(plain(op, 14, name="-bidirectional", directions=2, direction=BOTH) for op in GATES),
    *(plain(op, 14, name="-clip", clip="0.5") for op in GATES),
    plain("GRU", 7, name="-linear-before-reset", linear_before_reset=1),
    plain("GRU", 22, name="-linear-before-reset-bidirectional", linear_before_reset=1,
          directions=2, direction=BOTH),
    plain("LSTM", 14, name="-input-forget", input_forget=1),
    plain("LSTM", 14, name="-activations", activations='["HardSigmoid", "Tanh", "Softsign"]'),
    plain("GRU", 14, name="-activations-bidirectional", directions=2, direction=BOTH,
          activations='["Sigmoid", "Relu", "HardSigmoid", "Tanh"]'),
    plain("RNN", 14, name="-activations", activations='["Sigmoid"]'),
    layer("-constant-states", "LSTM", 14,
          f"l, yh, yc = LSTM<hidden_size = 5>(s, w, r, c, n, h0, c0, p)  {OUT}", more=STATE),
    layer("-peepholes-alone", "LSTM", 7,
          f"l = LSTM<hidden_size = 5>(s, w, r, , , , , p)  {OUT}", more=STATE),
    layer("-initial-state", "GRU", 14, f"l = GRU<hidden_size = 5>(s, w, r, , , h0)  {OUT}", more=STATE),
    layer("-state-of-zeros", "LSTM", 14,
          "f = Expand(zero, wide)  h = Slice(f, i0, i1, i0)  k = ConstantOfShape(one)  "
          f"e = Identity(k)  l = LSTM<hidden_size = 5>(s, w, r, c, , h, e)  {OUT}",
          more={"zero": np.float32(0), "wide": ints(2, 1, 5), "one": ints(1, 1, 5), "i0": ints(0), "i1": ints(1)}),
    layer("-state-of-zeros-as-wide-as-a-constant", "GRU", 14,
          f"h = Expand(zero, wide)  l = GRU<hidden_size = 5>(s, w, r, , , h)  {OUT}",
          more={"zero": np.zeros((1, 1, 5), np.float32), "wide": ints(1, 1, 5)}),
    layer("-state-of-zeros-as-wide-as-a-weight", "GRU", 14,
          "n = Shape(s)  b0 = Slice(n, i1, i2, i0)  d = Concat<axis = 0>(i1, b0, five)  h = ConstantOfShape(d)  "
          f"l = GRU<hidden_size = 5>(s, w, r, , , h)  {OUT}",
          more={"i0": ints(0), "i1": ints(1), "i2": ints(2), "five": ints(5)}),
    layer("-state-of-ones", "GRU", 14,
          f"h = ConstantOfShape<value = float[1] {{1}}>(one)  l = GRU<hidden_size = 5>(s, w, r, , , h)  {OUT}",
          more={"one": ints(1, 1, 5)}),
    layer("-state-as-wide-as-the-last-one", "GRU", 14,
          "k, yh = GRU<hidden_size = 5>(s, w, r)  n = Shape(yh)  h = ConstantOfShape(n)  u = Transpose<perm = [0, 2, 1, 3]>(k)  "
          f"v = Reshape(u, rows)  l = GRU<hidden_size = 5>(v, w2, r2, c2, , h)  {OUT}",
          more={"rows": ints(36, 1, 5), **weights("GRU", inputs=5, suffix="2")}),
    layer("-last-state", "LSTM", 14,
          "l, yh = LSTM<hidden_size = 5>(s, w, r)  q = Unsqueeze(yh, ax)  y = Transpose<perm = [2, 3, 0, 1]>(q)",
          more={"ax": ints(0)}),
    layer("-last-state-alone", "LSTM", 14,
          ", yh, yc = LSTM<hidden_size = 5>(s, w, r)  z = Add(yh, yc)  q = Unsqueeze(z, ax)  "
          "y = Transpose<perm = [2, 3, 0, 1]>(q)", more={"ax": ints(0)}),
    layer("-states-of-one-start-the-next", "LSTM", 14,
          "k, yh, yc = LSTM<hidden_size = 5>(s, w, r, c)  u = Transpose<perm = [0, 2, 1, 3]>(k)  "
          "v = Reshape(u, rows)  l = LSTM<hidden_size = 5>(v, w2, r2, c2, , yh, yc)  " + OUT,
          more={"rows": ints(36, 1, 5), **weights("LSTM", inputs=5, suffix="2")}),
    # As torch exports two bidirectional layers: the directions side by side feed the next one.
    layer("-two-bidirectional", "LSTM", 14,
          f"k = LSTM<hidden_size = 5, direction = {BOTH}>(s, w, r, c)  u = Transpose<perm = [0, 2, 1, 3]>(k)  "
          f"v = Reshape(u, rows)  l = LSTM<hidden_size = 4, direction = {BOTH}>(v, w2, r2, c2)  " + OUT,
          directions=2, y=(4,),
          more={"rows": ints(0, 0, -1), **weights("LSTM", 4, 2, inputs=10, suffix="2")}),
    layer("-linear-after-bidirectional", "GRU", 14,
          f"l = GRU<hidden_size = 5, direction = {BOTH}>(s, w, r, c)  u = Transpose<perm = [0, 2, 1, 3]>(l)  "
          "v = Reshape(u, rows)  t = MatMul(v, k)  q = Unsqueeze(t, ax)  y = Transpose<perm = [0, 3, 1, 2]>(q)",
          directions=2, y=(6,),
          more={"rows": ints(0, 0, -1), "k": normal(10, 6), "ax": ints(0)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_layer_equals_the_masked_one(case):
    analysis = analyse(network(case))
    for place in (("w", 1), ("r", 1), ("r", 2)):
        assert analysis.removable(*place).all(), analysis.reasons(*place)
    assert_prunes_exactly(case)
    assert_own_validation_accepts(case)


@each_case(CASES)
def test_each_hidden_unit_is_one_unit_of_all_gates_and_directions(case):
    analysis = analyse(network(case))
    hidden = analysis.labels("r", 2)
    assert len(np.unique(hidden)) == 5
    for name in ("w", "r"):
        np.testing.assert_array_equal(
            analysis.labels(name, 1).reshape(-1, 5), [hidden] * (len(analysis.labels(name, 1)) // 5)
        )


def test_state_from_the_interface_stays():
    text = (
        IN
        + f"v = Slice(x, zero, one, ax)  h = Reshape(v, row)  l = GRU<hidden_size = 5>(s, w, r, , , h)  {OUT}"
    )
    more = {"zero": ints(0, 0, 0), "one": ints(1, 1, 5), "ax": ints(1, 2, 3), "row": ints(1, 1, 5)}
    case = Case("state", text, 14, y=(5,), consts=FLAT | weights("GRU") | more)
    analysis = analyse(network(case))
    assert not analysis.removable("r", 2).any()
    assert analysis.removable("wa", 0).all()
    held = [hold for hold in find_holds(analysis.units) if "GRU" in hold.met]
    assert {str(hold.root) for hold in held} == {"input 'x' is the model's input"}
    assert any(" meets axis 2 of 'h'" in hold.met for hold in held)


def test_state_of_ones_is_cut_with_the_layer():
    text = IN + f"h = Expand(unit, wide)  l = GRU<hidden_size = 5>(s, w, r, , , h)  {OUT}"
    more = {"unit": np.float32(1), "wide": ints(1, 1, 5)}
    case = Case("ones", text, 14, y=(5,), consts=FLAT | weights("GRU") | more)
    assert analyse(network(case)).removable("r", 2).all()
    assert_prunes_exactly(case)
    assert_own_validation_accepts(case)


def test_weights_made_at_run_time_stay():
    more = {"dims": ints(1, 5, 5)}
    text = (
        IN
        + f"e = ReduceMean<axes = [0, 1, 2, 3]>(x)  r2 = Mul(r, e)  g = Reshape(r2, dims)  l = RNN<hidden_size = 5>(s, w, g)  {OUT}"
    )
    consts = FLAT | weights("RNN") | more
    analysis = analyse(network(Case("run time", text, 14, y=(5,), consts=consts)))
    assert not analysis.removable("wa", 0).any()
    assert any(
        "reads weights that are computed at run time" in reason
        for reason in analysis.reasons("w", 1)
    )


def test_macs_count_the_products_with_both_weights():
    analysis = analyse(network(plain("LSTM", 14)))
    whole = np.ones(analysis.units.count, bool)
    lstm = 36 * 20 * (8 + 5)
    convs = 36 * (3 * 8 + 3 * 8 + 5 * 2)
    assert total_cost(mac_terms(analysis.units), whole) == lstm + convs


@pytest.mark.parametrize("op", GATES)
def test_batch_may_come_first(op):
    """ONNX Runtime does not compute layout 1, so the reference implementation judges."""
    text = (
        "m = Reshape(a, flat)  s = Transpose<perm = [0, 2, 1]>(m)  "
        f"l, k = {op}<hidden_size = 5, layout = 1>(s, w, r, c, , h0)  "
        "q = Transpose<perm = [0, 3, 1, 2]>(l)  o = Unsqueeze(k, ax)  "
        "p = Transpose<perm = [0, 3, 1, 2]>(o)  y = Add(q, p)"
    )
    more = {"h0": normal(1, 1, 5), "ax": ints(1)}
    case = Case("first", text, 14, y=(5,), consts=FLAT | weights(op) | more)
    analysis = analyse(network(case))
    assert analysis.removable("r", 2).all()
    assert analysis.removable("wa", 0).all()
    assert analysis.tied(("r", 2), ("h0", 2), ("wz", 1))
    alive = draw_alive(analysis.units, np.random.default_rng(0), 0.5)
    plan = plan_slices(analysis.units, alive)
    feeds = {"x": normal(1, 3, 6, 6)}
    before = ReferenceEvaluator(masked(analysis.model, plan)).run(None, feeds)
    after = ReferenceEvaluator(whole(apply_plan(analysis.graph, plan))).run(None, feeds)
    compare(before, after)


def test_every_hidden_unit_has_a_norm_and_a_place_in_a_feature_map():
    units = analyse(network(plain("LSTM", 14, directions=2, direction=BOTH))).units
    hidden = set(units.of(units.axes["r"].at(2)).tolist())
    normed = {layer.layer: set(layer.units.tolist()) for layer in measure_weights(L2, units)}
    assert normed["w"] == normed["r"] == hidden
    tap = {tap.tensor: tap for tap in plan_taps(units)}["l"]
    assert set(tap.units.tolist()) == hidden
    assert channels_first(tap, np.zeros((36, 2, 1, 5))).shape == (36, 5, 2, 1)


def test_layer_that_gives_its_last_state_alone_has_a_tap():
    (case,) = [case for case in CASES if case.name.endswith("last-state-alone")]
    assert "yh" in {tap.tensor for tap in plan_taps(analyse(network(case)).units)}


@pytest.mark.parametrize(("activation", "free"), [("Tanh", 5), ("Sigmoid", 0)])
def test_head_dims_of_a_recurrent_layer_stay_where_zeros_do_not_survive(activation, free):
    """Sigmoid makes 0.5 of a silenced unit, which another activation would multiply."""
    text = (
        f'{IN}l = RNN<hidden_size = 5, activations = ["{activation}"]>(s, w, r, c)  '
        "q = Reshape(l, rows)  k = Transpose<perm = [1, 0]>(q)  t = MatMul(q, k)  "
        "y = Reshape(t, image)"
    )
    more = {"rows": ints(36, 5), "image": ints(1, 36, 6, 6)}
    case = Case("heads", text, 14, y=(36,), consts=FLAT | weights("RNN") | more)
    analysis = analyse(network(case), Limits(head_dims=True))
    assert analysis.removable("r", 2).sum() == free, analysis.reasons("r", 2)
    alive = draw_alive(analysis.units, np.random.default_rng(0), 0.5)
    plan = plan_slices(analysis.units, alive)
    shapes = {"x": (1, 3, 6, 6)}
    pruned = apply_plan(analysis.graph, plan)
    assert validate_translation(analysis.graph, pruned, plan, shapes).error < 1e-4
