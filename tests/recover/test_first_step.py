"""The first step of ridge: from the covariances of the original alone, for every form of layer."""

from __future__ import annotations

import numpy as np
import pytest
from cuts import cut, error, normal_data
from strategies import normal

from wrg_onnx.graph import Edit, edited
from wrg_onnx.recover import MeasureOptions, RowOptions, measure_layers
from wrg_onnx.recover.first_step import first_step
from wrg_onnx.recover.layers import find_layers
from wrg_onnx.recover.write_weights import with_biases

CONVOLUTIONS = {
    "plain": ("y = Conv<pads = [1, 1, 1, 1]>(p, v)", (5, 6, 3, 3), [4]),
    "strided": ("y = Conv<strides = [2, 2]>(p, v)", (5, 6, 3, 3), [4]),
    "transposed": ("y = ConvTranspose<strides = [2, 2]>(p, v)", (6, 5, 3, 3), [4]),
    "grouped, the same of each": ("y = Conv<group = 2>(p, v)", (4, 3, 1, 1), [1, 4]),
    "transposed, grouped": ("y = ConvTranspose<group = 2>(p, v)", (6, 2, 1, 1), [1, 4]),
}
"""What reads six channels of which some go."""


def stepped(made, data, rows=10**6):
    """Return the cut model after the first step."""
    options = MeasureOptions(rows=RowOptions(per_input=rows))
    measured = measure_layers(made.before, data, options)
    ready = with_biases(made.pruned, find_layers(made.pruned, made.kept).layers)
    layers = find_layers(ready, made.kept).layers
    return edited(ready, Edit(first_step(measured, layers, ready.constants, made.slices)))


@pytest.mark.parametrize("form", CONVOLUTIONS)
def test_what_another_channel_of_the_group_says_is_made_up_for(form):
    layer, shape, gone = CONVOLUTIONS[form]
    text = f"net (float[1,3,8,8] x) => (float[] y) {{ a = Conv(x, w, b)  p = Relu(a)  {layer} }}"
    arrays = {"w": normal(6, 3, 3, 3), "b": normal(6), "v": normal(*shape, seed=1)}
    for lost in gone:  # its neighbour says as much, but for a factor
        arrays["w"][lost], arrays["b"][lost] = 2 * arrays["w"][lost - 1], 2 * arrays["b"][lost - 1]
    made = cut(text, arrays, {("w", 0): gone})
    data, fresh = normal_data((1, 3, 8, 8), 600), normal_data((1, 3, 8, 8), 3, seed=1)
    assert error(made.before, made.pruned, fresh) > 0.05
    assert error(made.before, stepped(made, data), fresh) < 4e-3


def test_a_channel_that_says_always_the_same_goes_into_the_bias():
    text = """net (float[1,3,8,8] x) => (float[1,5,6,6] y) {
        a = Conv(x, w, b)  p = Relu(a)  y = Conv(p, v, c) }"""
    arrays = {"w": normal(6, 3, 1, 1), "b": normal(6), "v": normal(5, 6, 3, 3, seed=1),
              "c": normal(5)}  # fmt: skip
    arrays["w"][2], arrays["b"][2] = 0, 3
    made = cut(text, arrays, {("w", 0): [2]})
    data = normal_data((1, 3, 8, 8), 4)
    assert error(made.before, stepped(made, data), normal_data((1, 3, 8, 8), 2, seed=1)) < 1e-3


def test_few_rows_are_trusted_less():
    """With as many rows as inputs any goal can be met, and what is met is noise."""
    text = """net (float[9,8] x) => (float[9,4] y) {
        a = MatMul(x, d)  p = Relu(a)  y = MatMul(p, e) }"""
    made = cut(text, {"d": normal(8, 40), "e": normal(40, 4, seed=1)}, {("d", 1): range(0, 40, 4)})
    fresh = normal_data((9, 8), 8, seed=1)
    few = stepped(made, normal_data((9, 8), 4))
    assert error(made.before, few, fresh) < error(made.before, made.pruned, fresh)


def test_what_lost_no_input_keeps_its_weights():
    text = """net (float[1,3,8,8] x) => (float[1,4,8,8] y) {
        a = Conv(x, w)  p = Relu(a)  y = Conv(p, v) }"""
    made = cut(text, {"w": normal(6, 3, 1, 1), "v": normal(4, 6, 1, 1)}, {("w", 0): [1]})
    found = stepped(made, normal_data((1, 3, 8, 8), 4))
    np.testing.assert_array_equal(found.constants["w"], made.pruned.constants["w"])
    assert not np.array_equal(found.constants["v"], made.pruned.constants["v"])
