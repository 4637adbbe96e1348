"""In which types a model is run is decided once, by asking ONNX Runtime."""

from __future__ import annotations

import ml_dtypes
import pytest
from strategies import build, normal

from wrg_onnx.errors import MissingPackageError, ModelError
from wrg_onnx.graph import fit_to_kernels, from_proto, kernels, open_session

HALF = ml_dtypes.bfloat16


def read(text, weights=None, **options):
    return from_proto(build(text, weights, opset=22, **options), name="m")


def test_what_onnx_runtime_refuses_for_bfloat16_alone_is_widened():
    text = """net (float[1,4] x) => (float[1,4] y) {
        h = Cast<to = 16>(x)  m = MatMul(h, w)  y = Cast<to = 1>(m) }"""
    graph = read(text, {"w": normal(4, 4).astype(HALF)})
    with pytest.raises(ModelError, match="ONNX Runtime refuses it"):
        open_session(graph)
    assert fit_to_kernels(graph).widened


def test_what_onnx_runtime_runs_in_bfloat16_stays():
    text = "net (float[1,4] x) => (float[1,4] y) { h = Cast<to = 16>(x)  y = Cast<to = 1>(h) }"
    graph = read(text)
    assert fit_to_kernels(graph) is graph


@pytest.mark.parametrize("kinds", [("bfloat16", "float"), ("float", "bfloat16")])
def test_what_cannot_be_handed_over_from_python_is_widened(kinds):
    (first, second), to = kinds, 1 if kinds[1] == "float" else 16
    graph = read(f"net ({first}[1,4] x) => ({second}[1,4] y) {{ y = Cast<to = {to}>(x) }}")
    assert fit_to_kernels(graph).widened


def test_bfloat16_in_a_body_counts():
    text = """net (float[1,4] x, bool b) => (float[1,4] y) {
        y = If(b) <then_branch = t () => (float[1,4] p) {
                       h = Cast<to = 16>(x)  a = Add(h, h)  p = Cast<to = 1>(a) },
                   else_branch = e () => (float[1,4] p) { p = Identity(x) }> }"""
    assert fit_to_kernels(read(text)).widened


def test_what_is_refused_in_float32_too_stays_as_it_is():
    text = "net (bfloat16[1,4] x) => (bfloat16[1,4] y) { y = acme.Mine(x) }"
    graph = read(text, domains=("acme",))
    assert fit_to_kernels(graph) is graph


def test_a_model_without_bfloat16_is_not_opened(monkeypatch):
    monkeypatch.setattr(kernels, "start_session", None)
    graph = read("net (float[1,4] x) => (float[1,4] y) { y = Relu(x) }")
    assert fit_to_kernels(graph) is graph


def test_without_onnx_runtime_the_model_stays_as_it_is(monkeypatch):
    def refuse(*_, **__):
        raise MissingPackageError("onnxruntime", purpose="running a model", extra="cpu")

    monkeypatch.setattr(kernels, "start_session", refuse)
    graph = read("net (bfloat16[1,4] x) => (bfloat16[1,4] y) { y = Relu(x) }")
    assert fit_to_kernels(graph) is graph
