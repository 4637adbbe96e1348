"""Weights that are no numbers are named before anything runs; dead models are said to be so."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from strategies import SALIENCY_NET, SALIENCY_WEIGHTS, build, normal

import wrg_onnx
from wrg_onnx.errors import ModelError, ValidationError
from wrg_onnx.pipeline import prune as stages
from wrg_onnx.rewrite import alone

L1 = {"ratio": 0.4, "criterion": "l1", "recover": "none", "provider": "cpu"}
REPAIR = {"ratio": 0.4, "samples": 4, "evaluate": False, "cache": False, "provider": "cpu"}


def with_holes(dtype=np.float32):
    weights = {name: array.astype(dtype) for name, array in SALIENCY_WEIGHTS.items()}
    weights["w2"][0, :2, 0, 0] = np.nan
    weights["w3"][0, 0] = np.inf
    weights["w3"][1, :3] = -np.inf
    return weights


@pytest.mark.parametrize("options", [L1, REPAIR], ids=["l1", "repair"])
def test_nan_and_infinity_in_weights_are_named_and_counted(options):
    with pytest.raises(ModelError) as caught:
        wrg_onnx.prune(build(SALIENCY_NET, with_holes()), **options)
    assert "weight 'w2' holds 2 NaN of 864 numbers" in str(caught.value)
    assert "weight 'w3' holds 4 infinite of 96 numbers" in str(caught.value)


def test_so_are_those_of_half_precision():
    text = SALIENCY_NET.replace("float[", "float16[")
    with pytest.raises(ModelError, match="'w2' holds 2 NaN of 864"):
        wrg_onnx.prune(build(text, with_holes(np.float16)), **L1)


def test_they_are_named_before_anything_runs(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("samples were opened")

    monkeypatch.setattr(stages, "open_samples", refuse)
    with pytest.raises(ModelError, match="2 NaN"):
        wrg_onnx.prune(build(SALIENCY_NET, with_holes()), **REPAIR)


def test_a_sum_that_overflows_is_no_infinity():
    large = {**SALIENCY_WEIGHTS, "w1": np.full((12, 3, 3, 3), 3e37, np.float32)}
    report = wrg_onnx.prune(build(SALIENCY_NET, large), **L1).report
    assert report.removed > 0


def test_a_mask_of_minus_infinity_is_left_alone():
    text = """net (float[1,3,4,4] x) => (float[1,4,2,4] y) {
      a = Conv(x, w1)  r = Relu(a)  b = Conv(r, w2)  c = Slice(b, s, e, ax)  m = Add(c, mask)
      y = Softmax<axis = 3>(m) }"""
    mask = np.where(np.arange(4) > 1, -np.inf, 0).astype(np.float32)
    weights = {
        "w1": normal(8, 3, 1, 1), "w2": normal(4, 8, 1, 1), "mask": mask, "s": np.array([0]),
        "e": np.array([2]), "ax": np.array([2]),
    }  # fmt: skip
    assert wrg_onnx.prune(build(text, weights), **L1).report.removed > 0


NORMED = """net (float[1,3,4,4] x) => (float[1,4,4,4] y) {
  a = Conv(x, w1, b1)  n = BatchNormalization(a, s, b, m, v)  r = Relu(n)  t = Add(r, add)
  y = Conv(t, w2) }"""


def normed(name="", place=0, number=0.0, dtype=np.float32):
    """The constants of ``NORMED``, with one number of one of them replaced."""
    weights = {
        "w1": normal(8, 3, 1, 1), "b1": normal(8), "s": np.ones(8), "b": np.zeros(8),
        "m": np.zeros(8), "v": np.ones(8), "w2": normal(4, 8, 1, 1), "add": np.ones((8, 1, 1)),
    }  # fmt: skip
    weights = {key: array.astype(dtype) for key, array in weights.items()}
    if name:
        weights[name].reshape(-1)[place] = number
    return weights


HOLES = [("b1", np.nan), ("add", np.nan), *((name, np.nan) for name in "sbmv"),
         *((name, number) for name in "smv" for number in (np.inf,)), ("s", -np.inf)]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float16], ids=["float32", "float16"])
@pytest.mark.parametrize(("name", "number"), HOLES, ids=[f"{n} {h}" for n, h in HOLES])
def test_so_are_those_of_biases_and_normalisations(name, number, dtype):
    text = NORMED if dtype == np.float32 else NORMED.replace("float[", "float16[")
    what = "NaN" if np.isnan(number) else "infinite"
    with pytest.raises(ModelError, match=f"weight '{name}' holds 1 {what} of 8 numbers"):
        wrg_onnx.prune(build(text, normed(name, 2, number, dtype)), **L1)


def test_a_variance_below_0_is_refused_where_its_root_is_no_number():
    with pytest.raises(ModelError, match=r"'v' of BatchNorm.* holds 1 below 0 of 8 numbers"):
        wrg_onnx.prune(build(NORMED, normed("v", 2, -1)), **L1)
    for number in (0, -1e-6):  # beside an epsilon of 1e-5
        assert wrg_onnx.prune(build(NORMED, normed("v", 2, number)), **L1).report.removed > 0


@pytest.mark.parametrize(("scale", "fits"), [(0.1, True), (np.nan, False)], ids=["fits", "NaN"])
def test_so_is_the_single_scale_of_a_layer_of_integers(scale, fits):
    text = """net (float[1,3,4,4] x) => (float[1,4,4,4] y) {
      i = QuantizeLinear(x, q, z)  a = QLinearConv(i, q, z, w, s, z, q, z)
      r = DequantizeLinear(a, q, z)  y = Conv(r, v) }"""
    whole = np.random.default_rng(0).integers(-9, 9, (8, 3, 1, 1)).astype(np.int8)
    weights = {
        "q": np.float32(0.1), "z": np.int8(0), "s": np.float32(scale), "w": whole,
        "v": normal(4, 8, 1, 1),
    }  # fmt: skip
    if fits:
        assert wrg_onnx.prune(build(text, weights), **L1).report.removed > 0
        return
    with pytest.raises(ModelError, match="weight 's' holds 1 NaN of 1 numbers"):
        wrg_onnx.prune(build(text, weights), **L1)


@pytest.mark.parametrize("name", ["b1", "b", "add"])
def test_a_bias_that_rules_a_channel_out_is_left_alone(name):
    report = wrg_onnx.prune(build(NORMED, normed(name, 2, -np.inf)), **L1).report
    assert report.removed > 0


def test_what_is_chosen_or_compared_may_be_none():
    text = """net (float[1,3,4,4] x) => (float[1,4,4,4] y) {
      a = Conv(x, w1)  c = Clip(a, low, high)  k = Greater(c, low)  s = Where(k, c, none)
      i = IsNaN(s)  t = Where(i, c, s)  m = Add(t, one)  u = Where(k, c, m)  y = Conv(u, w2) }"""
    weights = {
        "w1": normal(8, 3, 1, 1), "w2": normal(4, 8, 1, 1), "low": np.float32(-np.inf),
        "high": np.float32(np.inf), "one": np.float32([np.nan]),
        "none": np.full((1, 8, 1, 1), np.nan, np.float32),
    }  # fmt: skip
    assert wrg_onnx.prune(build(text, weights), **L1).report.removed > 0


OVERFLOWS = SALIENCY_NET.replace("y = Sigmoid(z)", "l = Log(none)  y = Add(z, l)")


def test_an_output_that_is_nowhere_finite_is_refused_by_a_strict_run_alone(tmp_path):
    model = build(OVERFLOWS, {**SALIENCY_WEIGHTS, "none": -np.ones(1, np.float32)})
    assert wrg_onnx.prune(model, **L1).report.equivalence.infinite == ("y",)
    with pytest.raises(ValidationError, match="makes no finite number in 'y'") as caught:
        wrg_onnx.prune(model, tmp_path / "m.onnx", strict=True, **L1)
    assert caught.value.exit_code == 3
    assert not (tmp_path / "m.onnx").exists()


ZEROS = {name: np.zeros_like(array) for name, array in SALIENCY_WEIGHTS.items()}


@pytest.mark.parametrize("options", [L1, REPAIR], ids=["l1", "repair"])
def test_of_a_model_of_zeros_there_is_nothing_to_prove(options, tmp_path):
    result = wrg_onnx.prune(build(SALIENCY_NET, ZEROS), tmp_path / "zeros.onnx", **options)
    assert "there is nothing to prove" in str(result)
    assert "please report" not in str(result)
    onnx.checker.check_model(str(tmp_path / "zeros.onnx"), full_check=True)


def test_strict_refuses_a_model_of_zeros(tmp_path):
    path = tmp_path / "zeros.onnx"
    with pytest.raises(ValidationError, match="nothing to prove") as caught:
        wrg_onnx.prune(build(SALIENCY_NET, ZEROS), path, strict=True, **L1)
    assert "please report" not in str(caught.value)
    assert not path.exists()


DEAD = {
    **SALIENCY_WEIGHTS,
    "w1": np.zeros((12, 3, 3, 3), np.float32),
    "b1": np.full(12, -1, np.float32),
}


@pytest.mark.parametrize("options", [L1, REPAIR], ids=["l1", "repair"])
def test_the_headline_names_layers_behind_a_dead_one(options):
    result = wrg_onnx.prune(build(SALIENCY_NET, DEAD), **options)
    said = " ".join(str(result).split())
    assert "Not exercised by" in said
    assert "Conv 'Conv_2'" in said
    found = result.report.equivalence
    assert found.alone == found.changed > len(found.quiet)
    assert f"each of {found.alone} changed nodes by itself too" in said


def test_a_dead_layer_whose_readers_agree_by_themselves_passes_a_strict_run():
    report = wrg_onnx.prune(build(SALIENCY_NET, DEAD), strict=True, **L1).report
    assert report.equivalence.quiet
    assert not report.equivalence.unexercised


def test_what_nothing_shows_right_is_noted_and_refused_by_a_strict_run(monkeypatch, tmp_path):
    monkeypatch.setattr(alone, "MOST_DRAWN_BYTES", 0)
    result = wrg_onnx.prune(build(SALIENCY_NET, DEAD), tmp_path / "dead.onnx", **L1)
    left = result.report.equivalence.unexercised
    assert left == ("Conv 'Conv_2'", "Conv 'Conv_3'")
    said = " ".join(str(result).split())
    assert "Nothing shows that Conv 'Conv_2', Conv 'Conv_3' are right: they read channels" in said
    assert "Note: nothing shows that Conv 'Conv_2', Conv 'Conv_3' are cut right" in said
    with pytest.raises(ValidationError, match="does not exercise Conv 'Conv_2'") as caught:
        wrg_onnx.prune(build(SALIENCY_NET, DEAD), tmp_path / "no.onnx", strict=True, **L1)
    assert caught.value.exit_code == 3
    assert not (tmp_path / "no.onnx").exists()


def test_a_constant_output_alone_is_told_and_written():
    text = SALIENCY_NET.replace("y = Sigmoid(z)", "n = Mul(z, none)  y = Sigmoid(n)")
    weights = {**SALIENCY_WEIGHTS, "none": np.zeros(1, np.float32)}
    report = wrg_onnx.prune(build(text, weights), **L1).report
    assert report.equivalence.silent == ("y",)
    assert report.equivalence.tensors > 0
