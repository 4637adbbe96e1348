"""Half precision: float16 inside, the same inputs and outputs, and what does not fit stays."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from deployed import LAYERS, WEIGHTS, samples_of, worst_difference
from strategies import build, normal

from wrg_onnx.deploy import to_half
from wrg_onnx.errors import ModelError
from wrg_onnx.graph import from_message, stored_bytes, to_message

TEN_BITS = 0.01
"""What rounding to float16's ten bits moves at most, over two layers of a hundred products."""


def graph_of(body, weights, **kwargs):
    return from_message(
        build(f"g (float[1,3,8,8] x) => (float[1,3,8,8] y) {body}", weights, **kwargs)
    )


def test_weights_are_float16_and_inputs_and_outputs_float32(net):
    found = to_half(net, samples_of(net))
    after = found.graph
    assert (after.inputs, after.outputs) == (net.inputs, net.outputs)
    assert {form.dtype for form in after.constants.forms.values()} == {np.dtype(np.float16)}
    assert found.left == ()
    assert stored_bytes(after) < found.bytes_before


def test_the_model_computes_the_same_to_the_digits_of_float16(net):
    data = samples_of(net)
    assert 0 < worst_difference(net, to_half(net, data).graph, data) < TEN_BITS


def test_the_graph_that_is_given_stays_as_it_is(net):
    before = to_message(net).SerializeToString()
    to_half(net, samples_of(net))
    assert to_message(net).SerializeToString() == before


def test_notes_in_the_metadata_stay():
    model = build(LAYERS, WEIGHTS)
    onnx.helper.set_model_props(model, {"author": "somebody"})
    graph = from_message(model)
    assert to_half(graph, samples_of(graph)).graph.metadata["author"] == "somebody"


def test_initializers_that_are_inputs_too_become_float16():
    model = build(LAYERS, WEIGHTS, ir=3)
    for tensor in model.graph.initializer:
        declared = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        model.graph.input.append(declared)
    graph = from_message(model)
    after = to_half(graph, samples_of(graph)).graph
    assert after.constants.forms["w2"].dtype == np.float16
    assert after.inputs == graph.inputs


@pytest.mark.parametrize(
    "large",
    ["large = Constant<value = float {1000000}>()", ""],
    ids=["of a Constant node", "initializer"],
)
def test_a_node_with_a_constant_beyond_float16_stays_in_float32(large):
    body = f"""{{ {large} a = Conv<pads = [1,1,1,1]>(x, w) b = Mul(a, large) y = Div(b, large) }}"""
    weights = {"w": normal(3, 3, 3, 3)} | ({} if large else {"large": np.float32([1e6])})
    graph = graph_of(body, weights)
    data = samples_of(graph)
    found = to_half(graph, data)
    assert [one.op for one in found.left] == ["Mul", "Div"]
    assert worst_difference(graph, found.graph, data) < TEN_BITS


def test_numbers_beyond_float16_go_from_node_to_node_in_float32():
    body = "{ a = Add(x, large) b = Sub(a, large) y = Conv<pads = [1,1,1,1]>(b, w) }"
    graph = graph_of(body, {"w": normal(3, 3, 3, 3), "large": np.float32([1e5])})
    data = samples_of(graph)
    found = to_half(graph, data)
    assert [(one.op, one.why) for one in found.left] == [
        ("Add", "they read or make numbers beyond 65504, the largest of float16"),
        ("Sub", "they read or make numbers beyond 65504, the largest of float16"),
    ]
    assert worst_difference(graph, found.graph, data) < TEN_BITS


def test_what_is_too_large_on_the_samples_alone_stays_in_float32():
    body = "{ a = Conv<pads = [1,1,1,1]>(x, w) b = Exp(a) c = Add(b, one) y = Log(c) }"
    graph = graph_of(body, {"w": 4 * normal(3, 3, 3, 3), "one": np.ones(1, np.float32)})
    found = to_half(graph, samples_of(graph))
    assert [one.op for one in found.left] == ["Exp", "Add", "Log"]
    assert found.graph.constants.forms["w"].dtype == np.float16


def test_an_output_that_float16_cannot_hold_is_refused():
    graph = graph_of("{ y = Conv<pads = [1,1,1,1]>(x, w) }", {"w": 6e4 * normal(3, 3, 3, 3)})
    with pytest.raises(ModelError, match=r"cannot become float16: output 'y' is no finite number"):
        to_half(graph, samples_of(graph))


def test_an_operator_that_the_converter_leaves_out_is_named():
    body = "{ a = Conv<pads = [1,1,1,1]>(x, w) b = Max(a, zero) y = Conv<pads = [1,1,1,1]>(b, w) }"
    graph = graph_of(body, {"w": normal(3, 3, 3, 3), "zero": np.zeros(1, np.float32)})
    data = samples_of(graph)
    found = to_half(graph, data)
    assert [(one.op, one.why) for one in found.left] == [
        ("Max", "ONNX Runtime's converter knows of no float16 kernel")
    ]
    assert worst_difference(graph, found.graph, data) < TEN_BITS


def test_a_weight_that_two_layers_share_stays_one():
    body = "{ a = Conv<pads = [1,1,1,1]>(x, w) b = Relu(a) y = Conv<pads = [1,1,1,1]>(b, w) }"
    graph = graph_of(body, {"w": normal(3, 3, 3, 3)})
    data = samples_of(graph)
    after = to_half(graph, data).graph
    assert [n for n, form in after.constants.forms.items() if form.ndim == 4] == ["w"]
    assert worst_difference(graph, after, data) < TEN_BITS
