"""Cuts through normalisations are held against statistics over the channels that are left."""
# ruff: noqa: E501 - a form's network reads best unbroken

from __future__ import annotations

import numpy as np
import onnx
import pytest
from strategies import build, difference, draw_alive, normal, run

import wrg_onnx
from wrg_onnx.channels import Limits, find_units
from wrg_onnx.errors import ValidationError
from wrg_onnx.graph import Edit, bind_sizes, edited, from_proto, infer_shapes, to_message
from wrg_onnx.report import to_text
from wrg_onnx.rewrite import apply_plan, plan_slices, validate_translation

FREE = Limits(through_norms=True)
W = {"w": normal(5, 8), "z": normal(8, 3, seed=1)}
SCALES = {"g": normal(8, seed=2), "b": normal(8, seed=3)}


def tokens(norm, **weights):
    """Make a net of tokens: 5 to 8 channels, the norm of ``a`` as ``n``, 8 to 3."""
    text = f"""net (float[2,4,5] x) => (float[2,4,3] y) {{
      a = MatMul(x, w)  {norm}  y = MatMul(n, z) }}"""
    return text, {**W, **weights}, "w"


def pixels(norm, **weights):
    """Make a net of pixels: 3 to 8 channels, the norm of ``a`` as ``n``, 8 to 2."""
    text = f"""net (float[2,3,4,4] x) => (float[2,2,4,4] y) {{
      a = Conv(x, w)  {norm}  y = Conv(n, z) }}"""
    return text, {"w": normal(8, 3, 1, 1), "z": normal(2, 8, 1, 1, seed=1), **weights}, "w"


def ints(*values):
    return np.array(values, np.int64)


FORMS = {
    "LayerNormalization": tokens("n = LayerNormalization(a, g, b)", **SCALES),
    "LayerNormalization-no-bias": tokens("n = LayerNormalization(a, g)", g=SCALES["g"]),
    "LayerNormalization-with-statistics": tokens("n, m, s = LayerNormalization(a, g)", g=SCALES["g"]),
    "decomposed-LayerNorm": tokens(
        "m = ReduceMean<axes = [-1]>(a)  d = Sub(a, m)  q = Mul(d, d)"
        "  v = ReduceMean<axes = [-1]>(q)  e = Add(v, c)  s = Sqrt(e)  r = Div(d, s)"
        "  t = Mul(r, g)  n = Add(t, b)",
        c=np.float32(1e-5), **SCALES,
    ),
    "decomposed-RMSNorm": tokens(
        "q = Mul(a, a)  v = ReduceMean<axes = [-1]>(q)  s = Sqrt(v)  r = Div(a, s)  n = Mul(r, g)",
        g=SCALES["g"],
    ),
    # Of what is zero once its weights are, a length is a sum, and needs no option.
    "L2-by-ReduceL2": tokens("e = Sigmoid(a)  s = ReduceL2<axes = [-1]>(e)  n = Div(e, s)"),
    "L1": tokens("e = Sigmoid(a)  s = ReduceL1<axes = [-1], keepdims = 1>(e)  n = Div(e, s)"),
    "ReduceSumSquare": tokens(
        "e = Sigmoid(a)  s = ReduceSumSquare<axes = [-1]>(e)  r = Sqrt(s)  n = Div(e, r)"
    ),
    "LpNormalization": tokens("n = LpNormalization<axis = -1, p = 2>(a)"),
    "MeanVariance": tokens("n = MeanVarianceNormalization<axes = [2]>(a)"),
    "SkipLayerNormalization": tokens(
        "k = MatMul(x, w2)  n, m, s, o = com.microsoft.SkipLayerNormalization(a, k, g, b)",
        w2=normal(5, 8, seed=7), **SCALES,
    ),
    "SkipSimplifiedLayerNormalization": tokens(
        "k = MatMul(x, w2)  n = com.microsoft.SkipSimplifiedLayerNormalization(a, k, g)",
        w2=normal(5, 8, seed=7), g=SCALES["g"],
    ),
    "SimplifiedLayerNormalization": tokens("n = SimplifiedLayerNormalization<axis = -1>(a, g)", g=SCALES["g"]),
    "over-channels-and-width": pixels(
        "n = LayerNormalization<axis = 1>(a, g, b)", g=normal(8, 4, 4, seed=2), b=normal(8, 4, 4, seed=3)
    ),
    "LayerNorm2d": pixels(
        "m = ReduceMean<axes = [1]>(a)  d = Sub(a, m)  q = Mul(d, d)"
        "  v = ReduceMean<axes = [1]>(q)  s = Sqrt(v)  n = Div(d, s)"
    ),
    "global-response-norm": pixels(
        "e = ReduceL2<axes = [2, 3]>(a)  m = ReduceMean<axes = [1]>(e)  r = Div(e, m)  n = Mul(a, r)"
    ),
    "channel-mean": pixels("m = ReduceMean<axes = [1], keepdims = 1>(a)  n = Sub(a, m)"),
    "decomposed-GroupNorm": pixels(
        "f = Reshape(a, i)  h = InstanceNormalization(f, g, b)  n = Reshape(h, j)",
        i=ints(0, 2, -1), j=ints(0, -1, 4, 4), g=normal(2, seed=2), b=normal(2, seed=3),
    ),
}  # fmt: skip


