"""A half-precision graph as one of float32."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from strategies import build, normal

torch = pytest.importorskip("torch")

from wrg_onnx.graph import as_widened, from_proto, open_session  # noqa: E402
from wrg_onnx.twin import build_twin, widened  # noqa: E402

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

TEXT = """net (float{h}[N,3,8,8] x, bool b) => (float{h}[N,4,8,8] y) {{
    c = Conv<pads = [1, 1, 1, 1]>(x, w)
    s = Cast<to = 1>(c)  r = Relu(s)  k = Cast<to = {to}>(r)
    n = Shape(k)  z = ConstantOfShape<value = float{h}[1] {{{quarter}}}>(n)  m = Add(k, z)
    y = If(b) <then_branch = t () => (float{h}[] p) {{ p = Mul(m, v) }},
               else_branch = e () => (float{h}[] q) {{ q = Identity(m) }}> }}"""


def graph(half):
    """Return a model in float16, or the same in float32 with the same values."""
    arrays = {"w": normal(4, 3, 3, 3), "v": normal(4, 1, 1)}
    arrays = {name: array.astype(np.float16) for name, array in arrays.items()}
    if not half:
        arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    quarter = 0x3400 if half else 0.25  # the parser takes the bits of a float16
    text = TEXT.format(h="16" if half else "", to=10 if half else 1, quarter=quarter)
    return from_proto(build(text, arrays), name="m")


@pytest.mark.parametrize("branch", [True, False])
def test_it_computes_what_the_same_model_in_float32_does(branch):
    x = normal(2, 3, 8, 8)
    feeds = {"x": torch.from_numpy(x), "b": torch.tensor(branch)}
    found = build_twin(widened(graph(half=True)))(feeds)["y"].detach()
    wanted = open_session(graph(half=False)).run({"x": x, "b": np.array(branch)})["y"]
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_its_weights_are_those_of_the_file():
    model = graph(half=True)
    twin = build_twin(widened(model))
    assert {p.dtype for p in twin.parameters()} == {torch.float32}
    for name, array in twin.trained_constants().items():
        np.testing.assert_array_equal(array, model.constants[name])
    assert model.constants["w"].dtype == np.float16


def test_a_model_without_float16_is_returned_as_it_is():
    model = graph(half=False)
    assert widened(model) is model


def test_bfloat16_is_widened_where_onnx_runtime_runs_it_so():
    text = """net (bfloat16[2,4] x) => (bfloat16[2,4] y) {
        m = MatMul(x, w)  f = Cast<to = 1>(m)  r = Relu(f)  y = Cast<to = 16>(r) }"""
    model = from_proto(build(text, {"w": normal(4, 4).astype(BFLOAT16)}, opset=22), name="m")
    x = normal(2, 4)
    found = build_twin(widened(as_widened(model)))({"x": torch.from_numpy(x)})["y"].detach()
    wanted = open_session(as_widened(model)).run({"x": x})["y"]
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert widened(model) is model
