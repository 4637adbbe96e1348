"""What layers read is too large, too small, the same everywhere or in half precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
from strategies import SALIENCY_NET, SALIENCY_WEIGHTS, build

import wrg_onnx
from wrg_onnx.errors import StatisticsError


def pruned(weights, text=SALIENCY_NET, **options):
    short = {"ratio": 0.4, "samples": 4, "evaluate": False, "cache": False, "provider": "cpu"}
    return wrg_onnx.prune(build(text, weights), **{**short, **options}).report


def told(report, words):
    return [note for note in report.notes if words in note]


def scaled(factor, *names):
    return {
        **SALIENCY_WEIGHTS,
        **{name: SALIENCY_WEIGHTS[name] * np.float32(factor) for name in names},
    }


@pytest.mark.parametrize("factor", [1e18, 1e30, 1e37])
def test_numbers_whose_squares_overflow_are_refused_in_one_sentence(factor):
    with pytest.raises(StatisticsError, match=r"that makes '[dz]' .* too large for float32 to"):
        pruned(scaled(factor, "w1"))


def test_large_numbers_are_solved_for():
    assert all(math.isfinite(fit.after) for fit in pruned(scaled(1e10, "w1")).recovery.fits)


@pytest.mark.parametrize("factor", [1e-15, 1e-18, 1e-20, 1e-22, 1e-30, 1e-42])
def test_numbers_whose_squares_vanish_count_as_constant_and_it_is_told(factor):
    report = pruned(scaled(factor, "w1", "b1"))
    assert told(report, "read the same at every place of every image")
    assert report.equivalence.error <= report.equivalence.tolerance


def test_a_covariance_that_cannot_be_inverted_is():
    twins = {name: np.repeat(SALIENCY_WEIGHTS[name][:6], 2, axis=0) for name in ("w1", "b1")}
    report = pruned({**SALIENCY_WEIGHTS, **twins}, ratio=0.45, budget="macs")
    assert all(fit.after < 1e-3 for fit in report.recovery.fits if fit.layer in ("d", "e"))
    assert all(fit.after <= fit.before for fit in report.recovery.fits)


def test_a_single_image_gives_a_choice_and_biases_alone():
    report = pruned(SALIENCY_WEIGHTS, samples=1)
    assert told(report, "the biases alone were recovered")
    assert report.removed > 0


def in_half(weights):
    return {name: array.astype(np.float16) for name, array in weights.items()}


def test_a_model_in_half_precision_is_measured_and_stays_one():
    text = SALIENCY_NET.replace("float[", "float16[")
    result = wrg_onnx.prune(
        build(text, in_half(SALIENCY_WEIGHTS)),
        ratio=0.4, samples=4, evaluate=False, cache=False, provider="cpu",
    )  # fmt: skip
    whole = pruned(SALIENCY_WEIGHTS)
    assert result.report.reached == pytest.approx(whole.reached, abs=0.05)
    assert len(result.report.recovery.fits) == len(whole.recovery.fits)
    for half, fit in zip(result.report.recovery.fits, whole.recovery.fits, strict=True):
        assert half.after == pytest.approx(fit.after, abs=0.05)
    held = result.model.graph.initializer
    assert {tensor.data_type for tensor in held if tensor.dims} == {10}


def test_a_model_in_half_precision_that_overflows_is_refused():
    large = {
        **SALIENCY_WEIGHTS,
        "w1": SALIENCY_WEIGHTS["w1"] * 3e3,
        "w2": SALIENCY_WEIGHTS["w2"] * 1e2,
    }
    with pytest.raises(StatisticsError, match="NaN or infinity"):
        pruned(in_half(large), SALIENCY_NET.replace("float[", "float16["))
