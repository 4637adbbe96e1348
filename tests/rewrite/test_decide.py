"""A number that the user gives for an input decides the branches that depend on it."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal, run

import wrg_onnx
from wrg_onnx.graph import fill_inputs, from_proto, to_message
from wrg_onnx.rewrite import decide_branches

TEXT = """net (float[1,3,6,6] x, int64 rate) => (float[1,2,6,6] y) {
  k = Constant<value = int64 {16}>()
  d = Mul(rate, t)
  q = Equal(d, k)
  h = If(q)
  <then_branch = a () => (float[1,8,6,6] u) { b = Conv(x, w)  u = Relu(b) },
   else_branch = e () => (float[1,8,6,6] u) { b = Conv(x, v)  u = Tanh(b) }>
  y = Conv(h, z)
}"""
WEIGHTS = {
    "t": np.int64(2), "w": normal(8, 3, 1, 1), "v": normal(8, 3, 1, 1, seed=1),
    "z": normal(2, 8, 1, 1),
}  # fmt: skip
X = normal(1, 3, 6, 6, seed=5)


def given(rate, text=TEXT):
    return fill_inputs(from_proto(build(text, WEIGHTS), name="m"), {"rate": float(rate)})


@pytest.mark.parametrize(("rate", "op"), [(8, "Relu"), (16, "Tanh")])
def test_the_branch_that_the_number_takes_is_laid_flat(rate, op):
    graph = given(rate)
    found = decide_branches(graph)
    assert [node.op for node in found.nodes][-3:] == ["Conv", op, "Conv"]
    assert [value.name for value in found.inputs] == ["x", "rate"]
    assert found.decided == {"rate": rate}
    feeds = {"x": X, "rate": np.array(rate)}
    np.testing.assert_array_equal(
        run(to_message(graph), feeds)[0], run(to_message(found), feeds)[0]
    )


def test_without_a_number_both_branches_stay():
    graph = from_proto(build(TEXT, WEIGHTS), name="m")
    assert decide_branches(graph) is graph


def test_a_number_that_decides_nothing_changes_nothing():
    text = TEXT.replace("q = Equal(d, k)", "m = ReduceMax<keepdims = 0>(x)  q = IsNaN(m)")
    graph = given(
        8,
        text.replace("d = Mul(rate, t)", "").replace(
            "k = Constant<value = int64 {16}>()", "r = Cast<to = 1>(rate)"
        ),
    )
    assert decide_branches(graph) is graph
    assert graph.decided == {}


def test_nothing_else_is_computed_from_the_number():
    text = TEXT.replace("y = Conv(h, z)", "g = Cast<to = 1>(d)  i = Mul(h, g)  y = Conv(i, z)")
    found = decide_branches(given(8, text))
    other = run(to_message(found), {"x": X, "rate": np.array(3)})[0]
    at_eight = run(to_message(found), {"x": X, "rate": np.array(8)})[0]
    np.testing.assert_allclose(other * 8 / 3, at_eight, rtol=1e-5)


def test_a_pruned_file_is_for_the_number_and_the_report_says_so():
    model = build(TEXT, WEIGHTS)
    options = {"ratio": 0.4, "criterion": "l1", "recover": "none", "value": {"rate": 8}}
    result = wrg_onnx.prune(model, **options)
    assert "If" not in {node.op_type for node in result.model.graph.node}
    assert any("the branches that --value rate=8 takes" in note for note in result.report.notes)
    assert [value.name for value in result.model.graph.input] == ["x", "rate"]
    problems = wrg_onnx.validate(model, result.model, value={"rate": 8}).report.problems
    assert not problems


def test_of_several_numbers_only_those_count_that_decide():
    text = TEXT.replace("int64 rate)", "int64 rate, float gain)").replace(
        "y = Conv(h, z)", "g = Mul(h, gain)  y = Conv(g, z)"
    )
    graph = fill_inputs(from_proto(build(text, WEIGHTS), name="m"), {"rate": 8.0, "gain": 2.0})
    found = decide_branches(graph)
    assert "If" not in {node.op for node in found.nodes}
    assert found.decided == {"rate": 8}
