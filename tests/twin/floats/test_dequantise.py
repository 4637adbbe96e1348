"""Quantised models in floats: what they compute, what trains, and the way back to integers."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, parser
from operator_cases import network
from twin_cases import operator_cases

from wrg_onnx.calibrate import plan_taps
from wrg_onnx.calibrate.gradient.probe import GradientProbe
from wrg_onnx.calibrate.measurements import by_tap
from wrg_onnx.channels import find_units
from wrg_onnx.data.dataset import Sample
from wrg_onnx.errors import UnsupportedOperatorError
from wrg_onnx.factors import GRADIENT
from wrg_onnx.graph import Edit, bind_sizes, edited, flatten, infer_shapes, load, open_session
from wrg_onnx.graph.load import from_proto
from wrg_onnx.graph.model import Node
from wrg_onnx.twin import build_twin, dequantised
from wrg_onnx.twin.forms import is_quantised
from wrg_onnx.twin.ops.quantised import stand_for

MODEL = Path(__file__).parents[4] / "shared" / "data" / "models" / "shufflenet_v2_12_int8.onnx"
CASES = operator_cases("test_quantised")

# A tensor that ONNX Runtime rounds from another float32: sums of integers in another order, or
# products that it scales in one step. Now and then a number next to a tie goes the other way.
ROUNDED = (
    "com.microsoft.QLinearAdd", "com.microsoft.QLinearAdd-of-a-constant",
    "com.microsoft.QLinearAveragePool", "com.microsoft.QLinearAveragePool-channels-last",
    "com.microsoft.QLinearMul", "com.microsoft.QLinearMul-of-a-number",
    "QLinearConv-depthwise-multiplied", "QLinearMatMul",
)  # fmt: skip


def run_both(graph, feeds, names=()):
    theirs = open_session(graph, outputs=[o.name for o in graph.outputs] + list(names), exact=True)
    with torch.no_grad():
        mine = build_twin(graph)({key: torch.tensor(a) for key, a in feeds.items()}, names)
    return {key: value.numpy() for key, value in mine.items()}, theirs.run(feeds)


def image(*shape):
    return np.random.default_rng(0).standard_normal(shape, np.float32)


@pytest.mark.parametrize("name", CASES)
def test_twin_computes_what_onnx_runtime_computes(name):
    graph = from_proto(network(CASES[name]), name=name)
    feeds = {"x": image(1, 3, 6, 6)}
    mine, theirs = run_both(graph, feeds, ["y"])
    if name in ROUNDED:
        (step,) = {float(graph.constants[n]) for n in ("sy", "s2") if n in graph.constants}
        steps = np.abs(mine["y"] - theirs["y"]) / step
        assert steps.max() < 1.001
        assert (steps > 0.5).mean() < 0.05
        return
    for key, value in mine.items():
        limit = 1e-5 * np.abs(theirs[key]).max() + 1e-7
        np.testing.assert_allclose(value, theirs[key], rtol=0, atol=limit)


@pytest.mark.parametrize("name", CASES)
def test_constants_come_back_as_the_integers_that_they_were(name):
    graph = from_proto(network(CASES[name]), name=name)
    for key, array in build_twin(graph).trained_constants().items():
        original = flatten(graph).graph.constants[key]
        assert (array.dtype, array.shape) == (original.dtype, original.shape)
        np.testing.assert_array_equal(array, original)


INTEGERS = {"float32", "int8", "uint8", "int16", "uint16", "int32"}


@cache
def backend_cases():
    """Return the ONNX backend node cases of quantised operators, in types that torch has."""
    with warnings.catch_warnings():
        # Computing the expected values overflows here and there on purpose.
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        collected = collect_testcases(None)
    found = {}
    for case in collected:
        arrays = [array for pair in case.data_sets for arrays in pair for array in arrays]
        nodes = [Node(0, "", n.op_type, n.domain, 1, (), ()) for n in case.model.graph.node]
        known = all(getattr(array, "dtype", np.dtype(object)).name in INTEGERS for array in arrays)
        if known and len(nodes) == 1 and is_quantised(nodes[0]):
            found[case.name] = case
    return found


@pytest.mark.parametrize("name", sorted(backend_cases()))
def test_twin_computes_what_the_integers_of_the_onnx_backend_case_stand_for(name):
    case = backend_cases()[name]
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = from_proto(model, name=name)
    twin = build_twin(graph)
    last = dequantised(graph).nodes[-1]
    for inputs, outputs in case.data_sets:
        feeds = dict(zip(twin.input_names, map(torch.tensor, inputs), strict=True))
        with torch.no_grad():
            results = twin(feeds)
        expected = torch.tensor(outputs[0])
        if last.op == "FakeQuantise":
            scale, zero_point = (feeds.get(n) if n else None for n in last.inputs[1:3])
            expected = stand_for(last, expected, scale, zero_point)
        elif last.op == "DynamicQuantizeLinear":
            expected = stand_for(last, expected, *map(torch.tensor, outputs[1:]))
            assert float(results[twin.output_names[1]]) == pytest.approx(float(outputs[1]))
            assert int(results[twin.output_names[2]]) == int(outputs[2])
        value = results[twin.output_names[0]]
        torch.testing.assert_close(value.double(), expected.double(), rtol=1e-5, atol=1e-5)


QDQ = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 2] x) => (float[N, 2] y)
<
  float s = {0.5}, uint8 z = {3}, float[2] ws = {0.25, 0.125}, int8[2] wz = {1, -1},
  int8[2, 2] w = {4, -2, 7, 100}, float bs = {0.0625}, int32[2] b = {16, -32}
>
{
  q = QuantizeLinear (x, s, z)
  d = DequantizeLinear (q, s, z)
  m = DequantizeLinear <axis = 1> (w, ws, wz)
  c = DequantizeLinear (b, bs)
  y = Gemm (d, m, c)
}
"""


