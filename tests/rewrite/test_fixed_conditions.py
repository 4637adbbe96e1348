"""A condition that sizes decide is a constant where these sizes never vary."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal, run

from wrg_onnx.graph import from_proto, to_message
from wrg_onnx.rewrite import fold

TEXT = """net (float[{sizes}] x) => (float[1,4,6,6] y) {{
  s = Shape(x)
  i = Constant<value = int64 {{{axis}}}>()
  d = Gather(s, i)
  k = Constant<value = int64 {{3}}>()
  q = Equal(d, k)
  y = If(q)
  <then_branch = t () => (float[1,4,6,6] u) {{ a = Conv(x, w)  u = Relu(a) }},
   else_branch = e () => (float[1,4,6,6] v) {{ b = Conv(x, w)  v = Tanh(b) }}>
}}"""
X = normal(1, 3, 6, 6)


def folded(sizes, axis):
    graph = from_proto(
        build(TEXT.format(sizes=sizes, axis=axis), {"w": normal(4, 3, 1, 1)}), name="m"
    )
    return graph, fold(graph)


@pytest.mark.parametrize(("axis", "op"), [(1, "Relu"), (2, "Tanh")])
def test_the_branch_that_a_fixed_size_takes_is_laid_flat(axis, op):
    graph, found = folded("n,3,6,6", axis)
    assert [node.op for node in found.nodes if node.op in ("If", "Relu", "Tanh")] == [op]
    for one, other in zip(
        run(to_message(graph), {"x": X}), run(to_message(found), {"x": X}), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("sizes", ["n,c,6,6", "1,c,6,6"])
def test_an_open_size_decides_nothing(sizes):
    graph, found = folded(sizes, 1)
    assert found is graph


def test_a_count_of_axes_is_fixed_though_their_sizes_are_open():
    text = TEXT.format(sizes="n,c,h,w", axis=0).replace("d = Gather(s, i)", "d = Size(s)")
    text = text.replace("int64 {3}", "int64 {4}")
    found = fold(from_proto(build(text, {"w": normal(4, 3, 1, 1)}), name="m"))
    assert "If" not in {node.op for node in found.nodes}


def test_a_size_that_a_node_leaves_open_decides_nothing():
    text = (
        TEXT.format(sizes="1,3,6,6", axis=0)
        .replace("s = Shape(x)", "z = NonZero(x)  s = Shape(z)")
        .replace("int64 {0}", "int64 {1}")
    )
    graph = from_proto(build(text, {"w": normal(4, 3, 1, 1)}), name="m")
    assert fold(graph) is graph
