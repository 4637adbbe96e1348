"""Fused operators that ONNX Runtime has for other devices only, against the same in plain ones.

Source of what they mean: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

import pytest
import torch
from onnx import numpy_helper, parser

from wrg_onnx.graph.load import from_proto
from wrg_onnx.twin import build_twin

# ruff: noqa: E501 - a network reads best unbroken
# By name: the shape of x, the fused operator, and what it stands for.
PAIRS = {
    "BiasAdd": ((2, 3, 4), "y = com.microsoft.BiasAdd (x, four, skip)",
                "a = Add (x, four)  y = Add (a, skip)"),
    "BiasSplitGelu": ((2, 3, 4), "y = com.microsoft.BiasSplitGelu (x, four)",
                      "a = Add (x, four)  p, q = Split <axis = 2, num_outputs = 2> (a)  g = Gelu (q)  y = Mul (p, g)"),
    "BiasDropout": ((2, 3, 4), "y, m = com.microsoft.BiasDropout (x, four, skip)",
                    "a = Add (x, four)  y = Add (a, skip)"),
    "GemmFastGelu": ((2, 3, 4), "y = com.microsoft.GemmFastGelu (x, matrix, five)",
                     'm = MatMul (x, matrix)  a = Add (m, five)  y = Gelu <approximate = "tanh"> (a)'),
    "FusedMatMulActivation": (
        (2, 4, 3), 'y = com.microsoft.FusedMatMulActivation <transA = 1, alpha = 0.5, activation = "Relu"> (x, matrix)',
        "t = Transpose <perm = [0, 2, 1]> (x)  m = MatMul (t, matrix)  h = Mul (m, half)  y = Relu (h)"),
    "GroupNorm": ((2, 3, 3, 4), "y = com.microsoft.GroupNorm <groups = 2, activation = 1, epsilon = 0.001> (x, four, other)",
                  ("t = Transpose <perm = [0, 3, 1, 2]> (x)  n = GroupNormalization <num_groups = 2, epsilon = 0.001> "
                  "(t, four, other)  s = Sigmoid (n)  w = Mul (n, s)  y = Transpose <perm = [0, 2, 3, 1]> (w)")),
    "SkipGroupNorm": ((1, 4, 2, 3), ("y, s = com.microsoft.SkipGroupNorm <groups = 2, activation = 0, channels_last = 0> "
                      "(x, four, other, skip2, other)"),
                      ("k = Reshape (skip2, column)  c = Reshape (other, column)  a = Add (x, k)  s = Add (a, c)  "
                      "y = GroupNormalization <num_groups = 2> (s, four, other)")),
    "NhwcConv": ((1, 5, 5, 4), "y = com.microsoft.NhwcConv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, filters, two)",
                 ("t = Transpose <perm = [0, 3, 1, 2]> (x)  c = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (t, filters, two)  "
                 "y = Transpose <perm = [0, 2, 3, 1]> (c)")),
    "NhwcFusedConv": ((1, 5, 5, 4), ('y = com.microsoft.NhwcFusedConv <activation = "LeakyRelu", activation_params = [0.2]> '
                      "(x, filters, two)"),
                      ("t = Transpose <perm = [0, 3, 1, 2]> (x)  c = Conv (t, filters, two)  l = LeakyRelu <alpha = 0.2> (c)  "
                      "y = Transpose <perm = [0, 2, 3, 1]> (l)")),
    "NhwcMaxPool": ((1, 4, 6, 3), "y = com.microsoft.NhwcMaxPool <kernel_shape = [2, 3], strides = [1, 2]> (x)",
                    ("t = Transpose <perm = [0, 3, 1, 2]> (x)  p = MaxPool <kernel_shape = [2, 3], strides = [1, 2]> (t)  "
                    "y = Transpose <perm = [0, 2, 3, 1]> (p)")),
    "MultiHeadAttention-packed": (
        (1, 3, 2, 3, 4), "y = com.microsoft.MultiHeadAttention <num_heads = 2> (x)",
        ("q, k, v = Split <axis = 3, num_outputs = 3> (x)  a = Reshape (q, tokens)  b = Reshape (k, tokens)  "
        "c = Reshape (v, tokens)  y = Attention <q_num_heads = 2, kv_num_heads = 2> (a, b, c)")),
}  # fmt: skip
CONSTANTS = {
    "four": (4,), "other": (4,), "two": (2,), "five": (5,), "skip": (2, 3, 4), "skip2": (1, 4),
    "matrix": (4, 5), "filters": (2, 4, 3, 3),
}  # fmt: skip


def run(body, x):
    head = '<ir_version: 10, opset_import: ["" : 23, "com.microsoft" : 1]>'
    sizes = ", ".join(map(str, x.shape))
    given = "float half = {0.5}, int64[4] column = {1, 4, 1, 1}, int64[3] tokens = {1, 3, 8}"
    outputs = "".join(f", float {name}" for name in ("s",) if f"y, {name} =" in body)
    model = parser.parse_model(
        f"{head} g (float[{sizes}] x) => (float y{outputs}) <{given}> {{ {body} }}"
    )
    generator = torch.Generator().manual_seed(0)
    for name, shape in CONSTANTS.items():
        values = torch.randn(shape, generator=generator).numpy()
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    with torch.no_grad():
        return build_twin(from_proto(model, name="m"))({"x": x})["y"]


@pytest.mark.parametrize("name", PAIRS)
def test_fused_operator_computes_what_its_parts_compute(name):
    shape, fused, parts = PAIRS[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(run(fused, x), run(parts, x), rtol=1e-5, atol=1e-5)
