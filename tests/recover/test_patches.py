"""A layer is its weight's matrix times its patches: for every form of every linear operator."""

from __future__ import annotations

import numpy as np
import pytest
from linear_forms import FORMS
from strategies import build, normal

from wrg_onnx.graph import open_session
from wrg_onnx.graph.load import from_proto
from wrg_onnx.recover.layers import find_layers, from_matrix, to_matrix
from wrg_onnx.recover.measured import rows_at
from wrg_onnx.recover.patches import rows_shape, sampled_patches
from wrg_onnx.rewrite.kept_channels import KeptChannels


def layer_of(op, attributes, x_shape, w_shape):
    x_type = f"float[{','.join(map(str, x_shape))}]"
    text = f"net ({x_type} x) => (y) {{ y = {op}{f'<{attributes}>' if attributes else ''}(x, w) }}"
    graph = from_proto(build(text.replace("(y)", "(float[] y)"), {"w": normal(*w_shape)}), name="m")
    width = w_shape[0] if op == "Conv" else w_shape[1] * (2 if "group = 2" in attributes else 1)
    width = w_shape[0] if "transB" in attributes else width
    kept = {"y": KeptChannels(1, np.arange(width), width)}
    (layer,) = find_layers(graph, kept).layers
    x = normal(*x_shape, seed=1)
    return layer, graph.constants["w"], x, open_session(graph).run({"x": x})["y"]


@pytest.mark.parametrize("form", FORMS)
def test_a_layer_is_its_matrix_times_its_patches(form):
    layer, weight, x, y = layer_of(*FORMS[form])
    matrix = to_matrix(layer, weight)
    count = y.size // layer.width
    for places in (np.arange(count), np.arange(count)[1::3]):
        made = matrix @ sampled_patches(layer, weight.shape, x, places)
        wanted = rows_at(layer, y, places)
        np.testing.assert_allclose(made.reshape(layer.width, -1), wanted, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_layers_rows_are_those_of_its_output(form):
    layer, weight, x, y = layer_of(*FORMS[form])
    rows = rows_shape(layer, weight.shape, x.shape)
    assert rows == tuple(np.delete(y.shape, layer.axis))


@pytest.mark.parametrize("form", FORMS)
def test_a_matrix_goes_back_into_the_form_of_the_weight(form):
    layer, weight, _, _ = layer_of(*FORMS[form])
    np.testing.assert_array_equal(from_matrix(layer, to_matrix(layer, weight), weight), weight)
