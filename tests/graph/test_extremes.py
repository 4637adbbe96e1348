"""The extremes of tensors as further outputs of a graph."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal

from wrg_onnx.graph import Band, from_proto, run_once, with_bands, with_extremes

TEXT = """net (float[1,3,4,4] x) => (float[1,5,4,4] y) { a = Conv(x, w)  y = Relu(a) }"""
X = normal(1, 3, 4, 4)


def found(opset, axes, text=TEXT, feeds=None, ir=8):
    weights = {"w": normal(5, 3, 1, 1)} if "w)" in text else {}
    graph = from_proto(build(text, weights, opset=opset, ir=ir), name="m")
    watched, ends = with_extremes(graph, axes)
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
def test_a_band_is_a_part_of_a_tensor(opset, ir):
    graph = from_proto(build(TEXT, {"w": normal(5, 3, 1, 1)}, opset=opset, ir=ir), name="m")
    watched, names = with_bands(graph, {"a": Band(2, 1, 3), "x": Band(3, 0, 1)})
    values = run_once(watched, {"x": X}, ["a", *names.values()])
    np.testing.assert_array_equal(values[names["a"]], values["a"][:, :, 1:3])
    np.testing.assert_array_equal(values[names["x"]], X[..., :1])


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
    watched, _ = with_extremes(graph, {"a": (0, 2, 3)})
    assert [node.op for node in graph.nodes] == ["Conv", "Relu"]
    assert [node.op for node in watched.nodes] == ["Conv", "Cast", "ReduceMin", "ReduceMax", "Relu"]
