"""Shapes in bodies are seen where inference does not find them."""
# ruff: noqa: E501 - a network reads best unbroken

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from strategies import build, normal

from wrg_onnx.graph import bind_sizes, body_shapes, from_proto, infer_shapes

OPEN = "If(is1) <then_branch = i () => (float[p,q,r] s1) {s1 = Squeeze(x, ax)}, else_branch = o () => (float[p,q,r,s] s2) {s2 = Identity(x)}>"
TEXT = f"""net (float[1,8,t,1] x, bool c) => (float[] y) {{
  y = If(c)
  <then_branch = t () => (float[d0,d1,d2] y1) {{
     sh = Shape(x)  d = Gather(sh, ix)  is1 = Equal(d, one)  x3 = {OPEN}
     a = Conv<pads = [1, 1]>(x3, w0)  b = Relu(a)  y1 = Conv(b, w1) }},
   else_branch = e () => (float[1,4,1] z) {{ z = Identity(zeros) }}> }}"""
WEIGHTS = {
    "w0": normal(6, 8, 3), "w1": normal(4, 6, 1), "ax": np.array([3]), "ix": np.array(3),
    "one": np.array(1), "zeros": np.zeros((1, 4, 1), np.float32),
}  # fmt: skip


def shapes_of(text, weights, **sizes):
    graph = from_proto(build(text, weights), name="m")
    return infer_shapes(graph, bind_sizes(graph.inputs, sizes=sizes))


def named(shapes, end):
    (found,) = (shape for name, shape in shapes.items() if name.endswith(end))
    return found


@pytest.mark.parametrize("condition", [True, False])
def test_branch_is_looked_into_whether_it_is_taken_or_not(condition):
    text = TEXT.replace(", bool c)", ")")
    shapes = shapes_of(text, WEIGHTS | {"c": np.array(condition)}, t=20)
    assert named(shapes, "then_branch/a") == (1, 6, 20)
    assert named(shapes, "then_branch/y1") == (1, 4, 20)
    assert named(shapes, "then_branch/x3") == (1, 8, 20)


def test_branch_inside_a_branch_is_looked_into():
    shapes = shapes_of(TEXT, WEIGHTS, t=20)
    assert named(shapes, "then_branch/s1") == (1, 8, 20)
    assert named(shapes, "else_branch/s2") == (1, 8, 20, 1)


def test_branch_that_does_not_run_leaves_its_own_shapes_unknown():
    text = """net (float[1,4,2] x, bool c) => (float[] y) {
      y = If(c)
      <then_branch = t () => (float[] u) { k = CumSum(ones, i0)  g = Reshape(x, k)  u = Relu(g) },
       else_branch = e () => (float[] v) { l = CumSum(twos, i0)  h = Reshape(x, l)  v = Relu(h) }> }"""
    weights = {"ones": np.array([3, 1]), "twos": np.array([2, 2]), "i0": np.array(0)}
    shapes = shapes_of(text.replace("float[] y", "float[o,p] y"), weights | {"c": np.array(False)})
    assert named(shapes, "else_branch/v") == (2, 4)
    assert not any(name.endswith("then_branch/g") for name in shapes)


def test_bodies_of_known_shapes_are_not_run():
    text = """net (float[1,4] x, bool c) => (float[1,4] y) {
      y = If(c) <then_branch = t () => (float[1,4] u) {u = Relu(x)}, else_branch = e () => (float[1,4] v) {v = Neg(x)}> }"""
    with mock.patch.object(body_shapes, "start_session", side_effect=AssertionError):
        assert named(shapes_of(text, {}), "then_branch/u") == (1, 4)


LOOP = """net (float[4,6] x) => (float[o,p] y) {
  y = Loop(n, , x) <body = b (int64 i, bool z, float[a,b] s) => (bool z2, float[a2,b2] s2) {
    z2 = Identity(z)  h = MatMul(s, w)  r = Relu(h)  s2 = LAST }> }"""
LOOPS = {"n": np.array(3), "w": normal(6, 6)}


def test_loop_body_is_looked_into():
    shapes = shapes_of(LOOP.replace("LAST", "Neg(r)"), LOOPS)
    assert named(shapes, "body/s") == (4, 6)
    assert named(shapes, "body/h") == (4, 6)
    assert named(shapes, "body/i") == ()


def test_what_changes_between_iterations_has_no_shape():
    shapes = shapes_of(LOOP.replace("LAST", "Concat<axis = 0>(r, s)"), LOOPS)
    assert not {name for name in shapes if name.endswith(("body/s", "body/h", "body/s2"))}
    assert named(shapes, "body/z2") == ()


def test_scan_body_is_looked_into_along_the_scanned_axis():
    text = """net (float[4,5,6] x) => (float[o,p] y, float[g,h,i] l) {
      y, l = Scan<num_scan_inputs = 1, scan_input_axes = [-2], body = b (float[a,b] s, float[c,d] r) => (float[a,b] s2, float[a,b] o) {
        h = MatMul(r, w)  s2 = Add(h, s)  o = Relu(s2) }>(zeros, x) }"""
    shapes = shapes_of(text, {"w": normal(6, 3), "zeros": np.zeros((4, 3), np.float32)})
    assert named(shapes, "body/r") == (4, 6)
    assert named(shapes, "body/h") == (4, 3)
    assert shapes["l"] == (5, 4, 3)
