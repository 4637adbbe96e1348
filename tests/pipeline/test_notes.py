"""What a run says of itself besides its figures."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import pytest
from strategies import build, normal

import wrg_onnx
from wrg_onnx.errors import BudgetError
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.notes import strain_notes
from wrg_onnx.report.records import GroupReport
from wrg_onnx.select import Scope

CONFIG = PruneConfig(0.5)
LAYER = GroupReport("conv3.weight", 64, 15, 64, 100, 3)
WIDE = GroupReport("conv4.weight", 128, 20, 128, 100, 3)
WHOLE = GroupReport("conv5.weight", 64, 60, 64, 1000, 3)


def test_a_cut_of_most_of_the_one_free_layer_says_so():
    (note,) = strain_notes((LAYER,), 0.812, CONFIG)
    assert note == (
        "49 of 64 channels of 'conv3.weight' go, the one layer that is free: 81% of the "
        "parameters are frozen (see `wrg-onnx inspect`)"
    )


def test_a_cut_of_most_of_one_of_the_free_layers_counts_them():
    (note,) = strain_notes((LAYER, WHOLE), 0.5, CONFIG)
    assert "'conv3.weight' go, one of 2 layers that are free: 50% of" in note


def test_of_several_layers_that_lose_most_the_largest_is_named():
    (note,) = strain_notes((LAYER, WIDE, WHOLE), 0.5, CONFIG)
    assert note.startswith(
        "108 of 128 channels of 'conv4.weight' go, and more than 70% of 1 further"
    )


@pytest.mark.parametrize(
    ("groups", "frozen", "config"),
    [
        ((LAYER,), 0.05, CONFIG),
        ((WHOLE,), 0.9, CONFIG),
        ((dataclasses.replace(LAYER, kept=20),), 0.9, CONFIG),
        ((LAYER,), 0.9, dataclasses.replace(CONFIG, scope=Scope.UNIFORM)),
    ],
    ids=["little is frozen", "little goes", "two thirds go", "each layer loses as much"],
)
def test_other_cuts_say_nothing_of_layers(groups, frozen, config):
    assert [*strain_notes(groups, frozen, config)] == []


def test_a_run_says_that_it_took_most_of_the_one_free_layer():
    text = """net (float[1,8,6,6] x) => (float[1,2,6,6] y) {
      a = Conv(x, wa)  s = Softmax<axis = 1>(a)  b = Conv(s, wb)  r = Relu(b)  c = Conv(r, wc)
      t = Softmax<axis = 1>(c)  y = Conv(t, wy) }"""
    weights = {
        "wa": normal(64, 8, 1, 1), "wb": normal(16, 64, 1, 1), "wc": normal(64, 16, 1, 1),
        "wy": normal(2, 64, 1, 1),
    }  # fmt: skip
    model = build(text, weights)
    notes = wrg_onnx.prune(model, ratio=0.6, criterion="l1", recover="none").report.notes
    assert any("channels of 'wb' go, the one layer that is free: " in note for note in notes)


def test_a_ratio_that_a_converted_file_does_not_allow_points_to_the_file_before_it():
    text = """net (float[1,8] x) => (int32[1,4] y) {
      a = MatMul(x, wf)  q, s, z = DynamicQuantizeLinear(a)  y = MatMulInteger(q, wi) }"""
    model = build(text, {"wf": normal(8, 16), "wi": np.ones((16, 4), np.int8)})
    with pytest.raises(BudgetError) as caught:
        wrg_onnx.prune(model, ratio=0.5, criterion="l1", recover="none")
    assert str(caught.value).startswith(
        "nothing can be cut: no channel is free, mostly because DynamicQuantizeLinear "
        "'DynamicQuantizeLinear_1' takes the scale of all channels from the largest element "
        "(dynamic quantisation): prune the file that this one was made from (see"
    )


def test_units_that_a_criterion_cannot_measure_stay_while_others_can_go():
    text = """net (float[n,4] x) => (float[n,2] y) {
      h = MatMul(x, w1)  r = Relu(h)  g = MatMul(r, w2)  c = Mul(g, list)  t = Tanh(c)
      y = MatMul(t, w3) }"""
    weights = {
        "w1": 9 * normal(4, 64), "w2": normal(64, 1), "list": normal(12), "w3": normal(12, 2),
    }  # fmt: skip
    model = build(text, weights)
    done = wrg_onnx.prune(model, ratio=0.6, criterion="l1", recover="none")
    assert any(
        "12 of 76 units could not be measured by 'l1' and go after all others" in note
        for note in done.report.notes
    )
    found = {i.name: onnx.numpy_helper.to_array(i) for i in done.model.graph.initializer}
    np.testing.assert_array_equal(found["list"], weights["list"])
    assert found["w1"].shape[1] < 32


def test_a_one_hot_code_by_comparison_keeps_its_enumeration():
    text = """net (int32[n,5] x) => (float[n,3] y) {
      u = Unsqueeze(x, last)  q = Equal(u, list)  f = Cast<to = 1>(q)  e = MatMul(f, table)
      m = ReduceSum<keepdims = 0>(e, mid)  h = MatMul(m, w1)  r = Relu(h)  y = MatMul(r, w2) }"""
    weights = {
        "last": np.array([2]), "mid": np.array([1]),
        "list": np.arange(33, dtype=np.int32).reshape(1, 1, 33),
        "table": normal(33, 8), "w1": normal(8, 32), "w2": normal(32, 3),
    }  # fmt: skip
    done = wrg_onnx.prune(build(text, weights), ratio=0.5, criterion="l1", recover="none")
    found = {i.name: onnx.numpy_helper.to_array(i) for i in done.model.graph.initializer}
    np.testing.assert_array_equal(found["list"], weights["list"])
    assert found["table"].shape[0] == 33
    assert found["table"].shape[1] < 8
