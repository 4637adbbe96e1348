"""Networks that ONNX Runtime's own quantiser has written lose most of their channels, exactly."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from strategies import analyse, assert_surgery_is_exact, build, draw_alive, normal

from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.rewrite import proof
from wrg_onnx.select import Criterion

TEXT = """net (float[1,3,16,16] x) => (float[1,10] y) {
  a = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, w1, b1)  r = Relu(a)
  d = Conv<group = 32, pads = [1, 1, 1, 1]>(r, w2, b2)  s = Relu(d)
  c = Conv(s, w3, b3)  e = Add(c, r)
  f = Conv<pads = [1, 1, 1, 1]>(e, w4)  g = Concat<axis = 1>(e, f)
  h = MaxPool<kernel_shape = [2, 2]>(g)  i = Conv(h, w5)  j = Sigmoid(i)
  p = GlobalAveragePool(j)  q = Flatten(p)  t = Gemm<transB = 1>(q, w6, b6)  y = MatMul(t, w7)
}"""
SHAPES = {
    "w1": (32, 3, 3, 3), "b1": (32,), "w2": (32, 1, 3, 3), "b2": (32,), "w3": (32, 32, 1, 1),
    "b3": (32,), "w4": (16, 32, 3, 3), "w5": (64, 48, 1, 1), "w6": (40, 64), "b6": (40,),
    "w7": (40, 10),
}  # fmt: skip


class Samples(CalibrationDataReader):
    def __init__(self):
        self.left = [{"x": normal(1, 3, 16, 16, seed=seed)} for seed in range(3)]

    def get_next(self):
        return self.left.pop() if self.left else None


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "float.onnx"
    weights = {
        name: normal(*shape) / np.float32(np.prod(shape[1:]) ** 0.5)
        for name, shape in SHAPES.items()
    }
    onnx.save(build(TEXT, weights, opset=17), path)
    return path


@pytest.fixture(params=["int8", "uint8"])
def weight_type(request):
    return {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}[request.param]


@pytest.fixture(params=["per tensor", "per channel"])
def per_channel(request):
    return request.param == "per channel"


@pytest.fixture(params=[QuantFormat.QDQ, QuantFormat.QOperator], ids=str)
def quantised(request, network, weight_type, per_channel, tmp_path):
    path = tmp_path / "quantised.onnx"
    quantize_static(
        network, path, Samples(), quant_format=request.param, per_channel=per_channel,
        activation_type=QuantType.QUInt8, weight_type=weight_type,
    )  # fmt: skip
    return path


def test_most_parameters_go(quantised, tmp_path):
    output = tmp_path / "pruned.onnx"
    report = prune(quantised, output, PruneConfig(0.6, criterion=Criterion.L1)).report
    assert report.reached == pytest.approx(0.6, abs=0.02)
    assert report.after.macs < 0.6 * report.before.macs
    assert report.equivalence.error < 1e-4
    assert not report.notes
    assert output.stat().st_size < quantised.stat().st_size


def along(array, zero_point):
    """Put the zero points of channels on the first axis of their length: those of the filters."""
    if zero_point.size == 1 or array.shape == zero_point.shape:
        return zero_point.reshape(-1)
    axis = array.shape.index(zero_point.size)
    return zero_point.reshape([-1 if a == axis else 1 for a in range(array.ndim)])


def test_pruned_network_computes_what_the_masked_one_does(quantised):
    analysis = analyse(onnx.load(quantised))
    constants = {t.name: numpy_helper.to_array(t) for t in analysis.model.graph.initializer}
    spare = [name for name in constants if name.endswith(("_scale", "_zero_point"))]
    zeros = {
        name: along(array, constants[zero_point])
        for name, array in constants.items()
        if (zero_point := name.replace("_quantized", "_zero_point")) in constants
    }
    alive = draw_alive(analysis.units, np.random.default_rng(0), 0.6)
    plan = assert_surgery_is_exact(analysis, alive, spare=spare, zeros=zeros)
    assert {"w1_quantized", "w2_quantized", "w5_quantized", "w6_quantized"} <= set(plan.kept)


def test_a_proof_without_the_rounding_between_layers_says_so(network, tmp_path, monkeypatch):
    path = tmp_path / "quantised.onnx"
    quantize_static(network, path, Samples(), quant_format=QuantFormat.QDQ)
    monkeypatch.setattr(proof, "_exceeded", lambda *_: True)
    report = prune(path, None, PruneConfig(0.6, criterion=Criterion.L1)).report
    assert report.equivalence.steps > 0
    assert report.equivalence.error < 1e-5
    assert any("leaves the rounding between layers out" in note for note in report.notes)
