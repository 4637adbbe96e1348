"""A run part by part computes what a run of the whole does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from strategies import build, normal
from strategies import run as run_model

from wrg_onnx.graph import Edit, divide, edited, from_proto, run, run_once

TEXT = """net (float[2,40] x, bool c) => (float[2,30] y, float[2,40] k) {
  k = Identity(x)  a = MatMul(x, w1)  r = Relu(a)
  b = If(c) <then_branch = t () => (float[2,60] p) { p = MatMul(r, w2) },
             else_branch = f () => (float[2,60] q) { n = MatMul(a, w2)  q = Neg(n) }>
  s = Add(b, e)  dead = MatMul(s, w3)  m = MatMul(s, w3)  y = Add(m, r3) }"""
WEIGHTS = {"w1": normal(40, 50), "w2": normal(50, 60), "w3": normal(60, 30), "e": normal(60),
           "r3": normal(30)}  # fmt: skip


@pytest.fixture
def graph():
    return from_proto(build(TEXT, WEIGHTS), name="m")


@pytest.fixture
def few_bytes(monkeypatch):
    """Let any model be too large for one run."""
    monkeypatch.setattr(run, "WHOLE_BYTES", 0)
    monkeypatch.setattr(run, "PART_BYTES", 13000)


@pytest.mark.parametrize("condition", [True, False])
@pytest.mark.parametrize("names", [["y"], ["y", "k"], ["a", "y", "b"], ["k"], ["w1", "r"]])
def test_parts_compute_what_the_whole_does(graph, monkeypatch, condition, names):
    feeds = {"x": normal(2, 40), "c": np.array(condition)}
    wanted = run_once(graph, feeds, names) if "w1" not in names else None
    monkeypatch.setattr(run, "WHOLE_BYTES", 0)
    monkeypatch.setattr(run, "PART_BYTES", 13000)
    assert len(divide(graph, names)) == 3
    found = run_once(graph, feeds, names)
    assert list(found) == names
    for name in names:
        value = WEIGHTS.get(name) if wanted is None else wanted[name]
        if value is not None:
            np.testing.assert_array_equal(found[name], value)


@pytest.mark.usefixtures("few_bytes")
def test_a_part_has_its_weights_and_a_large_layer_is_one_of_its_own(graph):
    parts = divide(graph, ["y"])
    assert [[node.op for node in part.nodes] for part in parts] == [
        ["Identity", "MatMul", "Relu"], ["If", "Add"], ["MatMul", "MatMul", "Add"],
    ]  # fmt: skip
    assert [part.inputs for part in parts] == [("x",), ("a", "c", "r"), ("s",)]
    assert [part.outputs for part in parts] == [("a", "r"), ("s",), ("y",)]


def test_a_small_model_is_one_part(graph):
    assert len(divide(graph, ["y"])) == 1


@pytest.mark.usefixtures("few_bytes")
def test_where_no_array_goes_from_part_to_part_the_whole_is_run():
    text = """net (float[2,40] x) => (float[2,30] y) {
      a = MatMul(x, w1)  q = SequenceConstruct(a, a)  i = Constant<value = int64 {1}>()
      b = SequenceAt(q, i)  n = MatMul(b, w2)  y = MatMul(n, w3) }"""
    model = build(text, {"w1": normal(40, 50), "w2": normal(50, 60), "w3": normal(60, 30)})
    graph = from_proto(model, name="m")
    x = normal(2, 40)
    wanted = x @ normal(40, 50) @ normal(50, 60) @ normal(60, 30)
    np.testing.assert_allclose(run_once(graph, {"x": x}, ["y"])["y"], wanted, rtol=1e-3)


@pytest.mark.usefixtures("few_bytes")
def test_a_node_that_nobody_needs_asks_for_nothing():
    text = """net (float[2,40] x, float[2,60] u) => (float[2,60] y) {
      a = MatMul(x, w1)  dead = Neg(u)  y = MatMul(a, w2) }"""
    graph = from_proto(build(text, {"w1": normal(40, 50), "w2": normal(50, 60)}), name="m")
    feeds = {"x": normal(2, 40), "u": normal(2, 60)}
    wanted = feeds["x"] @ normal(40, 50) @ normal(50, 60)
    np.testing.assert_allclose(run_once(graph, feeds, ["y"])["y"], wanted, rtol=1e-3)
    # A layer by itself: what was before it is given, and its input is read no more.
    given = edited(graph, Edit(operands={(2, 0): normal(2, 50)}))
    wanted = normal(2, 50) @ normal(50, 60)
    np.testing.assert_allclose(run_once(given, feeds, ["y"])["y"], wanted, rtol=1e-3)


@pytest.mark.usefixtures("few_bytes")
@pytest.mark.parametrize("kind", ["bfloat16", "float8e4m3fn", "int4"])
def test_no_part_ends_where_numpy_has_no_type(kind):
    element = getattr(onnx.TensorProto, kind.upper())
    if kind == "bfloat16":
        there, back = f"q = Cast<to = {element}>(a)", "d = Cast<to = 1>(q)"
    else:
        there, back = "q = QuantizeLinear(a, s, z)", "d = DequantizeLinear(q, s, z)"
    text = f"""net (float[2,40] x) => (float[2,60] y) {{
      a = MatMul(x, w1)  {there}  c = MatMul(x, w3)  b = Neg(c)  {back}
      e = Add(d, b)  y = MatMul(e, w2) }}"""
    weights = {"w1": normal(40, 50), "w2": normal(50, 60), "w3": normal(40, 50, seed=1),
               "s": np.float32(0.5)}  # fmt: skip
    model = build(text, weights, opset=21, ir=10)
    zero = np.zeros((), onnx.helper.tensor_dtype_to_np_dtype(element))
    model.graph.initializer.append(onnx.numpy_helper.from_array(zero, "z"))
    graph = from_proto(model, name="m")
    parts = divide(graph, ["y"])
    assert [len(part.nodes) for part in parts] == [6, 1]
    x = {"x": normal(2, 40)}
    (wanted,) = run_model(model, x)
    np.testing.assert_allclose(run_once(graph, x, ["y"])["y"], wanted, rtol=1e-5)
