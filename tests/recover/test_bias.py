"""Bias compensation: what a constant channel said is made up for in full."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from cuts import cut, data_of, error, normal_data, used_in
from strategies import normal, whole

from wrg_onnx.errors import StatisticsError
from wrg_onnx.recover import ReconstructOptions, compensate

FORMS = {
    "conv": """net (float[1,3,8,8] x) => (float[1,5,6,6] y) {
        a = Conv(x, w, b)  p = Relu(a)  y = Conv(p, v) }""",
    "conv with a bias": """net (float[1,3,8,8] x) => (float[1,5,3,3] y) {
        a = Conv(x, w, b)  p = Relu(a)  y = Conv<strides = [2, 2]>(p, v, c) }""",
    "gemm": """net (float[9,3] x) => (float[9,5] y) {
        a = Gemm(x, d, b)  p = Relu(a)  y = Gemm<transB = 1, alpha = 0.5, beta = 2.0>(p, f, c) }""",
    "matmul": """net (float[2,9,3] x) => (float[2,9,5] y) {
        a = MatMul(x, d)  h = Add(a, b)  p = Relu(h)  y = MatMul(p, e) }""",
    "matmul and add": """net (float[2,9,3] x) => (float[2,9,5] y) {
        a = MatMul(x, d)  h = Add(a, b)  p = Relu(h)  q = MatMul(p, e)  y = Add(q, c) }""",
    "transposed": """net (float[1,3,4,4] x) => (float[1,5,8,8] y) {
        a = Conv(x, w, b)  p = Relu(a)  y = ConvTranspose<strides = [2, 2]>(p, vt) }""",
}


def constant_channels(form):
    """Cut channels 1 and 4, which are 2 and 0.5 everywhere."""
    arrays = {
        "w": normal(6, 3, 1, 1), "d": normal(3, 6), "v": normal(5, 6, 3, 3, seed=1),
        "vt": normal(6, 5, 2, 2, seed=1), "e": normal(6, 5, seed=1), "f": normal(5, 6, seed=1),
        "b": normal(6), "c": normal(5),
    }  # fmt: skip
    arrays["w"][[1, 4]] = 0
    arrays["d"][:, [1, 4]] = 0
    arrays["b"][[1, 4]] = [2, 0.5]
    if form == "transposed":  # each place gets all that a channel gives: the same at every tap
        arrays["vt"][:] = arrays["vt"][:, :, :1, :1]
    first = ("w", 0) if "w, b)" in FORMS[form] else ("d", 1)
    return cut(FORMS[form], used_in(FORMS[form], arrays), {first: [1, 4]})


@pytest.mark.parametrize("form", FORMS)
def test_a_constant_channel_is_made_up_for_in_full(form):
    made = constant_channels(form)
    data = normal_data(made.before.inputs[0].shape, 3)
    assert error(made.before, made.pruned, data) > 0.05
    found = compensate(made.removal, data, ReconstructOptions())
    assert error(made.before, found.graph, data) < 1e-5
    onnx.checker.check_model(whole(found.graph), full_check=True)
    assert [(fit.layer, fit.penalty, fit.before) for fit in found.fits] == [("y", None, None)]


def test_what_is_added_is_the_mean_over_samples_and_places():
    text = "net (float[1,2,2,2] x) => (float[1,1,2,2] y) { a = Conv(x, w)  y = Conv(a, v) }"
    arrays = {"w": np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1),
              "v": np.array([1, 3], np.float32).reshape(1, 2, 1, 1)}  # fmt: skip
    made = cut(text, arrays, {("w", 0): [1]})
    first, second = normal(1, 2, 2, 2), normal(1, 2, 2, 2, seed=1)
    found = compensate(made.removal, data_of({"x": first}, {"x": second}), ReconstructOptions())
    expected = 3 * (first[0, 1].mean() + second[0, 1].mean()) / 2
    bias = found.graph.constants[found.graph.nodes[1].inputs[2]]
    np.testing.assert_allclose(bias, [expected], rtol=1e-5)


def test_samples_of_several_sizes_count_by_their_places():
    text = "net (float[N,2] x) => (float[N,1] y) { a = MatMul(x, w)  y = MatMul(a, v) }"
    arrays = {"w": np.eye(2, dtype=np.float32), "v": np.array([[1], [3]], np.float32)}
    made = cut(text, arrays, {("w", 1): [1]})
    small, large = np.ones((1, 2), np.float32), np.full((3, 2), 5, np.float32)
    found = compensate(made.removal, data_of({"x": small}, {"x": large}), ReconstructOptions())
    bias = found.graph.constants[found.graph.nodes[2].inputs[1]]
    np.testing.assert_allclose(bias, [3 * (1 + 3 * 5) / 4], rtol=1e-5)


def test_a_layer_that_lost_no_input_keeps_its_bias():
    made = constant_channels("conv with a bias")
    found = compensate(made.removal, normal_data((1, 3, 8, 8), 2), ReconstructOptions())
    np.testing.assert_array_equal(found.graph.constants["b"], made.pruned.constants["b"])


def test_a_value_that_is_not_finite_names_the_layer():
    made = constant_channels("conv")
    data = data_of({"x": np.full((1, 3, 8, 8), np.inf, np.float32)})
    with pytest.raises(StatisticsError, match=r"layer that makes 'y' .* NaN or infinity"):
        compensate(made.removal, data, ReconstructOptions())
