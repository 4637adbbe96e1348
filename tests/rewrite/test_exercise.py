"""What a run of both models says nothing of is found out by other inputs, by itself, or told."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build, normal

from wrg_onnx.channels import find_units
from wrg_onnx.errors import ValidationError
from wrg_onnx.graph import Edit, bind_sizes, edited, from_proto, infer_shapes
from wrg_onnx.rewrite import alone, apply_plan, compare_with, plan_slices, prove, run_masked
from wrg_onnx.rewrite import reference as reference_module

CHAIN = """net (float[1,3,8,8] x) => (float[1,2,8,8] y) {
  a = Conv(x, w1, b1)  r = Relu(a)  b = Conv<pads = [1, 1, 1, 1]>(r, w2, b2)  s = Mul(b, g)
  t = Relu(s)  y = Conv(t, w3) }"""
LIVE = {
    "w1": normal(8, 3, 1, 1), "b1": normal(8), "w2": normal(6, 8, 3, 3), "b2": normal(6),
    "g": normal(6, 1, 1), "w3": normal(2, 6, 1, 1),
}  # fmt: skip
DEAD = {**LIVE, "w1": np.zeros((8, 3, 1, 1), np.float32), "b1": np.full(8, -1, np.float32)}
SILENT = {**DEAD, "b2": np.zeros(6, np.float32)}
"""Behind the first layer all is zero, up to the output."""


def halved(text, weights, size=8):
    """Cut half of every group; returns what the proof is asked about."""
    graph = from_proto(build(text, weights), name="m")
    shapes = bind_sizes(graph.inputs, image_size=size)
    units = find_units(graph, infer_shapes(graph, shapes))
    alive = np.ones(units.count, bool)
    for group in np.unique(units.group[units.removable]):
        members = np.flatnonzero((units.group == group) & units.removable)
        alive[members[::2]] = False
    plan = plan_slices(units, alive)
    return run_masked(graph, plan, shapes), apply_plan(graph, plan)


def swapped(pruned, name, axis=0):
    """Let a weight of a pruned model have two of its kept positions the wrong way round."""
    wrong = np.moveaxis(pruned.constants[name].copy(), axis, 0)
    wrong[[0, 1]] = wrong[[1, 0]]
    return edited(pruned, Edit(constants={name: np.ascontiguousarray(np.moveaxis(wrong, 0, axis))}))


def test_a_live_network_is_exercised_by_one_input():
    reference, pruned = halved(CHAIN, LIVE)
    found = prove([reference], pruned)
    assert (found.quiet, found.tried, found.unexercised) == ((), 0, ())


def test_layers_behind_a_dead_one_are_named_and_compared_by_themselves():
    reference, pruned = halved(CHAIN, SILENT)
    found = prove([reference], pruned)
    assert found.quiet == ("Conv 'Conv_2'", "Mul 'Mul_3'", "Conv 'Conv_5'")
    assert found.alone == found.changed == 4
    assert found.unexercised == ()
    assert found.tried == 2
    assert found.error <= found.tolerance


@pytest.mark.parametrize(("name", "axis"), [("w2", 0), ("w2", 1), ("g", 0), ("w3", 1)], ids=str)
def test_a_wrong_slice_behind_a_dead_layer_is_found(name, axis):
    reference, pruned = halved(CHAIN, SILENT)
    wrong = swapped(pruned, name, axis)
    compare_with(reference, wrong)  # a run of both models says nothing
    with pytest.raises(ValidationError, match="by itself reads drawn values"):
        prove([reference], wrong)


def test_a_wrong_column_of_a_single_dead_channel_is_found():
    dead = LIVE["b1"].copy()
    dead[[1, 3]] = -100  # of the kept channels 1, 3, 5, 7 the first two
    reference, pruned = halved(CHAIN, {**LIVE, "b1": dead})
    wrong = swapped(pruned, "w2", axis=1)
    compare_with(reference, wrong)
    with pytest.raises(ValidationError, match=r"Conv 'Conv_2' by itself"):
        prove([reference], wrong)
    found = prove([reference], pruned)
    assert (found.quiet, found.alone) == ((), 4)


def test_inputs_that_wake_a_layer_are_tried():
    late = np.full(8, -12, np.float32)
    reference, pruned = halved(CHAIN, {**LIVE, "b1": late})
    found = prove([reference], pruned)
    assert found.quiet == ()
    assert found.tried == 2  # the second one is ten times as large


def test_inputs_of_the_caller_are_tried_first():
    reference, pruned = halved(CHAIN, {**LIVE, "b1": np.full(8, -12, np.float32)})
    image = 30 * normal(1, 3, 8, 8, seed=5)
    found = prove([reference], pruned, iter([{"x": image}]))
    assert (found.quiet, found.tried) == ((), 1)


ACTIVATIONS = {
    "silu": "q = Sigmoid(a)  r = Mul(a, q)",
    "sigmoid": "r = Sigmoid(a)",
    "softplus": "r = Softplus(a)",
    "mish": "p = Softplus(a)  q = Tanh(p)  r = Mul(a, q)",
    "elu": "r = Elu(a)",
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_wrong_column_of_channels_that_hardly_vary_is_found(activation):
    nearly = LIVE["b1"].copy()
    nearly[[1, 3]] = -15
    text = CHAIN.replace("r = Relu(a)", ACTIVATIONS[activation])
    reference, pruned = halved(text, {**LIVE, "b1": nearly})
    wrong = swapped(pruned, "w2", axis=1)
    compare_with(reference, wrong)  # within the tolerance
    with pytest.raises(ValidationError, match=r"Conv '\w+' by itself"):
        prove([reference], wrong)


BEFORE_DEAD = {
    "BatchNormalization": "n = BatchNormalization(a, s, h, m, v)",
    "Mul and Add": "k = Mul(a, s1)  n = Add(k, h1)",
    "PRelu": "c = Add(a, far)  n = PRelu(c, p1)",
}
"""What no run sees behind a ReLU that is dead, or in front of which all is positive."""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *(("BatchNormalization", name) for name in "shmv"),
        ("Mul and Add", "s1"),
        ("Mul and Add", "h1"),
        ("PRelu", "p1"),
    ],
)
def test_a_wrong_number_in_front_of_what_hides_it_is_found(text, name):
    net = f"""net (float[1,3,8,8] x) => (float[1,2,8,8] y) {{
      a = Conv(x, w1)  {BEFORE_DEAD[text]}  r = Relu(n)  y = Conv(r, w3) }}"""
    shift = np.array([0, -100, 0, -120, 0, 0.3, 0, 0.5], np.float32)
    weights = {
        "w1": LIVE["w1"], "w3": normal(2, 8, 1, 1), "s": 1 + abs(normal(8)), "h": shift,
        "m": normal(8), "v": 1 + abs(normal(8)),
        "s1": normal(8, 1, 1), "h1": shift.reshape(8, 1, 1), "p1": normal(8, 1, 1),
        "far": np.full((8, 1, 1), 100, np.float32),
    }  # fmt: skip
    used = {key: value for key, value in weights.items() if f"{key}," in net or f"{key})" in net}
    reference, pruned = halved(net, used)
    assert prove([reference], pruned).unexercised == ()
    with pytest.raises(ValidationError, match="by itself reads drawn values"):
        prove([reference], swapped(pruned, name))


@pytest.mark.parametrize("name", ["w1", "b1"])
def test_a_wrong_filter_of_a_layer_whose_map_is_not_compared_is_found(monkeypatch, name):
    monkeypatch.setattr(reference_module, "WATCHED_BYTES", 0)
    dead = np.array([0, -100, 0, -120, 0, 0.3, 0, 0.5], np.float32)
    reference, pruned = halved(CHAIN, {**LIVE, "b1": dead})
    wrong = swapped(pruned, name)
    with pytest.raises(ValidationError, match="Conv 'Conv_0' by itself"):
        prove([reference], wrong)


TOKENS = """net (float[1,3,12,12] x) => (float[1,144,2] y) {
  a = Conv(x, w1, b1)  r = Relu(a)  p = Reshape(r, s)  t = Transpose<perm = [0, 2, 1]>(p)
  y = MatMul(t, w4) }"""


def half_dead_tokens():
    bias = LIVE["b1"].copy()
    bias[[1, 3]] = -100  # of the kept channels 1, 3, 5, 7 the first two
    weights = {"w1": LIVE["w1"], "b1": bias, "s": np.array([1, 8, 144]), "w4": normal(8, 2)}
    return halved(TOKENS, weights, size=12)


def test_rows_of_a_product_are_drawn_few(monkeypatch):
    reference, pruned = half_dead_tokens()
    monkeypatch.setattr(alone, "MOST_DRAWN_BYTES", 8 * 8 * alone.FEW)
    with pytest.raises(ValidationError, match="MatMul 'MatMul_4' by itself"):
        prove([reference], swapped(pruned, "w4"))


def test_what_is_idle_in_part_and_not_compared_by_itself_is_named(monkeypatch):
    monkeypatch.setattr(alone, "MOST_DRAWN_BYTES", 0)
    reference, pruned = half_dead_tokens()
    found = prove([reference], pruned)
    assert found.quiet == ()
    assert "MatMul 'MatMul_4'" in found.unexercised
    assert found.tried == 2


SHUFFLE = """net (float[1,3,4,4] x) => (float[1,2,4,4] y) {
  a = Conv(x, w1, b1)  r = Relu(a)  p = Reshape(r, split)
  q = Transpose<perm = [0, 2, 1, 3, 4]>(p)  f = Reshape(q, join)  y = Conv(f, w3) }"""
SHUFFLED = {
    "w1": np.zeros((8, 3, 1, 1), np.float32), "b1": np.full(8, -1, np.float32),
    "w3": normal(2, 8, 1, 1), "split": np.array([1, 2, 4, 4, 4]), "join": np.array([1, 8, 4, 4]),
}  # fmt: skip


def test_what_counts_channels_behind_a_dead_layer_is_compared_by_itself():
    reference, pruned = halved(SHUFFLE, SHUFFLED)
    found = prove([reference], pruned)
    assert [name.split()[0] for name in found.quiet] == ["Reshape", "Reshape", "Conv"]
    assert found.unexercised == ()


def test_what_reads_too_much_to_be_drawn_is_named(monkeypatch):
    monkeypatch.setattr(alone, "MOST_DRAWN_BYTES", 0)
    reference, pruned = halved(CHAIN, SILENT)
    found = prove([reference], pruned)
    assert found.alone == 0
    assert found.unexercised == found.quiet != ()


def test_sizes_that_the_model_computes_are_no_values_that_a_layer_reads():
    text = """net (float[N,3,4,4] x) => (float[M,2] y) {
      a = Conv(x, w1, b1)  r = Relu(a)  k = Shape(x)  n = Gather(k, zero)
      s = Concat<axis = 0>(n, rest)  p = Reshape(r, s)  t = Transpose<perm = [0, 2, 1]>(p)
      q = MatMul(t, w4)  y = ReduceMean<axes = [1], keepdims = 0>(q) }"""
    weights = {
        "w1": SHUFFLED["w1"], "b1": SHUFFLED["b1"], "zero": np.array([0]), "w4": normal(8, 2),
        "rest": np.array([8, 16]),
    }  # fmt: skip
    reference, pruned = halved(text, weights)
    found = prove([reference], pruned)
    assert found.quiet == ("MatMul 'MatMul_7'",)
    assert (found.alone, found.changed, found.unexercised) == (2, 3, ())  # not the Concat of sizes


def test_all_zero_weights_leave_nothing_to_prove():
    zeros = {name: np.zeros_like(array) for name, array in LIVE.items()}
    reference, pruned = halved(CHAIN, zeros)
    found = prove([reference], pruned)
    assert (found.tensors, found.error) == (0, 0.0)


def test_layers_behind_what_is_nowhere_finite_are_compared_by_themselves():
    text = """net (float[1,3,8,8] x) => (float[1,2,8,8] y) {
      c = Mul(x, x)  d = Neg(c)  e = Sqrt(d)  a = Conv(e, w1)  y = Conv(a, w2) }"""
    reference, pruned = halved(text, {"w1": LIVE["w1"], "w2": normal(2, 8, 1, 1)})
    found = prove([reference], pruned)
    assert found.silent == ("y",)
    assert len(found.quiet) == found.alone == 2


def test_nothing_finite_at_all_is_nothing_to_prove():
    holes = {name: np.full_like(LIVE[name], np.nan) for name in ("w1", "w2", "w3", "g")}
    reference, pruned = halved(CHAIN, {**LIVE, **holes})
    with pytest.raises(ValidationError, match="nothing to prove") as caught:
        prove([reference], pruned)
    assert "please report" not in str(caught.value)


def test_integers_of_eight_bits_are_looked_at():
    text = """net (float[1,3,4,4] x) => (float[1,2,4,4] y) {
      q = QuantizeLinear(x, s, z)  d = DequantizeLinear(q, s, z)  a = Conv(d, w1)  r = Relu(a)
      y = Conv(r, w2) }"""
    weights = {
        "w1": normal(8, 3, 1, 1), "w2": normal(2, 8, 1, 1), "s": np.float32(0.02),
        "z": np.uint8(128),
    }  # fmt: skip
    reference, pruned = halved(text, weights)
    assert prove([reference], pruned).quiet == ()


def test_what_varies_in_a_single_place_is_exercised():
    text = """net (float[1,3,64,64] x) => (float[1,2,64,64] y) {
      a = Conv(x, w1, b1)  r = Mul(a, m)  y = Conv(r, w3) }"""
    mask = np.zeros((1, 1, 64, 64), np.float32)
    mask[..., 1, 1] = 1  # a first look takes rows in the middle
    weights = {"w1": LIVE["w1"], "b1": LIVE["b1"], "m": mask, "w3": normal(2, 8, 1, 1)}
    reference, pruned = halved(text, weights)
    found = prove([reference], pruned)
    assert (found.quiet, found.tried) == ((), 0)