def analysed(text, weights, limits=FREE, opset=17):
    domains = ("com.microsoft",) if "com.microsoft" in text else ()
    model = build(text, weights, opset=opset, domains=domains)
    graph = from_proto(model, name="m")
    shapes = bind_sizes(graph.inputs)
    return graph, shapes, find_units(graph, infer_shapes(graph, shapes), limits)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(3))
def test_the_pruned_net_is_the_same_net_with_fewer_channels(form, seed):
    """The text with weights sliced by hand is held against the cut, and the cut is proven."""
    text, weights, first = FORMS[form]
    graph, shapes, units = analysed(text, weights)
    alive = draw_alive(units, np.random.default_rng(seed))
    plan = plan_slices(units, alive)
    assert first in plan.kept
    pruned = apply_plan(graph, plan)
    assert validate_translation(graph, pruned, plan, shapes).error < 1e-5
    sliced = dict(weights)
    for name, kept in plan.kept.items():
        for axis, positions in enumerate(kept):
            if positions is not None:
                sliced[name] = np.take(sliced[name], positions, axis=axis)
    domains = ("com.microsoft",) if "com.microsoft" in text else ()
    feeds = {"x": normal(*shapes["x"], seed=9)}
    expected = run(build(text, sliced, domains=domains), feeds)
    for one, other in zip(expected, run(to_message(pruned), feeds), strict=True):
        assert difference(one, other) < 1e-5


@pytest.mark.parametrize("form", FORMS)
def test_without_the_option_the_axis_stays(form):
    text, weights, first = FORMS[form]
    _, _, units = analysed(text, weights, Limits())
    slots = [slot for slot in units.slots if slot.name == first and slot.size == 8]
    if form == "decomposed-GroupNorm":  # whole groups go
        assert len(np.unique(units.slot_units(slots[0]))) == 2
    else:
        assert not units.removable[units.slot_units(slots[0])].any()


def test_group_normalisations_lose_the_same_position_of_each_group():
    text, weights, _ = pixels("n = GroupNormalization<num_groups = 2>(a, g, b)", **SCALES)
    graph, shapes, units = analysed(text, weights, opset=21)
    (slot,) = (s for s in units.slots if s.name == "w" and s.axis == 0)
    own = units.slot_units(slot)
    np.testing.assert_array_equal(own[:4], own[4:])
    alive = np.ones(units.count, bool)
    alive[own[1]] = False
    pruned = apply_plan(graph, plan_slices(units, alive))
    assert pruned.nodes[1].int("num_groups") == 2
    assert validate_translation(graph, pruned, plan_slices(units, alive), shapes).error < 1e-5


def test_group_normalisations_with_one_scale_a_group_keep_all_of_them():
    text, weights, _ = pixels(
        "n = GroupNormalization<num_groups = 2>(a, g, b)", g=normal(2), b=normal(2)
    )
    graph, shapes, units = analysed(text, weights, opset=18)
    alive = draw_alive(units, np.random.default_rng(0))
    plan = plan_slices(units, alive)
    assert set(plan.kept) == {"w", "z"}
    # ONNX Runtime has no kernel for this form; its shapes are those of the cut weights.
    pruned = apply_plan(graph, plan)
    assert infer_shapes(pruned, shapes)["n"][1] == pruned.constants["w"].shape[0]


RESIDUAL = """net (float[1,4,5] x) => (float[1,4,3] y) {
  a = MatMul(x, w)
  n = LayerNormalization(a, g, b)
  h = MatMul(n, u)  k = Relu(h)  v = MatMul(k, d)
  r = Add(a, v)
  m = LayerNormalization(r, g2, b2)
  y = MatMul(m, z)
}"""
RESIDUAL_WEIGHTS = {
    **W, **SCALES, "u": normal(8, 16), "d": normal(16, 8), "g2": normal(8), "b2": normal(8),
}  # fmt: skip


