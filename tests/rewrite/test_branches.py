"""The proof runs both branches of an If, whichever the input takes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from strategies import build, normal

from wrg_onnx.channels import find_units
from wrg_onnx.errors import DataError, ValidationError
from wrg_onnx.graph import Edit, bind_sizes, edited, from_proto, infer_shapes
from wrg_onnx.pipeline.config import DataOptions, PruneConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.rewrite import (
    apply_plan,
    combine,
    compare_with,
    has_branches,
    plan_slices,
    run_masked,
)
from wrg_onnx.select import Criterion

TEXT = """net (float[1,3,6,6] x) => (float[1,2,6,6] out) {
  a = Conv(x, w)
  y = If(q)
  <then_branch = t () => (float[1,8,6,6] u) { c = Conv(a, t1)  d = Relu(c)  u = Conv(d, t2) },
   else_branch = e () => (float[1,8,6,6] v) { f = Conv(a, e1)  g = Tanh(f)  v = Conv(g, e2) }>
  out = Conv(y, z) }"""
WEIGHTS = {
    "w": normal(8, 3, 1, 1), "t1": normal(6, 8, 1, 1), "t2": normal(8, 6, 1, 1),
    "e1": normal(6, 8, 1, 1, seed=1), "e2": normal(8, 6, 1, 1, seed=1), "z": normal(2, 8, 1, 1),
    "q": np.bool_(True),
}  # fmt: skip


@pytest.fixture
def halved():
    """Cut half of every group; returns the graph, the plan, the pruned graph and the shapes."""
    graph = from_proto(build(TEXT, WEIGHTS), name="m")
    shapes = bind_sizes(graph.inputs)
    units = find_units(graph, infer_shapes(graph, shapes))
    alive = np.ones(units.count, bool)
    for group in np.unique(units.group[units.removable]):
        alive[np.flatnonzero((units.group == group) & units.removable)[::2]] = False
    plan = plan_slices(units, alive)
    return graph, plan, apply_plan(graph, plan), shapes


def test_both_branches_are_run(halved):
    graph, plan, pruned, shapes = halved
    assert has_branches(graph)
    references = [run_masked(graph, plan, shapes, branch=b) for b in (None, True, False)]
    np.testing.assert_array_equal(references[0].values["out"], references[1].values["out"])
    assert not np.allclose(references[0].values["out"], references[2].values["out"])
    found = combine([compare_with(reference, pruned) for reference in references])
    assert found.error < 1e-5
    assert (found.sizes, found.branches) == (1, 2)


def test_a_mistake_in_the_branch_that_is_not_taken_is_found(halved):
    graph, plan, pruned, shapes = halved
    broken = edited(pruned, Edit({"e2": pruned.constants["e2"][::-1].copy()}))
    compare_with(run_masked(graph, plan, shapes), broken)
    compare_with(run_masked(graph, plan, shapes, branch=True), broken)
    with pytest.raises(ValidationError):
        compare_with(run_masked(graph, plan, shapes, branch=False), broken)


def test_a_branch_that_cannot_run_here_is_noted(tmp_path):
    """It is there for another shape: what it returns does not fit what follows."""
    text = TEXT.replace("v = Conv(g, e2)", "h = Conv(g, e2)  v = Flatten(h)")
    # One that is a constant of the file would lay the branch flat.
    text = text.replace(
        "y = If(q)", "s = ReduceMax<keepdims = 0>(x)  p = IsNaN(s)  o = Not(p)\n  y = If(o)"
    )
    path = tmp_path / "m.onnx"
    onnx.save(build(text.replace("float[1,8,6,6] v", "float[i,j] v"), WEIGHTS), path)
    config = PruneConfig(0.1, criterion=Criterion.L1, evaluate=False)
    report = prune(path, None, config).report
    assert report.equivalence.branches == 1
    assert any("not every branch runs" in note for note in report.notes)


def test_a_branch_of_zeros_leaves_the_proof_to_the_other_one(tmp_path):
    """What the condition takes is the same whatever was cut."""
    text = TEXT.replace("x) => (float[1,2,6,6] out)", "x, bool q) => (float[1,8,6,6] y)")
    text = text.replace("  out = Conv(y, z) }", "}").replace(
        "f = Conv(a, e1)  g = Tanh(f)  v = Conv(g, e2)", "v = Identity(none)"
    )
    # A condition that the number alone decided would lay the branch flat.
    text = text.replace(
        "y = If(q)",
        "s = ReduceMax<keepdims = 0>(x)  p = IsNaN(s)  r = Not(p)  k = And(q, r)\n  y = If(k)",
    )
    weights = {name: WEIGHTS[name] for name in ("w", "t1", "t2")}
    weights["none"] = np.zeros((1, 8, 6, 6), np.float32)
    path = tmp_path / "m.onnx"
    onnx.save(build(text, weights), path)
    for number in (0.0, 1.0):
        data = DataOptions(values={"q": number})
        config = PruneConfig(0.2, criterion=Criterion.L1, evaluate=False, data=data)
        found = prune(path, None, config).report.equivalence
        assert found.branches >= 1
        assert found.error < 1e-5


def test_branches_that_return_other_shapes_are_no_reference(halved):
    _, plan, _, shapes = halved
    short = TEXT.replace("v = Conv(g, e2)", "h = Conv(g, e2)  v = Squeeze(h)")
    other = from_proto(
        build(short.replace("float[1,8,6,6] v", "float[8,6,6] v"), WEIGHTS), name="m"
    )
    with pytest.raises(DataError):
        run_masked(other, plan, shapes, branch=False)


def test_a_model_without_branches_runs_once():
    graph = from_proto(build("net (float[1] x) => (float[1] y) { y = Relu(x) }"), name="m")
    assert not has_branches(graph)
