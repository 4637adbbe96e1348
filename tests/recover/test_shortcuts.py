"""What is added to a layer's output is held up to the level that needs it, wherever it is from."""

from __future__ import annotations

import numpy as np
import pytest
from cuts import cut, data_of, error, used_in
from strategies import normal

from wrg_onnx.recover import ReconstructOptions, RowOptions, layers, reconstruct

ALL_ROWS = RowOptions(per_input=10**6)
X = "float[1,3,8,8] x"
TRUNK = "a = Conv<pads = [1, 1, 1, 1]>(x, w)  p = Relu(a)  b = Conv(p, v)"

SHAPES = {
    "the input": f"net ({X}) => (float[1,3,8,8] y) {{ {TRUNK}  y = Add(b, x) }}",
    "the input, first": f"net ({X}) => (float[1,3,8,8] y) {{ {TRUNK}  y = Add(x, b) }}",
    "the input, less the noise": f"net ({X}) => (float[1,3,8,8] y) {{ {TRUNK}  y = Sub(x, b) }}",
    "the input, its noise exposed": f"""net ({X}) => (float[1,3,8,8] y, float[1,3,8,8] b) {{
        {TRUNK}  y = Sub(x, b) }}""",
    "behind Identity": f"""net ({X}) => (float[1,3,8,8] y) {{
        i = Identity(x) {TRUNK} y = Add(b, i) }}""",
    "an Identity between": f"""net ({X}) => (float[1,3,8,8] y) {{
        {TRUNK} i = Identity(b) y = Add(i, x) }}""",
    "behind Dropout": f"""net ({X}) => (float[1,3,8,8] y) {{
        i = Dropout(x) {TRUNK} y = Add(b, i) }}""",
    "a Dropout between": f"""net ({X}) => (float[1,3,8,8] y) {{
        {TRUNK} i = Dropout(b) y = Add(i, x) }}""",
    "a convolution": f"net ({X}) => (float[1,3,8,8] y) {{ s = Conv(x, u) {TRUNK} y = Add(b, s) }}",
    "a convolution that is exposed": f"""net ({X}) => (float[1,3,8,8] y, float[1,3,8,8] s) {{
        s = Conv(x, u)  {TRUNK}  y = Add(b, s) }}""",
    "the layer itself is exposed": f"""net ({X}) => (float[1,3,8,8] y, float[1,3,8,8] b) {{
        {TRUNK}  y = Add(b, x) }}""",
    "a second input": f"""net ({X}, float[1,3,8,8] s) => (float[1,3,8,8] y) {{
        {TRUNK}  y = Add(b, s) }}""",
    "a second input, resized": f"""net ({X}, float[1,3,4,4] s) => (float[1,3,8,8] y) {{
        scale = Constant<value_floats = [1.0, 1.0, 2.0, 2.0]>()
        r = Resize<mode = "nearest">(s, , scale)  {TRUNK}  y = Add(b, r) }}""",
    "an early activation": f"""net ({X}) => (float[1,3,8,8] y) {{
        {TRUNK}  q = Relu(b)  c = Conv(q, f)  e = Relu(c)  d = Conv(e, g)  y = Add(d, b) }}""",
    "a long way": f"""net ({X}) => (float[1,3,8,8] y) {{
        {TRUNK}  q = Relu(b)  c = Conv(q, f)  e = Relu(c)  d = Conv(e, g)  y = Add(d, x) }}""",
    "from a body": f"""net ({X}) => (float[1,3,8,8] y) {{
        t = ReduceMax<keepdims = 0>(x)  c = Greater(t, zero)
        s = If(c)<then_branch = then () => (float[1,3,8,8] h) {{ h = Neg(x) }},
                  else_branch = else () => (float[1,3,8,8] k) {{ k = Identity(x) }}>
        {TRUNK}  y = Add(b, s) }}""",
    "read in a body": f"""net ({X}) => (float[1,3,8,8] y) {{
        {TRUNK}  t = ReduceMax<keepdims = 0>(x)  c = Greater(t, zero)  z = Add(b, x)
        y = If(c)<then_branch = then () => (float[1,3,8,8] h) {{ h = Neg(z) }},
                  else_branch = else () => (float[1,3,8,8] k) {{ k = Add(z, x) }}> }}""",
    "out of a sequence": f"""net ({X}) => (float[1,3,8,8] y) {{
        l = SequenceConstruct(x, x)  s = SequenceAt(l, one)  {TRUNK}  y = Add(b, s) }}""",
    "its own output": f"net ({X}) => (float[1,3,8,8] y) {{ {TRUNK}  y = Add(b, b) }}",
    "another layer of its level": f"""net ({X}) => (float[1,3,8,8] y) {{
        {TRUNK}  c = Conv(p, g)  y = Add(b, c) }}""",
    "a constant that nodes make": f"""net ({X}) => (float[1,3,8,8] y) {{
        s = ConstantOfShape(shape)  {TRUNK}  y = Add(b, s) }}""",
}
ARRAYS = {
    "w": normal(6, 3, 3, 3), "v": normal(3, 6, 1, 1, seed=1), "f": normal(6, 3, 1, 1, seed=2),
    "u": normal(3, 3, 1, 1, seed=3), "g": normal(3, 6, 1, 1, seed=4),
    "zero": np.float32(0), "one": np.int64(1), "shape": np.array([1, 3, 8, 8]),
}  # fmt: skip
ARRAYS["w"][4] = ARRAYS["w"][2]
"""The two know the same, so that without one of them all can be made up for."""


