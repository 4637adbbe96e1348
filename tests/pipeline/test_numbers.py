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
