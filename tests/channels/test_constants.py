"""Constants that several nodes read: vectors tie no layers together, weights stay shared."""

from __future__ import annotations

import numpy as np
import onnx
from strategies import (
    TOLERANCE,
    analyse,
    assert_identity,
    build,
    difference,
    normal,
    run,
    whole,
)

from wrg_onnx.channels import random_feeds
from wrg_onnx.rewrite import apply_plan, plan_slices, validate_translation


def two_layers(tail="y = Conv(s, wd)"):
    """Two layers of eight channels whose biases are one initializer."""
    text = f"""net (float[1,3,6,6] x) => (float[o0,o1,o2,o3] y) {{
        a = Conv(x, wa, c)  r = Relu(a)  b = Conv(r, wb, c)  s = Relu(b)  {tail} }}"""
    weights = {
        "wa": normal(8, 3, 1, 1), "wb": normal(8, 8, 1, 1, seed=1), "wd": normal(4, 8, 1, 1),
        "c": normal(8, seed=2),
    }  # fmt: skip
    return build(text, weights)


def without(analysis, *places):
    """Return what stays alive without the units at (name, axis, position)."""
    alive = np.ones(analysis.units.count, bool)
    for name, axis, position in places:
        alive[analysis.labels(name, axis)[position]] = False
    return alive


def prune(analysis, alive):
    """Prune, with the package's own proof, and return the plan and the smaller graph."""
    plan = plan_slices(analysis.units, alive)
    pruned = apply_plan(analysis.graph, plan)
    onnx.checker.check_model(whole(pruned), full_check=True)
    shapes = {v.name: analysis.shapes[v.name] for v in analysis.graph.inputs}
    assert validate_translation(analysis.graph, pruned, plan, shapes).error < 1e-5
    return plan, pruned


def test_a_shared_bias_ties_no_layers_together():
    analysis = analyse(two_layers())
    assert analysis.removable("wa", 0).all()
    assert not set(analysis.labels("wa", 0)) & set(analysis.labels("wb", 0))
    assert_identity(analysis)


def test_readers_that_keep_other_positions_get_vectors_of_their_own():
    analysis = analyse(two_layers())
    _, pruned = prune(analysis, without(analysis, ("wa", 0, 2), ("wb", 0, 5), ("wb", 0, 6)))
    first, second = (node.inputs[2] for node in pruned.nodes if len(node.inputs) == 3)
    bias = analysis.graph.constants["c"]
    np.testing.assert_array_equal(pruned.constants[first], np.delete(bias, 2))
    np.testing.assert_array_equal(pruned.constants[second], np.delete(bias, [5, 6]))
    assert "c" not in pruned.constants


def test_a_reader_that_keeps_all_positions_goes_on_reading_the_shared_vector():
    analysis = analyse(two_layers())
    _, pruned = prune(analysis, without(analysis, ("wb", 0, 5)))
    first, second = (node.inputs[2] for node in pruned.nodes if len(node.inputs) == 3)
    assert first == "c"
    np.testing.assert_array_equal(pruned.constants["c"], analysis.graph.constants["c"])
    assert pruned.constants[second].shape == (7,)


def test_readers_that_keep_the_same_positions_go_on_sharing():
    analysis = analyse(two_layers())
    _, pruned = prune(analysis, without(analysis, ("wa", 0, 3), ("wb", 0, 3)))
    assert {node.inputs[2] for node in pruned.nodes if len(node.inputs) == 3} == {"c"}
    assert pruned.constants["c"].shape == (7,)


