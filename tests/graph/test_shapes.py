from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal

from wrg_onnx.errors import ModelError, UsageError
from wrg_onnx.graph import bind_sizes, draw_feeds, fill_inputs, infer_shapes
from wrg_onnx.graph.load import from_proto


def graph_of(signature):
    model = build(f"net ({signature}) => (float[1] y) {{ y = ReduceSum(x) }}")
    return from_proto(model, name="m")


def inputs_of(text):
    return graph_of(text).inputs


def test_open_axes_take_their_defaults():
    assert bind_sizes(inputs_of("float[N,3,H,W] x")) == {"x": (1, 3, 224, 224)}
    assert bind_sizes(inputs_of("float[N,H,W,3] x")) == {"x": (1, 224, 224, 3)}
    assert bind_sizes(inputs_of("float[N,T,80] x")) == {"x": (1, 16, 80)}


def test_image_size_is_that_of_height_and_width():
    assert bind_sizes(inputs_of("float[N,3,H,W] x"), image_size=64) == {"x": (1, 3, 64, 64)}


def test_sizes_by_name_win():
    inputs = inputs_of("float[N,3,H,W] x")
    assert bind_sizes(inputs, sizes={"H": 32, "N": 2}, image_size=64) == {"x": (2, 3, 32, 64)}


def test_one_symbol_has_one_size():
    inputs = inputs_of("float[N,T] x, int64[T,N] z")
    assert bind_sizes(inputs, sizes={"T": 5}) == {"x": (1, 5), "z": (5, 1)}


def test_input_without_rank_is_refused():
    model = build("net (float[1] x) => (float[1] y) { y = Relu(x) }")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match="input 'x' has no rank"):
        bind_sizes(from_proto(model, name="m").inputs)


def test_feeds_have_the_types_of_the_inputs():
    graph = graph_of("float[3] x, int32[4] i, bool[5] b, float16[2] h, uint8[6] u")
    feeds = draw_feeds(graph, bind_sizes(graph.inputs), np.random.default_rng(0))
    kinds = {name: (array.dtype.name, array.shape) for name, array in feeds.items()}
    assert kinds == {
        "x": ("float32", (3,)), "i": ("int32", (4,)), "b": ("bool", (5,)),
        "h": ("float16", (2,)), "u": ("uint8", (6,)),
    }  # fmt: skip
    assert feeds["i"].max() < 50


def test_every_tensor_gets_a_shape():
    text = """net (float[N,3,H,W] x) => (float[N,K] y) {
      h = Conv<pads = [1, 1, 1, 1]>(x, w)  s = Shape(h)  f = Reshape(h, t)  y = MatMul(f, v) }"""
    weights = {"w": normal(4, 3, 3, 3), "t": np.array([0, -1]), "v": normal(4 * 36, 5)}
    graph = from_proto(build(text, weights), name="m")
    shapes = infer_shapes(graph, bind_sizes(graph.inputs, image_size=6))
    assert shapes["h"] == (1, 4, 6, 6)
    assert shapes["s"] == (4,)
    assert shapes["f"] == (1, 144)
    assert shapes["y"] == (1, 5)
    assert shapes["w"] == (4, 3, 3, 3)


def test_shapes_that_contradict_each_other_are_refused(capfd):
    text = "net (float[1,3] x) => (float[1,4] y) { y = MatMul(x, w) }"
    graph = from_proto(build(text, {"w": normal(5, 4)}), name="m.onnx")
    with pytest.raises(ModelError, match=r"'m\.onnx'") as caught:
        infer_shapes(graph, bind_sizes(graph.inputs))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_wrong_recorded_output_shape_does_not_matter():
    text = "net (float[1,3,6,6] x) => (float[A,B,C,D] y) { y = Conv(x, w) }"
    graph = from_proto(build(text, {"w": normal(4, 3, 1, 1)}), name="m")
    assert infer_shapes(graph, bind_sizes(graph.inputs))["y"] == (1, 4, 6, 6)


def test_what_inference_leaves_open_is_found_by_running():
    text = """net (float[1,6] x) => (float[a,b] y) {
      g = com.microsoft.QuickGelu(x)  c = CumSum(s, z)  y = Reshape(g, c) }"""
    weights = {"s": np.array([2, 1]), "z": np.int64(0)}
    graph = from_proto(build(text, weights, domains=("com.microsoft",)), name="m")
    shapes = infer_shapes(graph, bind_sizes(graph.inputs))
    assert (shapes["g"], shapes["y"]) == ((1, 6), (2, 3))


def test_sizes_that_a_network_cannot_run_at_are_refused_in_one_line(capfd):
    text = """net (float[N,T] x) => (float[a,b] y) {
      c = CumSum(s, z)  r = Reshape(x, c)  y = own.Mystery(r) }"""
    weights = {"s": np.array([2, 1]), "z": np.int64(0)}
    graph = from_proto(build(text, weights, domains=("own",)), name="m.onnx")
    with pytest.raises(ModelError, match=r"m\.onnx") as caught:
        infer_shapes(graph, bind_sizes(graph.inputs))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_given_shapes_bind_their_symbols():
    inputs = inputs_of("float[N,T] x, float[2,N,8] s, int64[T] z")
    shapes = bind_sizes(inputs, given={"x": (3, 512)})
    assert shapes == {"x": (3, 512), "s": (2, 3, 8), "z": (512,)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"y": (1, 2)}, "shape 'y=1x2': the model has no such input, only 'x'"),
        ({"x": (1, 2, 3)}, "shape 'x=1x2x3' does not fit the input, which is Nx80"),
        ({"x": (1, 2)}, "shape 'x=1x2' does not fit the input, which is Nx80"),
    ],
)
def test_given_shape_that_does_not_fit_is_refused(given, message):
    with pytest.raises(UsageError) as caught:
        bind_sizes(inputs_of("float[N,80] x"), given=given)
    assert str(caught.value) == message


def test_shape_of_an_input_without_rank_may_be_given():
    model = build("net (float[1] x) => (float[1] y) { y = Relu(x) }")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert bind_sizes(from_proto(model, name="m").inputs, given={"x": (1, 5)}) == {"x": (1, 5)}


def test_given_numbers_fill_inputs():
    graph = fill_inputs(graph_of("float[3] x, int64[2] i, bool[1] b"), {"i": 16000.0, "b": 1.0})
    feeds = draw_feeds(graph, bind_sizes(graph.inputs), np.random.default_rng(0))
    assert feeds["i"].tolist() == [16000, 16000]
    assert (feeds["i"].dtype, feeds["b"].dtype) == (np.int64, bool)
    assert feeds["b"].all()
    assert len(set(feeds["x"].tolist())) == 3


@pytest.mark.parametrize("numbers", [{"i": 0.5}, {"u": -1.0}, {"u": 256.0}, {"z": 1.0}])
def test_number_that_an_input_cannot_hold_is_refused(numbers):
    with pytest.raises(UsageError, match=r"^value '.=.*': the "):
        fill_inputs(graph_of("float[1] x, int64[2] i, uint8[1] u"), numbers)
