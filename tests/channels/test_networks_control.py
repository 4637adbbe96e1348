"""Whole random networks inside branches and loop bodies: the same is cut, and as exactly."""

from __future__ import annotations

from unittest import mock

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
    repeatable,
)

from wrg_onnx.channels import find_units
from wrg_onnx.graph import bind_sizes, from_proto, infer_shapes, other_sizes, shapes


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


def is_inferred(model):
    """Tell whether inference finds every shape: a body's tensors cannot be looked at in a run."""
    graph = from_proto(copy_of(model), name="test")
    with mock.patch.object(shapes, "_observed_shapes", side_effect=LookupError):
        try:
            infer_shapes(graph, bind_sizes(graph.inputs, image_size=8))
        except LookupError:
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


@settings(repeatable, max_examples=25)
@given(model=networks())
def test_a_branch_holds_no_more_back_than_the_main_graph(model):
    assume(is_inferred(model))
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