def test_the_width_of_a_residual_stream_shrinks_and_the_report_says_how_far_it_moves():
    model = build(RESIDUAL, RESIDUAL_WEIGHTS)
    held = wrg_onnx.inspect(model).report
    free = wrg_onnx.inspect(model, through_norms=True).report
    assert held.largest_ratio < free.largest_ratio
    (row,) = (row for row in held.frozen if row.way_out == "--through-norms")
    assert row.nodes == 2
    options = {"ratio": 0.5, "criterion": "l1", "recover": "none", "through_norms": True}
    report = wrg_onnx.prune(model, **options).report
    assert report.equivalence.norms == 2
    assert 0 < report.equivalence.moved < 1
    assert "2 normalisations over the channels that are left" in " ".join(to_text(report).split())


def test_a_cut_beside_the_norms_moves_nothing():
    model = build(RESIDUAL, RESIDUAL_WEIGHTS)
    report = wrg_onnx.prune(
        model, ratio=0.2, criterion="l1", recover="none", through_norms=True, only="u"
    ).report
    assert (report.equivalence.norms, report.equivalence.moved) == (0, 0.0)


def test_a_mistake_at_a_norm_is_found():
    graph, shapes, units = analysed(RESIDUAL, RESIDUAL_WEIGHTS)
    plan = plan_slices(units, draw_alive(units, np.random.default_rng(1)))
    pruned = apply_plan(graph, plan)
    broken = edited(pruned, Edit({"g": pruned.constants["g"][::-1].copy()}))
    with pytest.raises(ValidationError):
        validate_translation(graph, broken, plan, shapes)


IN_A_BRANCH = """net (float[2,4,5] x) => (float[2,4,3] y) {
  a = MatMul(x, w)  s = ReduceMax<keepdims = 0>(x)  q = IsNaN(s)
  n = If(q)
  <then_branch = t () => (float[2,4,8] u) { u = LayerNormalization(a, g) },
   else_branch = e () => (float[2,4,8] v) { v = Relu(a) }>
  y = MatMul(n, z) }"""


def test_norms_in_bodies_stay():
    _, _, units = analysed(IN_A_BRANCH, {**W, "g": SCALES["g"]})
    assert not units.removable.any()


def test_a_norm_whose_axis_is_known_at_run_time_alone_stays():
    text, weights, _ = tokens("m = ReduceMean(a, k)  n = Sub(a, m)")
    model = build(text.replace("float[2,4,5] x", "float[2,4,5] x, int64[1] k"), weights, opset=18)
    graph = from_proto(model, name="m")
    shapes = {
        **infer_shapes(from_proto(build(*tokens("n = Relu(a)")[:2]), name="m"), {"x": (2, 4, 5)}),
        "k": (1,),
        "m": (2, 4, 1),
    }
    units = find_units(graph, shapes, FREE)
    assert not units.removable[units.slot_units(units.slots_of["w"][1])].any()


def test_recovery_solves_for_what_reads_a_thinned_norm():
    model = build(RESIDUAL, RESIDUAL_WEIGHTS)
    report = wrg_onnx.prune(
        model, ratio=0.4, through_norms=True, recover="ridge", samples=16
    ).report
    assert (
        report.accuracy.agreement[0].relative_error
        < report.accuracy.cut.agreement[0].relative_error
    )
    assert "y" in {fit.layer for fit in report.recovery.fits}


def test_a_thinned_transformer_is_a_valid_file(tmp_path):
    path = tmp_path / "m.onnx"
    wrg_onnx.prune(
        build(RESIDUAL, RESIDUAL_WEIGHTS), path, ratio=0.5, criterion="l1", recover="none",
        through_norms=True,
    )  # fmt: skip
    written = onnx.load(path)
    onnx.checker.check_model(written, full_check=True)
    assert [node.op_type for node in written.graph.node].count("Gather") == 0


def test_norms_in_bodies_do_not_ask_for_the_option_that_was_given():
    model = build(IN_A_BRANCH, {**W, "g": SCALES["g"]})
    held = wrg_onnx.inspect(model, through_norms=True).report.frozen
    (row,) = (row for row in held if "normalises" in row.reason)
    assert row.reason.endswith("in a branch or loop body, where the proof cannot follow")
    assert row.way_out == ""


def test_the_proof_of_rounds_counts_the_norms_of_each():
    model = build(RESIDUAL, RESIDUAL_WEIGHTS)
    options = {"ratio": 0.6, "criterion": "l1", "recover": "none", "through_norms": True}
    report = wrg_onnx.prune(model, rounds=2, **options).report
    assert report.equivalence.norms == 2
    assert report.equivalence.moved > 0