def qdq():
    return from_proto(parser.parse_model(QDQ), name="m")


def test_integers_become_parameters_of_what_they_stand_for():
    parameters = build_twin(qdq()).parameters_by_name()
    assert sorted(parameters) == ["b", "w"]
    assert parameters["w"].tolist() == [[0.75, -0.125], [1.5, 12.625]]
    assert parameters["b"].tolist() == [1.0, -2.0]


def test_records_keep_the_names_of_tensors():
    graph = qdq()
    made = {name for node in dequantised(graph).nodes for name in node.outputs}
    assert {name for node in graph.nodes for name in node.outputs} <= made


def test_a_model_of_floats_comes_back_as_it_is():
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Relu (x) }'
    )
    graph = from_proto(parser.parse_model(text), name="m")
    assert dequantised(graph) is graph


def test_the_gradient_goes_through_the_rounding_and_stops_outside_its_range():
    twin = build_twin(qdq(), trainable=False)
    # zero point 3 and scale 0.5: the smallest integer, 0, stands for -1.5, 255 for 126
    x = torch.tensor([[0.3, -2.0], [-1.4, 130.0]], requires_grad=True)
    values = twin({"x": x}, ["q"])
    assert values["q"].tolist() == [[0.5, -1.5], [-1.5, 126.0]]
    (gradient,) = torch.autograd.grad(values["q"].sum(), x)
    assert gradient.tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_trained_weights_are_rounded_to_integers_in_range():
    graph = qdq()
    twin = build_twin(graph)
    with torch.no_grad():
        twin.parameters_by_name()["w"].add_(torch.tensor([[0.3, 0.0], [0.0, 100.0]]))
        twin.parameters_by_name()["b"].add_(0.07)
    trained = twin.trained_constants()
    assert trained["w"].tolist() == [[5, -2], [7, 127]]
    assert trained["w"].dtype == np.int8
    assert trained["b"].tolist() == [17, -31]
    session = open_session(edited(graph, Edit(constants=trained)), exact=True)
    again = build_twin(edited(graph, Edit(constants=trained)))
    x = image(3, 2)
    with torch.no_grad():
        mine = again({"x": torch.tensor(x)})["y"].numpy()
    np.testing.assert_allclose(mine, session.run({"x": x})["y"], rtol=1e-5, atol=1e-5)


