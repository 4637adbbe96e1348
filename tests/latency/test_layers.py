"""Layers whose time is measured: a node with what follows it, and what its time may grow with."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import analyse, build, normal

from wrg_onnx.latency import ChannelSteps
from wrg_onnx.latency.layers import find_timed_layers, values

TEXT = """net (float[1,3,8,8] x) => (float[1,4,8,8] y) {
    a = Conv(x, w1)  b = Relu(a)  c = Conv(b, w2)  d = Relu(c)  e = Conv(d, w3)  f = Relu(e)
    y = Conv(f, w4) }"""
WEIGHTS = {
    "w1": normal(8, 3, 1, 1), "w2": normal(8, 8, 1, 1), "w3": normal(8, 8, 1, 1),
    "w4": normal(4, 8, 1, 1),
}  # fmt: skip


@pytest.fixture
def units():
    return analyse(build(TEXT, WEIGHTS)).units


def test_pointwise_nodes_belong_to_the_layer_before_them(units):
    found = find_timed_layers(units)
    assert [layer.name for layer in found.layers] == ["a", "c", "e", "y"]
    assert {name: found.layer_of[name] for name in "abcdefy"} == {
        "a": 0, "b": 0, "c": 1, "d": 1, "e": 2, "f": 2, "y": 3,
    }  # fmt: skip


def test_layers_of_the_same_shapes_share_what_is_found(units):
    first, second, third, last = find_timed_layers(units).layers
    assert second.shape == third.shape
    assert len({first.shape, second.shape, last.shape}) == 3


def test_time_may_grow_with_what_is_read_and_written_and_with_the_product(units):
    layer = find_timed_layers(units).layers[1]
    inner = [len(feature.axes) for feature in layer.features]
    assert inner == [0, 1, 2, 1, 2, 2]
    assert [feature.outside for feature in layer.features] == [None] * 4 + [0, 1]


def test_features_count_whole_blocks(units):
    layer = find_timed_layers(units).layers[1]
    alive = np.ones(units.count, bool)
    assert values(layer.features, ChannelSteps(4, 2), alive).tolist() == [1, 8, 64, 8, 0, 0]
    made = units.of(units.axes["c"].at(1))
    alive[made[:3]] = False  # 5 of 8 stay
    assert values(layer.features, ChannelSteps(4, 2), alive).tolist() == [1, 8, 64, 8, 64, 0]
    alive[made[:4]] = False
    assert values(layer.features, ChannelSteps(4, 2), alive).tolist() == [1, 8, 32, 4, 0, 0]


def test_layers_keep_their_names_in_what_a_model_is_cut_to(units):
    narrow = {
        "w1": normal(8, 3, 1, 1), "w2": normal(5, 8, 1, 1), "w3": normal(8, 5, 1, 1),
        "w4": normal(4, 8, 1, 1),
    }  # fmt: skip
    cut = analyse(build(TEXT, narrow)).units
    before, after = (find_timed_layers(each).layers for each in (units, cut))
    assert [layer.name for layer in before] == [layer.name for layer in after]
    assert [len(layer.features) for layer in before] == [len(layer.features) for layer in after]
