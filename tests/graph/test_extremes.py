"""The extremes of tensors as further outputs of a graph."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal

from wrg_onnx.graph import Look, from_proto, run_once, with_extremes

TEXT = """net (float[1,3,4,4] x) => (float[1,5,4,4] y) { a = Conv(x, w)  y = Relu(a) }"""
X = normal(1, 3, 4, 4)


def found(opset, axes, text=TEXT, feeds=None, ir=8, steps=(1, 1, 1)):
    weights = {"w": normal(5, 3, 1, 1)} if "w)" in text else {}
    graph = from_proto(build(text, weights, opset=opset, ir=ir), name="m")
    looks = {n: Look(a, steps[: len(a)]) for n, a in axes.items()}
    watched, ends = with_extremes(graph, looks)
    names = [name for one in ends.values() for name in {one.least: 0, one.largest: 0}]
    values = run_once(watched, feeds or {"x": X}, [*axes, *names])
    return values, ends


@pytest.mark.parametrize("opset", [9, 13, 17, 18, 20])
def test_they_are_those_of_each_channel(opset):
    values, ends = found(opset, {"a": (0, 2, 3), "x": (0, 2, 3)})
    for name in ("a", "x"):
        np.testing.assert_array_equal(values[ends[name].least], values[name].min(axis=(0, 2, 3)))
        np.testing.assert_array_equal(values[ends[name].largest], values[name].max(axis=(0, 2, 3)))


@pytest.mark.parametrize(("opset", "ir"), [(9, 3), (10, 3), (13, 8), (18, 8)])
def test_steps_leave_places_out_where_a_slice_takes_them(opset, ir):
    values, ends = found(opset, {"a": (0, 2, 3)}, ir=ir, steps=(1, 3, 2))
    seen = values["a"] if opset < 10 else values["a"][:, :, ::3, ::2]
    np.testing.assert_array_equal(values[ends["a"].least], seen.min(axis=(0, 2, 3)))
    np.testing.assert_array_equal(values[ends["a"].largest], seen.max(axis=(0, 2, 3)))


def test_without_an_axis_to_go_over_they_are_the_tensor():
    values, ends = found(17, {"a": ()})
    assert ends["a"].least == ends["a"].largest
    np.testing.assert_array_equal(values[ends["a"].least], values["a"])


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("uint8", np.uint8), ("bool", np.bool_), ("float16", np.float16), ("int64", np.int64)],
)
def test_other_numbers_are_looked_at_as_float32(kind, dtype):
    text = f"net ({kind}[2,3] x) => ({kind}[2,3] y) {{ y = Identity(x) }}"
    x = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    values, ends = found(11, {"x": (0,)}, text, {"x": x})
    np.testing.assert_array_equal(values[ends["x"].least], np.array([0, 0, 1], np.float32))
    np.testing.assert_array_equal(values[ends["x"].largest], np.ones(3, np.float32))


def test_the_graph_itself_stays_as_it_is():
    graph = from_proto(build(TEXT, {"w": normal(5, 3, 1, 1)}), name="m")
    watched, _ = with_extremes(graph, {"a": Look((0, 2, 3), (1, 1, 1))})
    assert [node.op for node in graph.nodes] == ["Conv", "Relu"]
    assert [node.op for node in watched.nodes] == ["Conv", "Cast", "ReduceMin", "ReduceMax", "Relu"]
