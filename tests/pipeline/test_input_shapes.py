"""Models that leave sizes open run at the first guess that fits, or say what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from strategies import build, normal

from wrg_onnx.errors import ModelError, UsageError
from wrg_onnx.graph import from_proto, to_message
from wrg_onnx.pipeline import input_shapes
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery
from wrg_onnx.pipeline.input_shapes import concrete_shapes
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.select import Criterion

SILERO = Path(__file__).parents[3] / "shared" / "data" / "models" / "silero_vad_16k_op15.onnx"

DOUBLE_HALF = """p = Conv<strides = [2, 2], kernel_shape = [2, 2]>(x, w)
    q = ConvTranspose<strides = [2, 2]>(p, v)"""
"""Halves sides and doubles them: only even ones come back."""

STATE = """net (float[N,3,H,W] src, float[N,C,H,W] r, float[1] ratio)
    => (float[a,b,c,d] y, float[p,q,s,t] n) {
    i = Conv<pads = [1, 1, 1, 1]>(src, first)  e = Relu(i)
    x = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(e, w)  f = Relu(x)
    k = %s  j = Concat<axis = 1>(f, k)  g = Conv<pads = [1, 1, 1, 1]>(j, v)  z = Sigmoid(g)
    m = Mul(z, k)  n = Add(m, f)  o = Conv(n, u)  y = Mul(o, ratio) }"""
STATE_WEIGHTS = {
    "first": normal(16, 3, 3, 3), "w": normal(8, 16, 3, 3), "v": normal(8, 16, 3, 3),
    "u": normal(1, 8, 1, 1),
}  # fmt: skip


def graph_of(text, weights=None):
    return from_proto(build(text, weights), name="m.onnx")


def shapes_of(text, weights=None, **options):
    return concrete_shapes(graph_of(text, weights), DataOptions(**options))


def test_a_length_that_must_be_a_multiple_of_32_is_found():
    text = """net (float[N,T] x) => (float[a,b] y) {
        r = Reshape(x, windows)  c = MatMul(r, w)  y = Reshape(c, back) }"""
    weights = {"windows": np.array([1, -1, 32]), "w": normal(32, 4), "back": np.array([1, -1])}
    assert shapes_of(text, weights) == {"x": (1, 32)}


def test_images_whose_sides_the_graph_fixes_are_found():
    text = """net (float[N,3,H,W] x) => (float[a,b] y) {
        c = Conv<strides = [32, 32]>(x, w)  f = Reshape(c, flat)  y = MatMul(f, v) }"""
    weights = {"w": normal(2, 3, 32, 32), "flat": np.array([1, 2 * 64]), "v": normal(128, 3)}
    assert shapes_of(text, weights) == {"x": (1, 3, 256, 256)}


def test_chosen_sides_are_those_that_images_are_fed_with():
    text = """net (float[N,3,H,W] x) => (float[a,b] y) {
        c = Conv<strides = [32, 32]>(x, w)  f = Reshape(c, flat)  y = MatMul(f, v) }"""
    weights = {"w": normal(2, 3, 32, 32), "flat": np.array([1, 2 * 64]), "v": normal(128, 3)}
    graph = graph_of(text, weights)
    shapes = concrete_shapes(graph, DataOptions())
    found = input_shapes.preprocessing_for(graph, shapes, DataOptions())
    assert (found.height, found.width) == (256, 256)


def test_two_sequences_that_must_be_equal_are():
    text = """net (float[N,S,8] x, float[N,T,8] z) => (float[N,S,8] y) {
        a = Reshape(x, shape)  b = Reshape(z, shape)  y = Add(a, b) }"""
    found = shapes_of(text, {"shape": np.array([1, 64, 8])})
    assert found == {"x": (1, 64, 8), "z": (1, 64, 8)}


def test_a_state_of_a_recurrent_net_gets_the_batch():
    text = """net (float[?,T,6] x, float[1,?,4] h) => (float y) {
        t = Transpose<perm = [1, 0, 2]>(x)  a, y = GRU<hidden_size = 4>(t, w, r, , , h) }"""
    weights = {"w": normal(1, 12, 6), "r": normal(1, 12, 4)}
    assert shapes_of(text, weights) == {"x": (1, 16, 6), "h": (1, 1, 4)}


def test_several_images_have_the_size_that_is_asked_for():
    text = """net (float[N,3,H,W] left, float[N,3,h,w] right) => (float[a,b,c,d] y) {
        y = Sub(left, right) }"""
    assert shapes_of(text) == {"left": (1, 3, 224, 224), "right": (1, 3, 224, 224)}
    assert shapes_of(text, size=(64, 96)) == {"left": (1, 3, 64, 96), "right": (1, 3, 64, 96)}


def test_the_one_image_among_several_inputs_has_the_size_that_is_asked_for():
    text = """net (float[N,3,H,W] x, float[N,8] token) => (float[a,b,c,d] y, float[N,8] t) {
        y = Relu(x)  t = Relu(token) }"""
    assert shapes_of(text, size=(64, 96)) == {"x": (1, 3, 64, 96), "token": (1, 8)}


def test_a_size_without_an_image_among_several_inputs_is_refused():
    text = "net (float[N,8] x, float[N,8] z) => (float[N,8] y) { y = Add(x, z) }"
    with pytest.raises(UsageError, match="image options need one image input"):
        shapes_of(text, size=(64, 96))


def test_a_size_that_no_image_has_is_refused():
    text = (
        "net (float[N,3,32,32] x, float[N,8] z) => (float y, float t) { y = Relu(x) t = Relu(z) }"
    )
    with pytest.raises(UsageError, match="size 64x96 does not fit the images 'x' Nx3x32x32"):
        shapes_of(text, size=(64, 96))


def test_a_state_has_the_shape_of_what_it_is_joined_to():
    found = shapes_of(STATE % "Identity(r)", STATE_WEIGHTS, size=(64, 96))
    assert found == {"src": (1, 3, 64, 96), "r": (1, 8, 32, 48), "ratio": (1,)}


def test_a_state_that_is_spread_is_one_number():
    text = STATE.replace("k = %s", "s = Shape(f)  k = Expand(r, s)")
    model = build(text, STATE_WEIGHTS)
    found = concrete_shapes(from_proto(model, name="m"), DataOptions(size=(64, 96)))
    assert found == {"src": (1, 3, 64, 96), "r": (1, 1, 1, 1), "ratio": (1,)}
    config = PruneConfig(
        0.3, criterion=Criterion.L1, recover=Recovery.NONE, data=DataOptions(size=(64, 96))
    )
    report = prune(model, None, config).report
    assert report.equivalence.sizes == 2
    assert report.reached > 0.25


def test_an_input_without_rank_is_guessed_where_a_reader_tells_it():
    model = build(f"net (float[1] x) => (float y) {{ {DOUBLE_HALF}  y = Relu(q) }}",
                  {"w": normal(4, 3, 2, 2), "v": normal(4, 2, 2, 2)})  # fmt: skip
    model.graph.input[0].type.tensor_type.ClearField("shape")
    graph = from_proto(model, name="m")
    assert concrete_shapes(graph, DataOptions()) == {"x": (1, 3, 224, 224)}
    assert analyse(to_message(graph), DataOptions()).other_shapes == {"x": (2, 3, 288, 288)}


def test_an_input_without_rank_may_be_given():
    model = build("net (float[1] x) => (float y) { y = Relu(x) }")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    options = DataOptions(shapes={"x": (1, 5)})
    assert analyse(model, options).input_shapes == {"x": (1, 5)}


def test_if_nothing_runs_the_error_says_what_was_tried_and_what_would_do():
    text = """net (float[N,T] x, int64 rate) => (float[a,b] y) {
        far = Add(rate, k)  g = Gather(table, far)  y = Mul(x, g) }"""
    with pytest.raises(ModelError) as caught:
        shapes_of(text, {"table": np.float32([1.5]), "k": np.int64(70)})
    said = str(caught.value)
    assert said.startswith("'m.onnx' does not run at 'x' 1x16, 'rate' scalar, nor at ")
    assert "indices element out of data bounds" in said
    assert said.endswith(": give --shape x=1xT; --value rate=NUMBER if it is no data")
    assert "\n" not in said


def test_given_shapes_that_contradict_each_other_are_both_named():
    text = "net (float[N,T] x, float[N,T] z) => (float[N,T] y) { y = Add(x, z) }"
    with pytest.raises(ModelError, match=r"'x' 1x4, 'z' 1x5 .*'x' and 'z' contradict .* in 'T'"):
        shapes_of(text, shapes={"x": (1, 4), "z": (1, 5)})


def test_given_shapes_may_break_a_symbol_where_the_model_runs():
    text = "net (float[N,T] x, float[N,T] z) => (float[N,T] y) { y = Add(x, z) }"
    given = {"x": (1, 4), "z": (1, 1)}
    assert shapes_of(text, shapes=given) == given


def test_trying_ends_in_time(monkeypatch):
    monkeypatch.setattr(input_shapes, "MOST_SECONDS", 0.0)
    text = """net (float[N,T] x, float[N,S] z) => (float[N,T] y) {
        c = Concat<axis = 1>(x, z)  y = Reshape(c, k) }"""
    with pytest.raises(ModelError, match=r"'z' 1x16 \("):
        shapes_of(text, {"k": np.array([1, 7])})


@pytest.mark.parametrize(
    ("kind", "named"), [("seq(float[])", "sequence"), ("optional(float[1])", "optional value")]
)
def test_an_input_that_is_no_tensor_is_refused(kind, named):
    text = f"net ({kind} s, float[1] x) => (float[1] y) {{ y = Relu(x) }}"
    with pytest.raises(ModelError, match=f"input 's' is a {named}, and only tensors can be fed"):
        shapes_of(text)


def test_a_voice_detector_runs_without_a_word_of_the_user():
    if not SILERO.exists():
        pytest.skip(f"{SILERO} is not there")
    found = analyse(SILERO, DataOptions()).input_shapes
    assert found == {"input": (1, 256), "state": (2, 1, 128), "sr": ()}
