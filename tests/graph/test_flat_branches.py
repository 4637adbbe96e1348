"""A branch that is always taken is laid into the graph around it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from strategies import build, normal, run

from wrg_onnx.graph import flatten, from_proto, lay_flat, to_message

X = normal(1, 3, 6, 6, seed=5)
WEIGHTS = {"w": normal(4, 3, 1, 1), "v": normal(4, 3, 1, 1, seed=1)}
TEXT = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
  h = If(q)
  <then_branch = t () => (float[1,4,6,6] u) { a = Conv(x, w)  u = Relu(a) },
   else_branch = e () => (float[1,4,6,6] u) { a = Conv(x, v)  u = Tanh(a) }>
  y = Neg(h)
}"""


def laid(text, weights, expected):
    """Lay the branches of a model flat; it computes the same and has these operators."""
    graph = from_proto(build(text, weights), name="m")
    found = lay_flat(graph)
    for one, other in zip(
        run(to_message(graph), {"x": X}), run(to_message(found), {"x": X}), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    onnx.checker.check_model(to_message(found), full_check=True)
    assert [node.op for node in found.nodes] == expected
    return found


@pytest.mark.parametrize(("condition", "op"), [(True, "Relu"), (False, "Tanh")])
def test_the_branch_that_the_condition_takes_is_laid_flat(condition, op):
    found = laid(TEXT, {**WEIGHTS, "q": np.bool_(condition)}, ["Conv", op, "Neg"])
    assert found.nodes[1].outputs == ("h",)


def test_a_condition_that_is_computed_stays():
    text = TEXT.replace("h = If(q)", "s = ReduceMax<keepdims = 0>(x)  q = IsNaN(s)  h = If(q)")
    graph = from_proto(build(text, WEIGHTS), name="m")
    assert lay_flat(graph) is graph


def test_a_condition_that_a_caller_may_feed_stays():
    model = build(TEXT, {**WEIGHTS, "q": np.bool_(True)})
    model.graph.input.append(onnx.helper.make_tensor_value_info("q", onnx.TensorProto.BOOL, []))
    graph = from_proto(model, name="m")
    assert lay_flat(graph) is graph


def test_names_that_sibling_branches_share_stay_apart():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
      h = If(q)
      <then_branch = t () => (float[1,4,6,6] u) { a = Conv(x, w)  u = Relu(a) },
       else_branch = e () => (float[1,4,6,6] u) { a = Conv(x, v)  u = Tanh(a) }>
      i = If(r)
      <then_branch = t () => (float[1,4,6,6] u) { a = Conv(x, w)  u = Relu(a) },
       else_branch = e () => (float[1,4,6,6] u) { a = Conv(x, v)  u = Tanh(a) }>
      y = Add(h, i)
    }"""
    weights = {**WEIGHTS, "q": np.bool_(True), "r": np.bool_(False)}
    found = laid(text, weights, ["Conv", "Relu", "Conv", "Tanh", "Add"])
    assert len(found.producers) == 5


def test_nested_branches_are_laid_flat_one_after_another():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
      y = If(q)
      <then_branch = t () => (float[1,4,6,6] u) {
         b = Conv(x, w)
         u = If(r)
         <then_branch = t2 () => (float[1,4,6,6] n) { n = Relu(b) },
          else_branch = e2 () => (float[1,4,6,6] n) { n = Tanh(b) }> },
       else_branch = e () => (float[1,4,6,6] u) { a = Conv(x, v)  u = Tanh(a) }>
    }"""
    found = laid(text, {**WEIGHTS, "q": np.bool_(True), "r": np.bool_(False)}, ["Conv", "Tanh"])
    assert found.nodes[1].outputs == ("y",)


