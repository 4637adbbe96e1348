"""Sizes that a model computes are propagated, and lists that are none are not."""

from __future__ import annotations

import pytest
from strategies import build

from wrg_onnx.graph.inference import infer


def size_of(model, name):
    (info,) = (v for v in infer(model).graph.value_info if v.name == name)
    return [dim.dim_value for dim in info.type.tensor_type.shape.dim]


def test_sizes_that_the_model_computes_are_propagated():
    text = """net (float[2,3,4] x) => (float[a,b] y) {
      s = Shape(x)
      z = Constant<value = int64[1] {0}>()
      m = Constant<value = int64[1] {-1}>()
      f = Gather(s, z)
      c = Concat<axis = 0>(f, m)
      h = Reshape(x, c)
      y = Relu(h)
    }"""
    assert size_of(build(text), "h") == [2, 12]


@pytest.mark.parametrize(
    "made",
    [
        (
            "i = Constant<value = int64 {0}>()  j = Constant<value = int64 {1099511627776}>() "
            "k = Constant<value = int64 {1}>()  r = Range(i, j, k)"
        ),
        (
            "j = Constant<value = int64[1] {1099511627776}>() "
            "r = ConstantOfShape<value = int64[1] {1}>(j)"
        ),
    ],
    ids=["Range", "ConstantOfShape"],
)
def test_a_list_of_a_million_million_numbers_is_not_held_in_memory(made):
    text = f"net (float[1] x) => (float[1] y) {{ {made}  b = Cast<to = 1>(r)  y = Relu(x) }}"
    assert size_of(build(text), "b") == [1099511627776]
