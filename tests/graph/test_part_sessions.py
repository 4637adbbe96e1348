from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal

from wrg_onnx.errors import ModelError
from wrg_onnx.graph import PartSessions, open_session
from wrg_onnx.graph.load import from_proto

F32 = np.dtype(np.float32)

TEXT = """net (float[1,3,6,6] x) => (float[1,40,6,6] z) {
    h = Conv(x, w)  y = Relu(h)  s = Conv(y, v)  z = Add(s, y) }"""


@pytest.fixture
def graph():
    weights = {"w": normal(40, 3, 1, 1), "v": normal(40, 40, 1, 1)}
    return from_proto(build(TEXT, weights), name="m.onnx")


def test_a_section_computes_what_the_whole_does_there(graph):
    x = normal(1, 3, 6, 6)
    whole = open_session(graph, outputs=["y", "z"]).run({"x": x})
    section = PartSessions(graph).open({"y": F32}, ["z"])
    assert [value.name for value in section.engine.get_inputs()] == ["y"]
    found = section.run({"y": whole["y"]})["z"]
    np.testing.assert_allclose(found, whole["z"], atol=1e-5)


def test_a_section_takes_new_values_of_constants(graph):
    y = np.abs(normal(1, 40, 6, 6))
    zero = np.zeros((40, 40, 1, 1), np.float32)
    found = PartSessions(graph).open({"y": F32}, ["z"], {"v": zero}).run({"y": y})["z"]
    np.testing.assert_array_equal(found, y)


def test_a_constant_node_takes_a_new_value_too():
    text = """net (float[1,2] x) => (float[1,2] y) {
        c = Constant<value = float[2] {1.0, 2.0}>()  y = Add(x, c) }"""
    sections = PartSessions(from_proto(build(text, {}), name="m"))
    x = np.zeros((1, 2), np.float32)
    assert sections.open({"x": F32}, ["y"]).run({"x": x})["y"].tolist() == [[1, 2]]
    new = {"c": np.array([3, 4], np.float32)}
    assert sections.open({"x": F32}, ["y"], new).run({"x": x})["y"].tolist() == [[3, 4]]


def test_a_body_reads_what_the_section_is_fed():
    text = """net (float[2] x, bool b) => (float[2] y) {
        h = Neg(x)
        y = If(b) <then_branch = t () => (float[2] p) { p = Add(h, c) },
                   else_branch = e () => (float[2] q) { q = Identity(h) }> }"""
    graph = from_proto(build(text, {"c": np.ones(2, np.float32)}), name="m")
    section = PartSessions(graph).open({"h": F32, "b": np.dtype(bool)}, ["y"])
    feeds = {"h": np.zeros(2, np.float32), "b": np.array(True)}
    assert section.run(feeds)["y"].tolist() == [1, 1]


def test_an_absent_input_is_not_an_absent_output_of_an_earlier_node():
    text = """net (float[5,1,4] x) => (float[1,1,6] y) {
        none, h = LSTM<hidden_size = 6>(x, w, r)  p = Relu(h)  y = Clip(p, none, six) }"""
    weights = {"w": normal(1, 24, 4), "r": normal(1, 24, 6), "six": np.float32(0.5)}
    model = build(text, weights)
    model.graph.node[0].output[0] = model.graph.node[2].input[1] = ""
    section = PartSessions(from_proto(model, name="m")).open({"h": F32}, ["y"])
    assert [value.name for value in section.engine.get_inputs()] == ["h"]
    found = section.run({"h": np.full((1, 1, 6), 2, np.float32)})["y"]
    np.testing.assert_array_equal(found, np.full((1, 1, 6), 0.5))


def test_a_tensor_that_nothing_feeds_is_an_error(graph):
    with pytest.raises(ModelError, match="up to 'z'"):
        PartSessions(graph).open({"s": F32}, ["z"])


def test_parts_of_one_session_read_nothing_of_each_other(graph):
    x, y = normal(1, 3, 6, 6), normal(1, 40, 6, 6)
    parts = [({"x": x}, ["h"]), ({"y": y}, ["s"]), ({"s": y, "y": y}, ["z"]), ({"h": y}, ["y"])]
    sections = PartSessions(graph)
    found = sections.run_apart(parts, exact=True)
    assert [made.keys() for made in found] == [{"h"}, {"s"}, {"z"}, {"y"}]
    for (fed, names), made in zip(parts, found, strict=True):
        types = dict.fromkeys(fed, F32)
        alone = sections.open(types, names, exact=True).run(fed)
        np.testing.assert_array_equal(made[names[0]], alone[names[0]])


def test_parts_keep_their_names_apart_from_those_of_weights():
    text = "net (float[1,2] x) => (float[1,2] y) { h = Add(x, c)  y = Neg(h) }"
    model = build(text, {"c": np.array([3, 4], np.float32)})
    model.graph.initializer[0].name = model.graph.node[0].input[1] = "part1/h"
    sections = PartSessions(from_proto(model, name="m"))
    x = np.ones((1, 2), np.float32)
    one, two = sections.run_apart([({"x": x}, ["h"]), ({"h": x}, ["y"])])
    assert (one["h"].tolist(), two["y"].tolist()) == ([[4, 5]], [[-1, -1]])