def test_a_branch_inside_one_that_stays_is_laid_flat_there():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
      s = ReduceMax<keepdims = 0>(x)
      q = IsNaN(s)
      y = If(q)
      <then_branch = t () => (float[1,4,6,6] u) { a = Conv(x, v)  u = Tanh(a) },
       else_branch = e () => (float[1,4,6,6] u) {
         b = Conv(x, w)
         u = If(r)
         <then_branch = t2 () => (float[1,4,6,6] n) { n = Relu(b) },
          else_branch = e2 () => (float[1,4,6,6] n) { n = Tanh(b) }> }>
    }"""
    found = laid(text, {**WEIGHTS, "r": np.bool_(True)}, ["ReduceMax", "IsNaN", "If"])
    inner = [node.op for node in flatten(found).graph.nodes]
    assert inner == ["ReduceMax", "IsNaN", "Conv", "Tanh", "Conv", "Relu", "If"]


def test_a_branch_that_stays_inside_one_that_is_taken_reads_the_new_names():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
      s = ReduceMax<keepdims = 0>(x)
      p = IsNaN(s)
      y = If(q)
      <then_branch = t () => (float[1,4,6,6] u) {
         b = Conv(x, w)
         u = If(p)
         <then_branch = t2 () => (float[1,4,6,6] n) { n = Relu(b) },
          else_branch = e2 () => (float[1,4,6,6] n) { n = Tanh(b) }> },
       else_branch = e () => (float[1,4,6,6] u) { a = Conv(x, v)  u = Tanh(a) }>
    }"""
    found = laid(text, {**WEIGHTS, "q": np.bool_(True)}, ["ReduceMax", "IsNaN", "Conv", "If"])
    inner = found.nodes[3].attributes["then_branch"]
    assert inner.nodes[0].inputs == found.nodes[2].outputs


def test_what_a_branch_hands_on_or_returns_twice_gets_there_through_an_identity():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y, float[1,4,6,6] z, float[1,3,6,6] k) {
      y, z, k = If(q)
      <then_branch = t () => (float[1,4,6,6] u, float[1,4,6,6] u, float[1,3,6,6] x) {
         u = Conv(x, w) },
       else_branch = e () => (float[1,4,6,6] u, float[1,4,6,6] d, float[1,3,6,6] c) {
         u = Conv(x, v)  d = Relu(u)  c = Neg(x) }>
    }"""
    graph = from_proto(build(text, {**WEIGHTS, "q": np.bool_(True)}), name="m")
    found = lay_flat(graph)
    assert [node.op for node in found.nodes] == ["Conv", "Identity", "Identity"]
    y, z, k = run(to_message(found), {"x": X})
    np.testing.assert_array_equal(y, z)
    np.testing.assert_array_equal(k, X)


def test_constants_of_a_branch_come_along():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
      y = If(q)
      <then_branch = t () => (float[1,4,6,6] u) <float[4,3,1,1] c = {1,2,3,4,5,6,7,8,9,10,11,12}> {
         u = Conv(x, c) },
       else_branch = e () => (float[1,4,6,6] u) { a = Conv(x, v)  u = Tanh(a) }>
    }"""
    found = laid(text, {"v": WEIGHTS["v"], "q": np.bool_(True)}, ["Conv"])
    (weight,) = (a for a in found.constants.values() if a.shape == (4, 3, 1, 1) and a[0, 0] == 1)
    assert weight.reshape(-1).tolist() == list(range(1, 13))


SHADOWING = """net (float[1,3,6,6] x) => (float[1,3,6,6] y) <int64 n = {{2}}, bool go = {{1}}> {{
  y = If(q)
  <then_branch = t () => (float[1,3,6,6] v) {{
     v = Relu(x)
     w = Loop(n, go, x)
     <body = b (int64 i, bool on, float[1,3,6,6] {fed}) => (bool more, float[1,3,6,6] o) {{
        more = Identity(on)  {made}  o = Add(v, {read}) }}>
     v2 = Add(v, w) }},
   else_branch = e () => (float[1,3,6,6] d) {{ d = Neg(x) }}>
}}""".replace("(float[1,3,6,6] v) {{", "(float[1,3,6,6] v2) {{")


@pytest.mark.parametrize(
    ("fed", "made", "read"),
    [("y", "", "y"), ("s", "y = Neg(s)", "y"), ("v2", "", "v2"), ("s", "v2 = Neg(s)", "v2")],
)
def test_bodies_inside_keep_names_of_their_own_apart(fed, made, read):
    """They may be those under which the If returns what the branch makes."""
    text = SHADOWING.format(fed=fed, made=made, read=read)
    found = laid(text, {"q": np.bool_(True)}, ["Relu", "Loop", "Add"])
    (loop,) = (node for node in found.nodes if node.op == "Loop")
    body = loop.attributes["body"]
    own = {value.name for value in body.inputs} | {n for node in body.nodes for n in node.outputs}
    assert own.isdisjoint({n for node in found.nodes for n in node.outputs})
