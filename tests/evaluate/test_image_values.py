"""Two models on the same images: how their metrics differ, and how certain that is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wrg_onnx.evaluate.bootstrap import PerImage
from wrg_onnx.evaluate.image_scores import MEANS, ImageRow, ImageScores
from wrg_onnx.evaluate.image_values import ImageValues, image_values, paired_changes
from wrg_onnx.evaluate.metrics import MAX_F, RELATIVE_ERROR, SALIENCY_METRICS

RNG = np.random.default_rng(0)


def random_scores(images):
    """Make scores whose curves have their peaks at other thresholds in each image."""
    rows = [
        ImageRow(
            {name: RNG.random() for name in MEANS}, {name: RNG.random(256) for name in ("f", "e")}
        )
        for _ in range(images)
    ]
    return ImageScores.of(rows)


def values_of(scores, digest="same"):
    return image_values(PerImage(len(scores), None, scores, (), digest))


def constant(values, digest="same", metric="MAE"):
    return ImageValues(digest, len(values), {metric: tuple(values)})


@pytest.mark.parametrize("metric", SALIENCY_METRICS, ids=lambda metric: metric.name)
def test_the_mean_of_the_values_is_the_metric(metric):
    scores = random_scores(12)
    found = values_of(scores).values[metric.title]
    assert np.mean(found) == pytest.approx(scores.value(metric.name), abs=1e-4)
    assert len(found) == 12


def test_a_metric_can_be_asked_for_and_one_without_masks_has_no_values():
    judged = PerImage(12, None, random_scores(12), (), "same")
    assert set(image_values(judged, (MAX_F,)).values) == {"max F"}
    assert image_values(judged, (RELATIVE_ERROR,)).values == {}
    assert image_values(dataclasses.replace(judged, after=None)).values == {}


def test_a_change_that_every_image_has_is_certain_however_images_differ():
    first = RNG.random(30)
    (change,) = paired_changes(constant(first), constant(first - 0.01))
    assert (change.low, change.high) == pytest.approx((-0.01, -0.01))
    assert change.drop == pytest.approx(-0.01)  # of an error less is better
    assert not change.may_be_none


def test_the_interval_is_as_wide_as_the_differences_ask_for():
    differences = RNG.normal(0.0, 0.1, 400)
    first = RNG.random(400)
    (change,) = paired_changes(constant(first), constant(first + differences))
    error = differences.std() / 20
    assert change.low == pytest.approx(differences.mean() - 1.96 * error, abs=0.15 * error)
    assert change.high == pytest.approx(differences.mean() + 1.96 * error, abs=0.15 * error)


def test_other_images_do_not_pair():
    first = constant(RNG.random(30))
    assert [*paired_changes(first, dataclasses.replace(first, sha256="other"))] == []
    unknown = dataclasses.replace(first, sha256="")
    assert [*paired_changes(unknown, unknown)] == []


def test_of_few_images_there_is_a_change_and_no_interval():
    (change,) = paired_changes(constant([0.1] * 9), constant([0.2] * 9))
    assert change.change == pytest.approx(0.1)
    assert (change.low, change.high, change.images) == (None, None, 9)


def test_metrics_that_one_of_both_has_not_are_left_out():
    first, second = values_of(random_scores(12)), constant([0.5] * 12)
    assert [one.metric for one in paired_changes(first, second)] == ["MAE"]
