"""A model that has narrower numbers than float32 already is refused in one line."""

from __future__ import annotations

import pytest
from deployed import samples_of
from strategies import build, normal

from wrg_onnx.choices import Precision
from wrg_onnx.deploy import check_is_float32, to_half, to_int8
from wrg_onnx.errors import ModelError
from wrg_onnx.graph import from_message


def test_a_float32_model_is_taken(net):
    assert check_is_float32(net, Precision.INT8) is None


@pytest.mark.parametrize("precision", Precision)
def test_a_quantised_model_is_refused(net, precision):
    quantised = to_int8(net, samples_of(net)).graph
    with pytest.raises(ModelError, match=r"it is already quantised \(") as caught:
        check_is_float32(quantised, precision)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("precision", Precision)
def test_a_model_with_half_weights_is_refused(net, precision):
    half = to_half(net, samples_of(net)).graph
    with pytest.raises(ModelError, match=r"already in half precision \(weight '"):
        check_is_float32(half, precision)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_a_model_that_is_fed_half_precision_is_refused(kind):
    graph = from_message(
        build(f"""g ({kind}[1,3] x) => (float[1,4] y) {{
                      a = Cast<to = 1>(x)  y = MatMul(a, w) }}""", {"w": normal(3, 4)})
    )  # fmt: skip
    with pytest.raises(ModelError, match=rf"input 'x' is {kind}"):
        check_is_float32(graph, Precision.HALF)
