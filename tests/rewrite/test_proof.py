"""What the proof counts as evidence, and how it treats rounding."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from strategies import build, normal

from wrg_onnx.channels import find_units
from wrg_onnx.errors import ValidationError
from wrg_onnx.graph import (
    Edit,
    bind_sizes,
    edited,
    from_proto,
    infer_shapes,
    other_sizes,
    run,
    save,
)
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.rewrite import apply_plan, combine, compare_with, plan_slices, run_masked
from wrg_onnx.select import Criterion

WEIGHTS = {"w1": normal(8, 3, 1, 1), "w2": normal(2, 8, 1, 1)}


def halve(model, *, elsewhere=True):
    """Cut half of every group; returns the graph, the plan, the pruned graph and the shapes."""
    graph = from_proto(model, name="m")
    shapes = bind_sizes(graph.inputs, image_size=8)
    others = other_sizes(graph.inputs, shapes) if elsewhere else None
    there = infer_shapes(graph, others) if others else None
    units = find_units(graph, infer_shapes(graph, shapes), elsewhere=there)
    alive = np.ones(units.count, bool)
    for group in np.unique(units.group[units.removable]):
        members = np.flatnonzero((units.group == group) & units.removable)
        alive[members[::2]] = False
    plan = plan_slices(units, alive)
    return graph, plan, apply_plan(graph, plan), [s for s in (shapes, others) if s]


def prove(model, **options):
    graph, plan, pruned, sizes = halve(model, **options)
    return combine([compare_with(run_masked(graph, plan, s), pruned) for s in sizes]), plan


def test_an_output_without_a_finite_value_is_named_and_not_counted():
    text = """net (float[1,3,8,8] x) => (float[1,2,8,8] y) {
      a = Conv(x, w1)  r = Relu(a)  b = Conv(r, w2)  n = Neg(b)  m = Mul(n, n)  o = Neg(m)
      y = Sqrt(o) }"""
    found, _ = prove(build(text, WEIGHTS))
    assert found.silent == ("y",)
    assert found.tensors == 2


def test_float16_has_a_tolerance_of_its_own():
    layers = "".join(f"  a{i + 1} = Conv(a{i}, v{i})" for i in range(6))
    text = f"""net (float16[1,64,8,8] a0) => (float16[1,64,8,8] y) {{
      {layers}  y = Relu(a6) }}"""
    weights = {f"v{i}": normal(64, 64, 1, 1, seed=i, dtype=np.float16) / 8 for i in range(6)}
    found, plan = prove(build(text, {k: v.astype(np.float16) for k, v in weights.items()}))
    assert not plan.alive.all()
    assert found.tolerance == 1e-2
    assert found.error < 1e-2


def test_a_model_with_open_sizes_is_compared_at_two():
    text = """net (float[N,3,H,W] x) => (float[N,2,H,W] y) {
      a = Conv(x, w1)  r = Relu(a)  y = Conv(r, w2) }"""
    found, _ = prove(build(text, WEIGHTS))
    assert found.sizes == 2


def test_channels_merged_with_an_open_batch_stay_where_positions_are_picked():
    text = """net (float[N,3,8,8] x) => (float[M,4,8] y) {
      a = Conv(x, w1)  q = Reshape(a, shape)  g = Gather<axis = 0>(q, pick)
      y = Slice(g, s, e, ax) }"""
    constants = {
        "shape": np.array([-1, 8, 8]), "pick": np.array([-1, -2]), "s": np.array([0]),
        "e": np.array([4]), "ax": np.array([1]),
    }  # fmt: skip
    _, plan, _, _ = halve(build(text, {"w1": WEIGHTS["w1"], **constants}))
    assert not plan.kept
    assert any("repeats them for each sample" in str(r) for r in plan.units.reasons)


def test_initializers_that_only_branches_read_stay_in_the_main_graph_once(tmp_path):
    text = """net (float[1,3,8,8] x, bool c) => (float[1,2,8,8] y) {
      a = Conv(x, w1)  r = Relu(a)  b = Conv(r, w2)
      y = If (c) <
        then_branch = t () => (float[1,2,8,8] p) { p = Add(b, big) },
        else_branch = e () => (float[1,2,8,8] q) { q = Sub(b, big) }
      > }"""
    model = build(text, {**WEIGHTS, "big": normal(1, 2, 8, 8), "spare": normal(40, 40)})
    graph, plan, pruned, sizes = halve(model)
    compare_with(run_masked(graph, plan, sizes[0]), pruned)
    save(pruned, tmp_path / "m.onnx")
    written = onnx.load(tmp_path / "m.onnx")
    assert {t.name for t in written.graph.initializer} == {"w1", "w2", "big", "spare"}
    bodies = [a.g for n in written.graph.node for a in n.attribute if a.name.endswith("branch")]
    assert [len(body.initializer) for body in bodies] == [0, 0]


def test_a_bool_output_does_not_get_the_tolerance_of_float16():
    text = """net (float[1,3,16,16] x) => (bool[1,2,16,16] y) {
      a = Conv(x, w1)  r = Relu(a)  b = Conv(r, w2)  y = Greater(b, zero) }"""
    found, _ = prove(build(text, {**WEIGHTS, "zero": np.float32(0)}))
    assert found.tolerance == 1e-4


def test_a_second_size_that_the_model_refuses_is_told(tmp_path):
    text = """net (float[N,3,8,8] x) => (float[N,2,8,8] y) {
      a = Conv(x, w1)  r = Relu(a)  f = Reshape(r, one)  b = Conv(f, w2)  y = Identity(b) }"""
    model = build(text, {**WEIGHTS, "one": np.array([1, 8, 8, 8])})
    onnx.save(model, tmp_path / "m.onnx")
    config = PruneConfig(0.3, criterion=Criterion.L1)
    report = prune(tmp_path / "m.onnx", None, config).report
    assert report.equivalence.sizes == 1
    assert any("the proof covers one size" in note for note in report.notes)


def chaotic():
    """Build a network in which rounding grows fiftyfold from layer to layer."""
    layers = "".join(
        f"  s{i} = Mul(a{i}, fifty)  t{i} = Sin(s{i})"
        f"  a{i + 1} = Conv<pads = [1, 1, 1, 1]>(t{i}, v{i})"
        for i in range(6)
    )
    text = f"""net (float[1,3,8,8] x) => (float[1,64,8,8] y) {{
      a0 = Conv(x, w1)  {layers}  y = Tanh(a6) }}"""
    weights = {f"v{i}": normal(64, 64, 3, 3, seed=i) for i in range(6)}
    return build(text, {"w1": normal(64, 3, 1, 1), "fifty": np.float32(50), **weights})


def test_where_rounding_grows_from_layer_to_layer_each_layer_is_compared_by_itself():
    found, plan = prove(chaotic())
    assert not plan.alive.all()
    assert found.layers == 7
    assert found.error < 1e-5
    assert found.rounding is None


@pytest.mark.parametrize("layer", range(6))
def test_rounding_that_grows_hides_no_wrong_channel(layer):
    graph, plan, pruned, sizes = halve(chaotic())
    wrong = pruned.constants[f"v{layer}"].copy()
    wrong[[0, 1]] = wrong[[1, 0]]
    swapped = edited(pruned, Edit(constants={f"v{layer}": wrong}))
    with pytest.raises(ValidationError, match=f"'a{layer + 1}' differs"):
        compare_with(run_masked(graph, plan, sizes[0]), swapped)


@pytest.fixture
def in_parts(monkeypatch):
    """Let any model be too large for one run."""
    monkeypatch.setattr(run, "WHOLE_BYTES", 0)
    monkeypatch.setattr(run, "PART_BYTES", 0)


CHAIN = """net (float[1,3,8,8] x) => (float[1,2,8,8] y) {
  a = Conv(x, w1)  r = Relu(a)  b = Conv(r, w2)  y = Sigmoid(b) }"""


def test_a_proof_in_parts_finds_what_a_whole_one_does(monkeypatch):
    whole, _ = prove(build(CHAIN, WEIGHTS))
    monkeypatch.setattr(run, "WHOLE_BYTES", 0)
    monkeypatch.setattr(run, "PART_BYTES", 0)
    found, plan = prove(build(CHAIN, WEIGHTS))
    assert set(plan.kept) == {"w1", "w2"}
    assert (whole.parts, found.parts) == (1, 2)
    assert found.tensors == whole.tensors == 3
    assert found.error <= found.tolerance


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("place", [(0, 0), (5, 2), (-1, 1)])
def test_a_proof_in_parts_finds_a_wrong_weight(place):
    graph, plan, pruned, (shapes,) = halve(build(CHAIN, WEIGHTS))
    wrong = pruned.constants["w1"].copy()
    wrong[place[0] % len(wrong), place[1]] += 0.05
    broken = edited(pruned, Edit(constants={"w1": wrong}))
    with pytest.raises(ValidationError, match="differs by"):
        compare_with(run_masked(graph, plan, shapes), broken)