def test_rounding_to_floats_of_8_bits_is_refused():
    text = """<ir_version: 9, opset_import: ["" : 19]>
    g (float[2] x) => (float[2] y) <float s = {0.5}>
    { q = QuantizeLinear (x, s, e)  y = DequantizeLinear (q, s, e) }"""
    model = parser.parse_model(text)
    model.graph.initializer.append(helper.make_tensor("e", TensorProto.FLOAT8E4M3FN, [], [0.0]))
    with pytest.raises(UnsupportedOperatorError, match="rounds to float8_e4m3fn"):
        build_twin(from_proto(model, name="m"))


def rounding(code):
    """Return a model that rounds to a type without a zero point, and reads it back."""
    text = f"""<ir_version: 10, opset_import: ["" : 21]>
    g (float[6] x) => (float[6] y) <float s = {{0.1}}>
    {{ q = QuantizeLinear <output_dtype = {code}> (x, s)  y = DequantizeLinear (q, s) }}"""
    return from_proto(parser.parse_model(text), name="m")


@pytest.mark.parametrize("kind", [0, "INT4", "UINT4", "INT8", "UINT8", "INT16", "UINT16"])
def test_without_a_zero_point_the_attribute_says_what_it_rounds_to(kind):
    graph = rounding(kind and getattr(TensorProto, kind))
    x = np.array([-3, -0.5, 0.3, 1.2, 3, 60], np.float32)
    mine, theirs = run_both(graph, {"x": x})
    np.testing.assert_allclose(mine["y"], theirs["y"], rtol=1e-6)


def test_rounding_to_floats_without_a_zero_point_is_refused():
    with pytest.raises(UnsupportedOperatorError, match="rounds to float8_e4m3fn"):
        build_twin(rounding(TensorProto.FLOAT8E4M3FN))


def with_zero_point(made):
    text = f"""<ir_version: 10, opset_import: ["" : 19]>
    g (float[6] x) => (float[6] y) <float s = {{0.1}}, float f = {{1.0}}, int8 k = {{1}}>
    {{ {made}  q = QuantizeLinear (x, s, z)  y = DequantizeLinear (q, s, z) }}"""
    return from_proto(parser.parse_model(text), name="m")


@pytest.mark.parametrize("made", ["z = Identity (k)", "z = Cast <to = 3> (f)"])
def test_the_type_of_a_zero_point_is_found_behind_what_moves_it(made):
    x = np.array([-3, -0.5, 0.3, 1.2, 3, 60], np.float32)
    mine, theirs = run_both(with_zero_point(made), {"x": x})
    np.testing.assert_allclose(mine["y"], theirs["y"], rtol=1e-6)


def test_a_zero_point_of_unknown_type_is_refused():
    with pytest.raises(UnsupportedOperatorError, match="which computes its zero point 'z'"):
        build_twin(with_zero_point("z = CastLike (f, k)"))


@pytest.fixture(scope="module")
def shufflenet():
    if not MODEL.exists():
        pytest.skip(f"the model collection is not here: {MODEL}")
    return load(MODEL)


def test_a_quantised_models_twin_is_within_two_steps_of_onnx_runtime(shufflenet):
    mine, theirs = run_both(shufflenet, {"input": image(1, 3, 224, 224)})
    steps = np.abs(mine["output"] - theirs["output"]) / shufflenet.constants["output_scale"]
    assert steps.max() < 2.01
    assert steps.mean() < 0.5
    assert mine["output"].argmax() == theirs["output"].argmax()


def test_a_quantised_model_has_gradients_at_its_taps(shufflenet):
    shapes = infer_shapes(shufflenet, bind_sizes(shufflenet.inputs))
    units = find_units(shufflenet, shapes)
    taps = plan_taps(units)
    sample = Sample("drawn", {"input": image(1, 3, 224, 224)}, None)
    row = GradientProbe(shufflenet, taps, None).measure([sample])[0][GRADIENT]
    assert len(taps) > 50
    assert sum(values.any() for values in by_tap(taps, row)) > 50
