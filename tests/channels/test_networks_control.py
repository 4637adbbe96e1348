"""Whole random networks inside branches and loop bodies: the same is cut, and as exactly."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper
from strategies import (
    Analysis,
    analyse,
    assert_identity,
    assert_surgery_is_exact,
    copy_of,
    draw_alive,
    networks,
    normal,
    repeatable,
)

from wrg_onnx.channels import find_units
from wrg_onnx.graph import bind_sizes, infer_shapes, other_sizes


def in_branches(model, condition, *, own):
    """Put a network into both branches of an If, its constants as well if they are its own."""
    inner = model.graph
    outputs = [helper.make_tensor_value_info("y", 1, dims(inner.output[0]))]
    bodies = {}
    for name in ("then_branch", "else_branch"):
        body = onnx.GraphProto(name=name)
        body.node.extend(inner.node)
        body.output.extend(inner.output)
        if own:
            body.initializer.extend(inner.initializer)
        bodies[name] = body
    node = helper.make_node("If", ["q"], ["y"], **bodies)
    constants = [onnx.numpy_helper.from_array(np.array(condition), "q")]
    constants += [] if own else list(inner.initializer)
    return finish(model, [node], outputs, constants)


def in_loop(model):
    """Put a network into the body of a Loop that runs twice and gathers what it gives."""
    inner = model.graph
    body = onnx.GraphProto(name="body")
    body.node.extend([helper.make_node("Identity", ["go"], ["on"]), *inner.node])
    body.initializer.extend(inner.initializer)
    body.input.extend(
        [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("go", 9, [])]
    )
    body.output.extend([helper.make_tensor_value_info("on", 9, []), inner.output[0]])
    node = helper.make_node("Loop", ["twice", ""], ["y"], body=body)
    outputs = [helper.make_tensor_value_info("y", 1, ["t", *dims(inner.output[0])])]
    twice = onnx.numpy_helper.from_array(np.array(2), "twice")
    return finish(model, [node], outputs, [twice])


def is_map(model):
    """Tell whether a network makes a map of two channels, and no classes."""
    return len(model.graph.output[0].type.tensor_type.shape.dim) == 4


def recurrent_body(model, fed, returned, *, own, stated):
    """Make a body of a network: it reads the state ``s``, and makes ``s2`` of six channels."""
    inner, tensor = model.graph, onnx.numpy_helper.from_array
    body = onnx.GraphProto(name="body")
    body.node.append(helper.make_node("Conv", ["read", "into"], ["x_"]))
    for node in inner.node:
        copied = body.node.add()
        copied.CopyFrom(node)
        copied.input[:] = ["x_" if name == "x" else name for name in node.input]
    body.node.append(helper.make_node("Conv", [inner.output[0].name, "out_of"], ["made"]))
    body.node.append(helper.make_node("Add", ["made", "s"], ["s2"]))
    if own:
        body.initializer.extend(inner.initializer)
    batch = dims(inner.input[0])[0]
    sizes = [batch, 6, 8, 8] if stated else ["d0", "d1", "d2", "d3"]
    for names, values in ((fed, body.input), (returned, body.output)):
        values.extend(helper.make_tensor_value_info(name, 1, sizes) for name in names)
    constants = [] if own else list(inner.initializer)
    constants += [tensor(normal(3, 6, 1, 1), "into"), tensor(normal(6, 2, 1, 1) / 3, "out_of")]
    constants += [tensor(normal(6, 3, 1, 1), "begins"), tensor(normal(2, 6, 1, 1), "ends")]
    return body, constants


def round_a_loop(model, **how):
    """Let a Loop run a network on its state three times."""
    body, constants = recurrent_body(model, ["s"], ["s2"], **how)
    body.node[0].input[0] = "s"
    body.node.insert(0, helper.make_node("Identity", ["go"], ["on"]))
    given = (("i", 7), ("go", 9))
    state = list(body.input)
    del body.input[:]
    body.input.extend(helper.make_tensor_value_info(name, kind, []) for name, kind in given)
    body.input.extend(state)
    body.output.insert(0, helper.make_tensor_value_info("on", 9, []))
    nodes = [
        helper.make_node("Conv", ["x", "begins"], ["m"]),
        helper.make_node("Loop", ["thrice", "", "m"], ["k"], body=body),
        helper.make_node("Conv", ["k", "ends"], ["y"]),
    ]
    constants.append(onnx.numpy_helper.from_array(np.array(3), "thrice"))
    outputs = [helper.make_tensor_value_info("y", 1, [dims(model.graph.input[0])[0], 2, 8, 8])]
    return finish(model, nodes, outputs, constants)


def over_a_scan(model, **how):
    """Let a Scan run a network on two maps and a state that begins as zeros."""
    tensor = onnx.numpy_helper.from_array
    body, constants = recurrent_body(model, ["s", "r"], ["s2", "o"], **how)
    body.node.insert(0, helper.make_node("Add", ["s", "r"], ["read"]))
    body.node.append(helper.make_node("Relu", ["s2"], ["o"]))
    constants.append(tensor(np.array([0]), "ax"))
    unsqueeze = {"axes": [0]} if model.opset_import[0].version < 13 else {}
    more = [] if unsqueeze else ["ax"]
    nodes = [
        helper.make_node("Conv", ["x", "begins"], ["m"]),
        helper.make_node("Neg", ["m"], ["m2"]),
        helper.make_node("Unsqueeze", ["m", *more], ["u"], **unsqueeze),
        helper.make_node("Unsqueeze", ["m2", *more], ["u2"], **unsqueeze),
        helper.make_node("Concat", ["u", "u2"], ["maps"], axis=0),
        helper.make_node("Shape", ["m"], ["sizes"]),
        helper.make_node("ConstantOfShape", ["sizes"], ["zeros"]),
        helper.make_node("Scan", ["zeros", "maps"], ["k", "all"], num_scan_inputs=1, body=body),
        helper.make_node("ReduceMax", ["all"], ["most"], axes=[0], keepdims=0),
        helper.make_node("Add", ["k", "most"], ["both"]),
        helper.make_node("Conv", ["both", "ends"], ["y"]),
    ]
    if model.opset_import[0].version >= 18:
        del nodes[8].attribute[:]
        nodes[8].input.append("ax")
        nodes[8].attribute.append(helper.make_attribute("keepdims", 0))
    outputs = [helper.make_tensor_value_info("y", 1, [dims(model.graph.input[0])[0], 2, 8, 8])]
    return finish(model, nodes, outputs, constants)


def dims(value):
    return [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]


def finish(model, nodes, outputs, constants):
    graph = helper.make_graph(nodes, "outer", model.graph.input, outputs, constants)
    made = copy_of(model)
    made.graph.CopyFrom(graph)
    return made


def removable(analysis):
    """Count the removable positions of each constant axis, by the name without its scope."""
    found = {}
    for slot in analysis.units.slots:
        count = int(analysis.units.removable[analysis.units.slot_units(slot)].sum())
        found.setdefault((slot.name.rpartition("/")[2], slot.axis), set()).add(count)
    return found


def is_valid(model):
    """Tell whether the checker takes it: it wants an opset 11 Resize to see its empty operands."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.shape_inference.InferenceError:
        return False
    return True