def test_a_vector_that_another_node_needs_keeps_its_name_for_it():
    tail = "m = Mul(c, c)  q = ReduceSum(m)  d = Conv(s, wd)  y = Mul(d, q)"
    analysis = analyse(two_layers(tail))
    assert analysis.removable("wa", 0).all()
    tail = "t = Tanh(c)  u = Reshape(t, sh)  d = Mul(s, u)  y = Conv(d, wd)"
    model = two_layers(tail)
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(np.array([1, 8, 1, 1], np.int64), "sh")
    )
    analysis = analyse(model)
    _, pruned = prune(analysis, without(analysis, ("wa", 0, 1), ("wb", 0, 4)))
    tanh = next(node for node in pruned.nodes if node.op == "Tanh")
    assert tanh.inputs == ("c",)
    np.testing.assert_array_equal(
        pruned.constants["c"], np.delete(analysis.graph.constants["c"], 4)
    )


def test_a_shared_vector_that_callers_may_feed_ties_its_readers():
    model = two_layers()
    model.graph.input.append(onnx.helper.make_tensor_value_info("c", 1, [8]))
    analysis = analyse(model)
    assert analysis.tied(("wa", 0), ("wb", 0), ("c", 0))
    _, pruned = prune(analysis, without(analysis, ("wa", 0, 2)))
    assert "c" in {value.name for value in whole(pruned).graph.input}


def test_a_shared_scale_is_divided_exactly():
    text = """net (float[1,3,6,6] x) => (float[o0,o1,o2,o3] y) {
        a = Conv(x, wa)  n = BatchNormalization(a, g, z, z, g)  r = Relu(n)
        b = Conv(r, wb)  m = BatchNormalization(b, g, z, z, g)  s = Relu(m)  y = Conv(s, wd) }"""
    weights = {
        "wa": normal(8, 3, 1, 1), "wb": normal(8, 8, 1, 1, seed=1), "wd": normal(4, 8, 1, 1),
        "g": np.linspace(0.5, 1.5, 8, dtype=np.float32), "z": np.zeros(8, np.float32),
    }  # fmt: skip
    analysis = analyse(build(text, weights))
    _, pruned = prune(analysis, without(analysis, ("wa", 0, 2), ("wb", 0, 5), ("wb", 0, 1)))
    first, second = (node for node in pruned.nodes if node.op == "BatchNormalization")
    for node, gone in ((first, [2]), (second, [1, 5])):
        for position, name in ((1, "g"), (2, "z"), (3, "z"), (4, "g")):
            expected = np.delete(analysis.graph.constants[name], gone)
            np.testing.assert_array_equal(pruned.constants[node.input(position)], expected)
    assert not {"g", "z"} & set(pruned.constants)


def test_a_weight_that_two_layers_read_stays_shared():
    text = """net (float[1,8,6,6] x) => (float[o0,o1,o2,o3] y) {
        a = Conv(x, w0)  r = Relu(a)  b = Conv(r, w)
        s = Relu(b)  d = Conv(s, w)  y = Conv(d, wd) }"""
    weights = {
        "w0": normal(8, 8, 1, 1, seed=4), "w": normal(8, 8, 1, 1), "wd": normal(4, 8, 1, 1),
    }  # fmt: skip
    analysis = analyse(build(text, weights))
    assert analysis.tied(("w0", 0), ("w", 0), ("w", 1), ("wd", 1))
    _, pruned = prune(analysis, without(analysis, ("w", 0, 2)))
    assert pruned.constants["w"].shape == (7, 7, 1, 1)
    assert sum(node.input(1) == "w" for node in pruned.nodes) == 2


def test_pruning_the_readers_apart_changes_nothing_but_the_removed_channels():
    analysis = analyse(two_layers())
    alive = without(analysis, ("wa", 0, 2), ("wb", 0, 5))
    _, pruned = prune(analysis, alive)
    masked = onnx.ModelProto()
    masked.CopyFrom(analysis.model)
    for tensor in masked.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor).copy()
        if tensor.name == "wb":
            array[:, 2] = 0
        if tensor.name == "wd":
            array[:, 5] = 0
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    shapes = {"x": (1, 3, 6, 6)}
    feeds = random_feeds(analysis.graph, shapes, np.random.default_rng(3))
    assert difference(run(masked, feeds), run(whole(pruned), feeds)) <= TOLERANCE
