"""What a cut reaches: all that is computed from a constant that is not as it was."""

from __future__ import annotations

from cuts import cut
from strategies import normal

from wrg_onnx.recover.layers import find_layers
from wrg_onnx.recover.reach import is_reached, reached_tensors

NET = """net (float[1,3,8,8] x) => (float[1,5,8,8] y, float[1,4,8,8] z) {
    a = Conv(x, w)  p = Relu(a)  b = Conv(p, v)  y = Relu(b)  z = Conv(x, u) }"""


def net():
    arrays = {"w": normal(6, 3, 1, 1), "v": normal(5, 6, 1, 1), "u": normal(4, 3, 1, 1)}
    return cut(NET, arrays, {("w", 0): [4]})


def test_all_that_is_computed_from_a_cut_constant_is_reached():
    made = net()
    reached = reached_tensors(made.before, made.removal.pruned)
    assert reached == {"w", "v", "a", "p", "b", "y"}


def test_a_model_that_is_whole_is_not_reached():
    made = net()
    assert not reached_tensors(made.before, made.before)


def test_a_layer_is_reached_through_what_it_reads_and_through_its_shortcut():
    text = """net (float[1,3,8,8] x) => (float[1,5,8,8] y) {
        a = Conv(x, w)  p = Relu(a)  b = Conv(p, v)  c = Conv(x, u)  y = Add(b, c) }"""
    arrays = {"w": normal(6, 3, 1, 1), "v": normal(5, 6, 1, 1), "u": normal(5, 3, 1, 1)}
    made = cut(text, arrays, {("w", 0): [4]})
    reached = reached_tensors(made.before, made.removal.pruned)
    layers = find_layers(made.removal.pruned, made.kept).layers
    assert [layer.made for layer in layers if is_reached(layer, reached)] == ["a", "b", "c"]
    assert "c" not in reached