def feeds(text):
    inputs = text.partition("=>")[0]
    for seed in range(5):
        feed = {"x": normal(1, 3, 8, 8, seed=seed)}
        for side in (4, 8):
            if f"{side}] s" in inputs:
                feed["s"] = normal(1, 3, side, side, seed=seed + 9)
        yield feed


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bound", [1 << 30, 1])
def test_a_layer_before_any_shortcut_makes_up_for_what_it_lost(shape, bound):
    text = SHAPES[shape]
    made = cut(text, used_in(text, ARRAYS), {("w", 0): [4]})
    data = data_of(*feeds(text))
    options = ReconstructOptions(rows=ALL_ROWS, bound_bytes=bound)
    found = reconstruct(made.before, made.removal, data, options)
    assert error(made.before, made.pruned, data) > 0.05
    assert error(made.before, found.graph, data) < 0.02


def test_an_input_with_a_default_is_a_shortcut_like_a_constant():
    text = f"net ({X}, float[1,3,8,8] s) => (float[1,3,8,8] y) {{ {TRUNK}  y = Add(b, s) }}"
    arrays = {**used_in(text, ARRAYS), "s": normal(1, 3, 8, 8, seed=8)}
    made = cut(text, arrays, {("w", 0): [4]})
    data = data_of(*feeds(text.replace(" s)", ")")))
    found = reconstruct(made.before, made.removal, data, ReconstructOptions(rows=ALL_ROWS))
    assert {fit.layer for fit in found.fits} == {"b"}
    assert error(made.before, found.graph, data) < 0.02


def test_a_layer_makes_up_for_what_the_shortcut_beside_it_lost(monkeypatch):
    text = f"""net ({X}) => (float[1,3,8,8] y) {{
        a = Conv<pads = [1, 1, 1, 1]>(x, w)  p = Relu(a)  s = Conv(p, v)  q = Relu(s)
        c = Conv(q, f)  e = Relu(c)  d = Conv(e, g)  y = Add(d, s) }}"""
    arrays = used_in(text, ARRAYS) | {"w": normal(6, 3, 3, 3, seed=7)}
    made = cut(text, arrays, {("w", 0): [4]})
    data = data_of(*feeds(text))
    options = ReconstructOptions(rows=ALL_ROWS)
    found = reconstruct(made.before, made.removal, data, options)
    monkeypatch.setattr(layers, "_shortcut", lambda *_: "")
    without = reconstruct(made.before, made.removal, data, options)
    assert error(made.before, found.graph, data) < error(made.before, without.graph, data)
