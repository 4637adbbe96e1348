"""Sizes that a model computes are propagated, and lists that are none are not."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build

from wrg_onnx.graph import inference
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


@pytest.mark.parametrize("length", [0, 3])
@pytest.mark.parametrize("follows", [False, True])
def test_a_slice_that_goes_backwards_along_nothing_does_not_end_the_process(length, follows):
    text = f"""net (float[{length},4] x) => (float[a,b] y) {{
      first = Constant<value = int64[1] {{-1}}>()  last = Constant<value = int64[1] {{-9999}}>()
      axis = Constant<value = int64[1] {{0}}>()  step = Constant<value = int64[1] {{-1}}>()
      f = Slice(x, first, last, axis, step)
      r = Slice({"f" if follows else "x"}, first, last, axis, step)
      y = Relu(r) }}"""
    if length:
        assert size_of(build(text), "r") == [3, 4]
    else:
        infer(build(text))


def test_a_slice_in_a_branch_goes_backwards_all_the_same():
    text = """net (float[3,4] x, bool c) => (float[a,b] y) {
      first = Constant<value = int64[1] {-1}>()  last = Constant<value = int64[1] {-9999}>()
      axis = Constant<value = int64[1] {0}>()  step = Constant<value = int64[1] {-1}>()
      y = If(c) <then_branch = t () => (float[p,q] r) {
                   h = Slice(x, first, last, axis, step)  r = Neg(h) },
                 else_branch = e () => (float[p,q] r) {
                   h = Slice(x, axis, axis)  r = Slice(h, first, last, axis, step) }> }"""
    assert infer(build(text)).graph.output


LISTS = "".join(f"  l{n + 1} = Concat<axis = 0>(l{n}, l{n})" for n in range(36))
ROWS = {
    "Expand": "r = Expand(one, n)",
    "Tile": "r = Tile(ones, n)",
    "Pad": "r = Pad(ones, pads)",
    "a tensor that is fed": "r = Relu(v)",
    "computed": "m = Mul(root, root)  r = Expand(one, m)",
    "joined": f"l0 = Shape(x) {LISTS}  r = Identity(l36)",
    "joined of a shape of unknown rank": f"g = Foo(x)  l0 = Shape(g) {LISTS}  r = Identity(l36)",
}


@pytest.mark.parametrize("made", ROWS)
@pytest.mark.parametrize("reader", ["Cast<to = 7>(r)", "Add(r, r)", "Concat<axis = 0>(r, r)"])
def test_rows_of_2_to_the_36_numbers_are_not_followed(made, reader):
    model = build(
        f"""net (float[1] x, int64[68719476736] v) => (float[1] out) {{
        {ROWS[made]}  f = {reader}  out = Relu(x) }}""",
        {"one": np.int64(1), "ones": np.int64([1]), "n": np.int64([1 << 36]),
         "pads": np.int64([0, 1 << 36]), "root": np.int64([1 << 18])},
    )  # fmt: skip
    assert infer(model).graph.output[0].name == "out"


def test_computed_sizes_are_not_followed_where_they_have_no_more_to_say(monkeypatch):
    asked = []
    call = inference._call

    def counted(model, **options):
        asked.append(options)
        return call(model, **options)

    monkeypatch.setattr(inference, "_call", counted)
    assert size_of(build("net (float[2,3] x) => (float[2,3] y) { h = Relu(x) y = Neg(h) }"), "h")
    assert asked == [{"data_prop": False, "strict": False}]
