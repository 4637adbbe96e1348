from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal, run, whole

from wrg_onnx.graph import Edit, edited, open_session, without_additions
from wrg_onnx.graph.load import from_proto

TEXT = """net (float[1,4,2,2] x) => (float[a,b] p, float[c,d] q) {
  s = Constant<value = int64[2] {1, 16}>()  p = Reshape(x, s)  f = Relu(x)  q = Reshape(f, s) }"""


@pytest.fixture
def graph():
    return from_proto(build(TEXT), name="m")


def test_source_is_untouched(graph):
    before = whole(graph).SerializeToString(deterministic=True)
    edit = Edit(
        constants={"s": np.array([2, 8])},
        attributes={1: {"allowzero": 1}},
        operands={(3, 1): np.array([4, 4])},
    )
    other = edited(graph, edit)
    assert whole(graph).SerializeToString(deterministic=True) == before
    assert other.constants["s"].tolist() == [2, 8]
    assert graph.constants["s"].tolist() == [1, 16]


def test_bypassed_tensor_is_read_by_no_node(graph):
    other = edited(graph, Edit(bypassed={"f": "x"}))
    assert [node.inputs for node in other.nodes] == [("x", "s"), ("x",), ("x", "s")]
    assert [node.inputs for node in graph.nodes] == [("x", "s"), ("x",), ("f", "s")]


def test_operand_is_private_to_its_node(graph):
    other = edited(graph, Edit(operands={(3, 1): np.array([4, 4])}))
    assert other.nodes[0].inputs == ("x", "s")
    assert other.nodes[2].inputs == ("f", "s_pruned1")
    p, q = run(whole(other), {"x": normal(1, 4, 2, 2)})
    assert (p.shape, q.shape) == ((1, 16), (4, 4))


def test_two_operands_from_one_constant_get_names_of_their_own(graph):
    operands = {(1, 1): np.array([8, 2]), (3, 1): np.array([4, 4])}
    other = edited(graph, Edit(operands=operands))
    assert other.nodes[0].inputs[1] != other.nodes[2].inputs[1]
    p, q = run(whole(other), {"x": normal(1, 4, 2, 2)})
    assert (p.shape, q.shape) == ((8, 2), (4, 4))


def test_absent_operand_is_appended():
    graph = from_proto(
        build("net (float[1,4] x) => (float[1,a] l, float[1,b] r) { l, r = Split<axis = 1>(x) }",
              opset=13), name="m")  # fmt: skip
    other = edited(graph, Edit(operands={(0, 1): np.array([1, 3])}))
    left, right = run(whole(other), {"x": normal(1, 4)})
    assert (left.shape, right.shape) == ((1, 1), (1, 3))


def test_none_removes_an_attribute(graph):
    other = edited(graph, Edit(attributes={1: {"allowzero": 1}}))
    assert other.nodes[0].attributes == {"allowzero": 1}
    assert edited(other, Edit(attributes={1: {"allowzero": None}})).nodes[0].attributes == {}


def test_untouched_arrays_are_shared():
    graph = from_proto(
        build("net (float[1,4] x) => (float[1,4] y) { h = Add(x, c)  y = Add(h, d) }",
              {"c": normal(4), "d": normal(4, seed=1)}), name="m")  # fmt: skip
    other = edited(graph, Edit(constants={"d": np.zeros(4, np.float32)}))
    assert np.shares_memory(other.constants["c"], graph.constants["c"])
    assert not np.shares_memory(other.constants["d"], graph.constants["d"])


def test_edits_follow_one_another(graph):
    once = edited(graph, Edit(operands={(3, 1): np.array([4, 4])}))
    twice = edited(once, Edit(operands={(3, 1): np.array([2, 8])}))
    assert run(whole(twice), {"x": normal(1, 4, 2, 2)})[1].shape == (2, 8)


def test_a_bias_is_added_behind_its_node_and_the_sum_keeps_the_name():
    text = "net (float[2,3] x) => (float[2,4] y, float[2,4] z) { y = MatMul(x, w)  z = Neg(y) }"
    graph = from_proto(build(text, {"w": normal(3, 4)}), name="m")
    bias = np.arange(4, dtype=np.float32)
    changed = edited(graph, Edit(biases={0: bias}))
    assert [node.op for node in changed.nodes] == ["MatMul", "Add", "Neg"]
    x = normal(2, 3)
    before, after = (open_session(g).run({"x": x}) for g in (graph, changed))
    np.testing.assert_allclose(after["y"], before["y"] + bias, atol=1e-6)
    np.testing.assert_allclose(after["z"], -after["y"], atol=1e-6)
    assert [node.op for node in without_additions(changed)] == ["MatMul", "Neg"]
