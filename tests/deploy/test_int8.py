"""Static quantisation: ranges from the samples, scales per channel, the same inputs and outputs."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import pytest
from deployed import LAYERS, WEIGHTS, samples_of, worst_difference
from onnxruntime.quantization import shape_inference
from strategies import build, normal

from wrg_onnx.deploy import to_int8
from wrg_onnx.errors import DataError, ModelError
from wrg_onnx.graph import from_message, load, save, to_message

EIGHT_BITS = 0.1
"""What rounding to eight bits moves at most, over a few layers of weights without structure."""


def graph_of(body, weights, **kwargs):
    return from_message(
        build(f"g (float[1,3,8,8] x) => (float[1,4,8,8] y) {body}", weights, **kwargs)
    )


def test_weights_are_int8_with_a_scale_per_filter_and_activations_uint8(net):
    after = to_int8(net, samples_of(net)).graph
    nodes = {node.index: node for node in after.nodes}
    (second,) = [n for n in nodes.values() if n.op == "Conv" and "w2" in n.inputs[1]]
    (weight,) = [n for n in nodes.values() if n.outputs[0] == second.inputs[1]]
    quantised, scale, zero = (after.constants[name] for name in weight.inputs)
    assert (weight.op, quantised.dtype, scale.shape) == ("DequantizeLinear", np.int8, (8,))
    assert not zero.any()
    kinds = {after.constants[n.inputs[2]].dtype for n in nodes.values() if n.op == "QuantizeLinear"}
    assert kinds == {np.dtype(np.uint8)}


def test_the_model_computes_the_same_to_eight_bits(net):
    data = samples_of(net)
    found = to_int8(net, data)
    assert (found.samples, found.left) == (4, ())
    assert (found.graph.inputs, found.graph.outputs) == (net.inputs, net.outputs)
    assert 0 < worst_difference(net, found.graph, data) < EIGHT_BITS


def test_ranges_are_those_of_the_samples(net):
    data = samples_of(net)
    after = to_int8(net, data).graph
    (first,) = [n for n in after.nodes if n.op == "QuantizeLinear" and n.inputs[0] == "x"]
    scale = after.constants[first.inputs[1]]
    values = np.stack([sample.feeds["x"] for sample in data])
    assert scale == pytest.approx((values.max() - values.min()) / 255, rel=1e-5)


def test_the_same_samples_give_the_same_bytes(net):
    first, second = (
        to_message(to_int8(net, samples_of(net)).graph).SerializeToString() for _ in range(2)
    )
    assert first == second


def test_the_result_is_saved_and_loads(net, tmp_path):
    save(to_int8(net, samples_of(net)).graph, tmp_path / "int8.onnx")
    onnx.checker.check_model(tmp_path / "int8.onnx", full_check=True)
    assert load(tmp_path / "int8.onnx").outputs == net.outputs


def test_an_operator_without_an_int8_kernel_stays_in_float32_and_is_named():
    body = """{ a = Conv<pads = [1,1,1,1]>(x, w1)
                t = ConvTranspose<pads = [1,1,1,1]>(a, w2)
                y = Conv<pads = [1,1,1,1]>(t, w3) }"""
    weights = {f"w{i}": normal(*shape) for i, shape in
               enumerate([(4, 3, 3, 3), (4, 4, 3, 3), (4, 4, 3, 3)], start=1)}  # fmt: skip
    graph = graph_of(body, weights)
    data = samples_of(graph)
    found = to_int8(graph, data)
    assert [(one.op, one.why) for one in found.left] == [
        ("ConvTranspose", "ONNX Runtime has no int8 kernel")
    ]
    assert found.graph.constants.forms["w2"].dtype == np.float32
    assert worst_difference(graph, found.graph, data) < EIGHT_BITS


def test_a_model_without_any_operator_that_has_an_int8_kernel_is_refused():
    graph = from_message(
        build("g (float[3,1,8] x) => (float[3,1,1,6] y) { y = LSTM<hidden_size = 6>(x, w, r) }",
              {"w": normal(1, 24, 8), "r": normal(1, 24, 6)})
    )  # fmt: skip
    with pytest.raises(ModelError, match="int8 kernels for none of its operators"):
        to_int8(graph, samples_of(graph))


def test_a_weight_that_two_layers_share_stays_right():
    body = """{ a = Conv<pads = [1,1,1,1]>(x, w) b = Relu(a)
                c = Concat<axis = 1>(b, x) d = Conv<pads = [1,1,1,1]>(b, w)
                y = Concat<axis = 1>(d, one) }"""
    graph = graph_of(body, {"w": normal(3, 3, 3, 3), "one": np.ones((1, 1, 8, 8), np.float32)})
    data = samples_of(graph)
    after = to_int8(graph, data).graph
    integers = [n for n, form in after.constants.forms.items() if form.ndim == 4 and "w" in n]
    assert len(integers) == 1
    assert worst_difference(graph, after, data) < EIGHT_BITS


def test_a_normalisation_goes_into_the_layer_before_it():
    body = """{ a = Conv<pads = [1,1,1,1]>(x, w)
                y = BatchNormalization(a, scale, shift, mean, var) }"""
    ones = np.ones(4, np.float32)
    weights = {"w": normal(4, 3, 3, 3), "scale": 2 * ones, "shift": ones, "mean": ones, "var": ones}
    graph = graph_of(body, weights)
    after = to_int8(graph, samples_of(graph)).graph
    assert "BatchNormalization" not in {node.op for node in after.nodes}


@pytest.mark.parametrize("opset", [9, 11])
def test_an_older_opset_is_raised_to_one_with_scales_per_channel(opset):
    graph = from_message(build(LAYERS, WEIGHTS, opset=opset, ir=4))
    data = samples_of(graph)
    after = to_int8(graph, data).graph
    (version,) = [one.version for one in to_message(after).opset_import if not one.domain]
    assert version == 13
    assert worst_difference(graph, after, data) < EIGHT_BITS


def test_what_the_converter_raises_is_an_error_about_the_model(net, monkeypatch):
    def fail(*_args, **_kwargs):
        raise KeyError("some tensor")

    monkeypatch.setattr(shape_inference, "quant_pre_process", fail)
    with pytest.raises(ModelError, match=r"converter fails \(KeyError: 'some tensor'\)"):
        to_int8(net, samples_of(net))


def test_a_sample_that_cannot_be_read_is_an_error_about_the_data(net):
    def broken():
        raise DataError("a file is gone")

    data = samples_of(net)
    gone = type(data)((*data.readers, broken), data.content, 5, has_masks=False)
    with pytest.raises(DataError, match="a file is gone"):
        to_int8(net, gone)


def test_the_program_s_logging_is_left_alone(net):
    before = list(logging.getLogger().handlers)
    to_int8(net, samples_of(net))
    assert logging.getLogger().handlers == before
