from __future__ import annotations

import numpy as np
import onnx
import pytest
from strategies import build, normal, run, whole

from wrg_onnx.errors import ModelError
from wrg_onnx.graph import (
    Edit,
    edited,
    load,
    open_session,
    save,
    without_additions,
    without_bias,
)
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


def test_a_file_says_what_an_edit_put_in(tmp_path):
    text = """net (float[2,3] x) => (float[2,4] y, float[4,2] a, float[8] b) {
      y = MatMul(x, w)  s = Constant<value = int64[2] {4, 2}>()  r = Reshape(y, s)
      a = Neg(r)  f = Constant<value = int64[1] {8}>()  b = Reshape(r, f) }"""
    graph = from_proto(build(text, {"w": normal(3, 4)}), name="m")
    edit = Edit(biases={0: normal(4)}, copies={(5, 0): {1: np.array([2, 4])}})
    save(edited(graph, edit), tmp_path / "m.onnx")
    read = load(tmp_path / "m.onnx")
    assert read.added == {"y_pruned1": "y", "r_pruned1": "r"}
    assert [node.op for node in read.nodes] == ["MatMul", "Add", "Reshape", "Neg", "Reshape",
                                                "Reshape"]  # fmt: skip
    assert [node.op for node in without_additions(read)] == ["MatMul", "Reshape", "Neg", "Reshape"]
    assert without_bias(read, "y_pruned1") == "y"
    assert without_bias(read, "r_pruned1") == "r_pruned1"
    x = normal(2, 3)
    np.testing.assert_allclose(
        open_session(read).run({"x": x})["y"], x @ normal(3, 4) + normal(4), rtol=1e-5
    )


def test_a_name_that_looks_as_if_it_had_been_put_in_says_nothing():
    text = "net (float[4] x) => (float[4] y) { y_pruned1 = Relu(x)  y = Add(y_pruned1, c) }"
    graph = from_proto(build(text, {"c": normal(4)}), name="m")
    assert len(without_additions(graph)) == 2
    assert without_bias(graph, "y_pruned1") == "y_pruned1"


@pytest.mark.parametrize("note", ["{", "[]", "7", '{"y": 3}', "[" * 9999])
def test_a_broken_note_of_what_was_put_in_is_refused(note):
    model = build("net (float[4] x) => (float[4] y) { y = Relu(x) }")
    model.metadata_props.add(key="wrg_onnx.added", value=note)
    with pytest.raises(ModelError, match=r"the note 'wrg_onnx\.added' in its metadata is broken"):
        from_proto(model, name="m")


def test_a_note_of_tensors_that_are_gone_is_ignored():
    model = build("net (float[4] x) => (float[4] y) { y = Relu(x) }")
    model.metadata_props.add(key="wrg_onnx.added", value='{"y_pruned1":"y"}')
    assert from_proto(model, name="m").added == {}


def test_a_constant_that_nothing_reads_any_more_is_left_out():
    text = "net (float[2,4] x) => (float[2,4] y) { h = Add(x, c)  y = Mul(h, c) }"
    graph = from_proto(build(text, {"c": normal(4), "unread": normal(4)}), name="m")
    one = edited(graph, Edit(operands={(0, 1): normal(4, seed=1)}))
    assert set(one.constants) == {"c", "unread", "c_pruned1"}
    both = edited(one, Edit(operands={(1, 1): normal(4, seed=2)}))
    assert set(both.constants) == {"unread", "c_pruned1", "c_pruned2"}


@pytest.mark.parametrize("ir", [3, 4])
def test_what_is_added_is_an_input_where_the_version_wants_it(ir, tmp_path):
    text = "net (float[2,3] x, float[3,4] w) => (float[2,4] y) { y = MatMul(x, w) }"
    graph = from_proto(build(text, {"w": normal(3, 4)}, ir=ir, opset=8), name="m")
    save(edited(graph, Edit(biases={0: normal(4)})), tmp_path / "m.onnx")
    written = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(written, full_check=True)
    extra = ["y_bias_pruned1"] if ir == 3 else []
    assert [value.name for value in written.graph.input] == ["x", "w", *extra]
    assert written.ir_version == ir
    (found,) = run(written, {"x": normal(2, 3)})
    np.testing.assert_allclose(found, normal(2, 3) @ normal(3, 4) + normal(4), rtol=1e-5)


def test_an_initializer_that_is_an_input_is_declared_as_it_became():
    text = "net (float[2,3] x, float[3,4] w) => (float[2,n] y) { y = MatMul(x, w) }"
    graph = from_proto(build(text, {"w": normal(3, 4)}, ir=3, opset=8), name="m")
    other = edited(graph, Edit(constants={"w": normal(3, 2)}))
    message = whole(other)
    dims = message.graph.input[1].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [3, 2]
    assert other.fed_constants == {"w"}


def test_a_number_from_numpy_is_an_array_without_axes():
    graph = from_proto(build("net (float[4] x) => (float[4] y) { y = Mul(x, k) }",
                             {"k": np.float32(2)}), name="m")  # fmt: skip
    other = edited(graph, Edit(constants={"k": np.float32(3) * np.float32(2)}))
    assert other.constants["k"].shape == ()
    np.testing.assert_allclose(run(whole(other), {"x": normal(4)})[0], 6 * normal(4), rtol=1e-6)
