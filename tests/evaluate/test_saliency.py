"""The six metrics against PySODMetrics' own classes, and finding the map in the outputs."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from wrg_onnx.evaluate.saliency import (
    score_saliency,
)
from wrg_onnx.graph.errors import DataError, MissingPackageError, StatisticsError

SIZE = (32, 48)


def blob(rng, height=40, width=56):
    """A mask with an object, and a map that is right in part."""
    mask = np.zeros((height, width), bool)
    row, column = rng.integers(0, height - 8), rng.integers(0, width - 8)
    mask[row : row + 8, column : column + 8] = True
    return np.clip(mask * 0.6 + rng.uniform(0, 0.5, mask.shape), 0, 1), mask


def test_the_six_metrics_are_those_of_pysodmetrics():
    sod = pytest.importorskip("py_sod_metrics")
    rng = np.random.default_rng(0)
    pairs = [blob(rng) for _ in range(4)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This class will be removed", UserWarning)
        f = sod.Fmeasure()
    mae, weighted_f, s, e = sod.MAE(), sod.WeightedFmeasure(), sod.Smeasure(), sod.Emeasure()
    for prediction, mask in pairs:
        levels = np.rint(prediction.astype(np.float32) * 255).astype(np.uint8)
        for metric in (mae, f, weighted_f, s, e):
            metric.step(levels, np.uint8(mask) * 255)
    scores = score_saliency(iter(pairs))
    assert scores.images == 4
    assert scores.mae == mae.get_results()["mae"]
    assert scores.max_f == pytest.approx(f.get_results()["fm"]["curve"].max(), rel=1e-12)
    assert scores.mean_f == pytest.approx(f.get_results()["fm"]["curve"].mean(), rel=1e-12)
    assert scores.weighted_f == weighted_f.get_results()["wfm"]
    assert scores.s_measure == s.get_results()["sm"]
    assert scores.max_e == e.get_results()["em"]["curve"].max()


def test_a_perfect_map_has_perfect_scores():
    pytest.importorskip("py_sod_metrics")
    _, mask = blob(np.random.default_rng(1))
    scores = score_saliency([(mask.astype(np.float32), mask)])
    assert scores.mae == 0
    for score in (scores.max_f, scores.weighted_f, scores.s_measure, scores.max_e):
        assert score == pytest.approx(1, abs=0.01)


def test_each_map_is_stretched_to_the_unit_interval():
    pytest.importorskip("py_sod_metrics")
    _, mask = blob(np.random.default_rng(1))
    faint = np.where(mask, 0.4, 0.2).astype(np.float32)
    assert score_saliency([(faint, mask)]) == score_saliency([(mask.astype(np.float32), mask)])
    constant = np.full(mask.shape, 0.2, np.float32)
    assert score_saliency([(constant, mask)]).mae == pytest.approx(
        0.2 * (1 - mask.mean()) + 0.8 * mask.mean()
    )


@pytest.mark.parametrize("where", [(0, 0), (-1, -1), (-1, 5), (5, -1)])
def test_an_object_of_one_pixel_at_the_border_has_finite_scores(where):
    pytest.importorskip("py_sod_metrics")
    mask = np.zeros((20, 30), bool)
    mask[where] = True
    noisy = np.random.default_rng(0).uniform(0, 0.3, mask.shape)
    noisy[where] = 1
    assert 0.4 < score_saliency([(noisy, mask)]).s_measure < 0.6
    assert score_saliency([(mask.astype(np.float32), mask)]).s_measure == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("full", [True, False])
def test_masks_of_one_value_have_finite_scores(full):
    pytest.importorskip("py_sod_metrics")
    mask = np.full((20, 30), full)
    scores = score_saliency([(np.random.default_rng(0).uniform(0, 1, mask.shape), mask)])
    assert np.isfinite([scores.mae, scores.max_f, scores.weighted_f, scores.s_measure]).all()


def test_a_smaller_map_is_resized_to_the_mask():
    pytest.importorskip("py_sod_metrics")
    mask = np.zeros((64, 96), bool)
    mask[16:48, 24:72] = True
    scores = score_saliency([(mask[::4, ::4].astype(np.float64), mask)])
    assert scores.max_f > 0.9


def test_what_cannot_be_scored_is_an_error():
    pytest.importorskip("py_sod_metrics")
    mask = np.ones((4, 4), bool)
    for value in (np.nan, 1.5, -0.1):
        prediction = np.zeros((4, 4), np.float32)
        prediction[1, 1] = value
        with pytest.raises(StatisticsError, match=r"must lie in \[0, 1\]"):
            score_saliency([(prediction, mask)])
    with pytest.raises(DataError, match="no image with a mask"):
        score_saliency([])


def test_a_missing_pysodmetrics_is_answered_with_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "py_sod_metrics", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'wrg-onnx\[metrics\]'"):
        score_saliency([])


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)
