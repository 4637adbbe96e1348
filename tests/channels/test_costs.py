"""Multiplications of fused operators: those of the operators that they stand for."""
# ruff: noqa: E501 - a network reads best unbroken

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rule_calls import axes, call
from strategies import analyse, build, normal

from wrg_onnx.channels import mac_terms, node_macs, total_cost
from wrg_onnx.channels.costs import multiplications
from wrg_onnx.channels.units import Analysed


def count(body, weights, opset=17):
    text = f"net (float[1,5,8] x, float[1,4,6,6] i) => (float[o0,o1,o2] y) {{ {body} }}"
    model = build(text, weights, opset=opset, domains=("com.microsoft",))
    units = analyse(model).units
    return total_cost(mac_terms(units), np.ones(units.count, bool))


@pytest.mark.parametrize(
    ("fused", "plain"),
    [
        ("m = com.microsoft.FusedConv<activation = \"Relu\">(i, k)  y = Squeeze(m, z)",
         "m = Conv(i, k)  y = Squeeze(m, z)"),
        ("y = com.microsoft.FusedMatMul<alpha = 2.0>(x, w)", "y = MatMul(x, w)"),
        ("t = Transpose<perm = [0, 2, 1]>(x)  y = com.microsoft.FusedMatMul<transA = 1>(t, w)", "y = MatMul(x, w)"),
        ("v = Squeeze(x, z)  m = com.microsoft.FusedGemm<activation = \"Relu\">(v, w)  y = Unsqueeze(m, z)",
         "v = Squeeze(x, z)  m = Gemm(v, w)  y = Unsqueeze(m, z)"),
    ],
)  # fmt: skip
def test_a_fused_product_counts_as_the_plain_one(fused, plain):
    weights = {"k": normal(3, 4, 2, 2), "w": normal(8, 12), "z": np.int64([0])}
    assert count(fused, weights) == count(plain, weights) > 0


ATTEND = 2 * 5 * 5 * 12
PROJECT = "q = MatMul(x, w)  k = MatMul(x, w)  v = MatMul(x, w)  "
CACHE = {"p": normal(1, 3, 2, 4), "r": normal(1, 3, 2, 4)}


@pytest.mark.parametrize(
    ("body", "multiplied"),
    [
        ("y = com.microsoft.Attention<num_heads = 3>(x, c)", ATTEND),
        (f"{PROJECT}  y = com.microsoft.MultiHeadAttention<num_heads = 3>(q, k, v)", ATTEND),
        (f"{PROJECT}  y = Attention<q_num_heads = 3, kv_num_heads = 3>(q, k, v)", ATTEND),
        (f"{PROJECT}  y, n, n2 = Attention<q_num_heads = 3, kv_num_heads = 3>(q, k, v, , p, r)",
         2 * 5 * 7 * 12),
        (f"{PROJECT}  y, n, n2 = com.microsoft.MultiHeadAttention<num_heads = 3>(q, k, v, , , , p, r)",
         2 * 5 * 7 * 12),
    ],
)  # fmt: skip
def test_attention_counts_projections_scores_and_sums(body, multiplied):
    weights = {"w": normal(8, 12), "c": normal(8, 36), **CACHE}
    assert count(body, weights, opset=23) == 5 * 8 * 36 + multiplied


def lengths(made, y):
    """Return the lengths that a node of ONNX Runtime multiplies, term by term."""
    made = replace(made, node=replace(made.node, domain="com.microsoft"))
    analysed = Analysed(made, (y,), ())
    return [[a.shape[axis] for a, chosen in factors for axis in chosen]
            for factors in multiplications(analysed)]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"),
    [
        ("MultiHeadAttention", [axes((1, 5, 3, 3, 4)), None], {"num_heads": 3}),
        ("MultiHeadAttention", [axes((1, 5, 12)), axes((1, 6, 3, 2, 4))], {"num_heads": 3}),
        ("MultiHeadAttention", [axes((1, 5, 12)), axes((1, 3, 6, 4))], {"num_heads": 3}),
        ("GroupQueryAttention", [axes((1, 5, 20)), None], {"num_heads": 3, "kv_num_heads": 1}),
    ],
)
def test_packed_forms_count_the_queries_alone(op, inputs, attributes):
    made = call(op, inputs, [(1, 5, 12)], version=1, **attributes)
    scores, sums = lengths(made, axes((1, 5, 12)))
    keys = 5 if inputs[1] is None else 6
    assert np.prod(scores) == np.prod(sums) == 5 * 12 * keys


def test_channels_last_conv_counts_its_places():
    made = call("NhwcConv", [axes((1, 6, 7, 4)), axes((2, 4, 3, 3))], [(1, 6, 7, 2)], version=1)
    assert lengths(made, axes((1, 6, 7, 2))) == [[2, 4, 3, 3, 1, 6, 7]]


def test_multiplications_are_counted_by_node_as_in_the_sum_of_all():
    body = "p = Relu(x)  t = MatMul(p, w)  m = MatMul(t, v)  y = Relu(m)"
    text = f"net (float[1,5,8] x) => (float[o0,o1,o2] y) {{ {body} }}"
    units = analyse(build(text, {"w": normal(8, 12), "v": normal(12, 2)})).units
    assert node_macs(units) == {"t": 5 * 8 * 12, "m": 5 * 12 * 2}
    assert sum(node_macs(units).values()) == total_cost(
        mac_terms(units), np.ones(units.count, bool)
    )
