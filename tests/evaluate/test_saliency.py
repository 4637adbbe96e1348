"""The metrics of a data set against PySODMetrics' own classes."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from metric_cases import CASES
from PIL import Image

from wrg_onnx.errors import DataError, MissingPackageError, StatisticsError
from wrg_onnx.evaluate.saliency import score_saliency

PAIRS = Path(__file__).parents[3] / "shared" / "data" / "saliency"

SIZE = (32, 48)


def blob(rng, height=40, width=56):
    """A mask with an object, and a map that is right in part."""
    mask = np.zeros((height, width), bool)
    row, column = rng.integers(0, height - 8), rng.integers(0, width - 8)
    mask[row : row + 8, column : column + 8] = True
    return np.clip(mask * 0.6 + rng.uniform(0, 0.5, mask.shape), 0, 1), mask


def reference(pairs):
    """What PySODMetrics says of maps and masks."""
    sod = pytest.importorskip("py_sod_metrics")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This class will be removed", UserWarning)
        f = sod.Fmeasure()
    mae, weighted_f, s, e = sod.MAE(), sod.WeightedFmeasure(), sod.Smeasure(), sod.Emeasure()
    si_mae = sod.SizeInvarianceMAE()
    si_f = sod.SizeInvarianceFmeasureV2({"f": sod.FmeasureHandler(True, False, beta=0.3)})
    for prediction, mask in pairs:
        levels = np.rint(prediction.astype(np.float32) * 255).astype(np.uint8)
        for metric in (mae, f, weighted_f, s, e, si_mae, si_f):
            metric.step(levels, np.uint8(mask) * 255)
    curve, by_object = f.get_results()["fm"]["curve"], si_f.get_results()["f"]["dynamic"]
    return {
        "mae": mae.get_results()["mae"],
        "max_f": curve.max(),
        "mean_f": curve.mean(),
        "weighted_f": weighted_f.get_results()["wfm"],
        "s_measure": s.get_results()["sm"],
        "max_e": e.get_results()["em"]["curve"].max(),
        "si_mae": si_mae.get_results()["si_mae"],
        "si_max_f": np.mean([curves.max(axis=-1).mean() for curves in by_object]),
        "si_mean_f": np.mean([curves.mean() for curves in by_object]),
        "images": len(pairs),
    }


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_metric_of_an_image_is_that_of_pysodmetrics(case):
    found = dataclasses.asdict(score_saliency([case]))
    with warnings.catch_warnings():
        # What it makes of the S-measure of an object in the last corner.
        warnings.filterwarnings("ignore", "Mean of empty slice|invalid value", RuntimeWarning)
        expected = reference([case])
    if np.isnan(expected["s_measure"]):
        assert case[1][-1, -1]
        assert 0 <= found["s_measure"] <= 1
        del expected["s_measure"], found["s_measure"]
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_the_metrics_of_a_data_set_are_those_of_pysodmetrics():
    rng = np.random.default_rng(0)
    pairs = [blob(rng) for _ in range(4)] + [CASES["sizes apart, noisy"], CASES["none, noise"]]
    scores = score_saliency(iter(pairs))
    assert scores.images == 6
    assert dataclasses.asdict(scores) == pytest.approx(reference(pairs), rel=1e-12)


def test_an_image_without_an_object_has_no_f_measure_whatever_the_map():
    pytest.importorskip("py_sod_metrics")
    for how in ("noise", "constant", "zero", "full"):
        prediction, mask = CASES[f"none, {how}"]
        scores = score_saliency([(prediction, mask)])
        of_f = (scores.max_f, scores.mean_f, scores.weighted_f, scores.si_max_f, scores.si_mean_f)
        assert of_f == (0, 0, 0, 0, 0)
        assert scores.si_mae == scores.mae
        assert scores.s_measure == pytest.approx(1 - scores.mae)
        levels = np.rint(prediction * 255)
        brightest = 255 if np.ptp(levels) == 0 else levels.max()
        assert scores.max_e == pytest.approx((levels < brightest).mean(), rel=1e-3)


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


@pytest.mark.parametrize("name", ["SOD300", "SIRST-V2", "MT-Defect", "DAVIS2016-val"])
def test_real_masks_have_finite_scores(name):
    pytest.importorskip("py_sod_metrics")
    files = sorted((PAIRS / name / "masks").glob("*.png"))
    if not files:
        pytest.skip(f"{PAIRS / name} is not there")
    pairs = []
    for file in files[:: max(1, len(files) // 40)]:
        mask = np.asarray(Image.open(file).convert("L")) > 127
        image = Image.open(next((PAIRS / name / "images").glob(f"{file.stem}.*"))).convert("L")
        pairs.append((np.asarray(image.resize(mask.shape[::-1])) / 255, mask))
    values = dataclasses.asdict(score_saliency(pairs))
    assert values.pop("images") == len(pairs) >= 40
    assert all(0 <= value <= 1 for value in values.values()), values