def check(analysis, seed):
    assert_identity(analysis)
    alive = draw_alive(analysis.units, np.random.default_rng(seed), 0.6)
    is_open = not isinstance(analysis.graph.inputs[0].shape[0], int)
    assert_surgery_is_exact(analysis, alive, batches=(1, 2) if is_open else (None,))


@pytest.mark.parametrize("own", [True, False])
@settings(repeatable, max_examples=25)
@given(model=networks(), seed=st.integers(0, 2**16), condition=st.booleans())
def test_network_in_branches_is_pruned_as_exactly(own, model, seed, condition):
    model = in_branches(model, condition, own=own)
    assume(is_valid(model))
    analysis = analyse(model)
    check(analysis, seed)


@settings(repeatable, max_examples=25)
@given(model=networks(), seed=st.integers(0, 2**16))
def test_network_in_a_loop_body_is_pruned_as_exactly(model, seed):
    check(analyse(in_loop(model)), seed)


@pytest.mark.parametrize("build", [round_a_loop, over_a_scan])
@pytest.mark.parametrize("own", [True, False])
@settings(repeatable, max_examples=15)
@given(model=networks(), seed=st.integers(0, 2**16), stated=st.booleans())
def test_network_that_a_state_goes_through_is_pruned_as_exactly(build, own, model, seed, stated):
    assume(is_map(model))
    model = build(model, own=own, stated=stated)
    assume(is_valid(model))
    analysis = analyse(model)
    assert analysis.removable("begins", 0).all(), analysis.reasons("begins", 0)
    assert analysis.tied(("begins", 0), ("out_of", 0), ("ends", 1))
    check(analysis, seed)


@settings(repeatable, max_examples=25)
@given(model=networks())
def test_a_branch_holds_no_more_back_than_the_main_graph(model):
    outside, inside = analyse(model), analyse(in_branches(model, condition=True, own=True))
    counts = removable(inside)
    for key, expected in removable(outside).items():
        # graphsurgeon drops what no node of a body reads
        assert counts.get(key, expected) == expected, key


@settings(repeatable, max_examples=25)
@given(model=networks(), seed=st.integers(0, 2**16))
def test_open_sizes_are_followed_into_bodies(model, seed):
    first = analyse(in_branches(model, condition=True, own=True))
    inputs = first.graph.inputs
    others = other_sizes(inputs, bind_sizes(inputs, image_size=8))
    elsewhere = infer_shapes(first.graph, others) if others else None
    units = find_units(first.graph, first.shapes, elsewhere=elsewhere)
    check(Analysis(first.model, first.graph, first.shapes, units), seed)
