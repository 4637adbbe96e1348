"""Changes of metrics and their intervals, from the results of each image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wrg_onnx.evaluate.agreement import Agreement, OutputErrors
from wrg_onnx.evaluate.bootstrap import FEWEST_IMAGES, PerImage, measure_change, measure_changes
from wrg_onnx.evaluate.image_scores import MEANS, ImageRow, ImageScores
from wrg_onnx.evaluate.metrics import MAX_F, RELATIVE_ERROR, SALIENCY_METRICS, find_metric
from wrg_onnx.evaluate.saliency import SaliencyTotals

RNG = np.random.default_rng(0)


def maps(count):
    """Yield maps and masks of some images."""
    rng = np.random.default_rng(1)
    for number in range(count):
        mask = np.zeros((24, 24), bool)
        mask[3 + number % 7 : 12, 4:15] = True
        yield np.clip(mask * 0.6 + rng.random((24, 24)) * 0.5, 0, 1).astype(np.float32), mask


def totals_of(pairs):
    totals = SaliencyTotals()
    for pair in pairs:
        totals.add(*pair)
    return totals


def scores(values):
    """Make scores whose means are these values of each image, and whose curves begin with them."""
    curve = np.linspace(1, 0, 256)
    rows = [ImageRow(dict.fromkeys(MEANS, v), {"f": v * curve, "e": v * curve}) for v in values]
    return ImageScores.of(rows)


def judged(before, after):
    return PerImage(len(before), scores(before), scores(after), ())


@pytest.mark.parametrize("metric", SALIENCY_METRICS, ids=lambda metric: metric.name)
def test_a_choice_of_images_scores_as_a_data_set_of_them(metric):
    pairs = list(maps(4))
    per_image = totals_of(pairs).per_image()
    for counts in ([1, 1, 1, 1], [2, 0, 1, 1], [0, 3, 0, 1]):
        chosen = [pair for pair, count in zip(pairs, counts, strict=True) for _ in range(count)]
        (found,) = per_image.resampled(metric.name, np.array([counts], float))
        assert found == pytest.approx(getattr(totals_of(chosen).scores(), metric.name), abs=1e-12)


def test_the_same_model_does_not_change_for_certain():
    values = RNG.random(30)
    change = measure_change(judged(values, values), MAX_F, np.random.default_rng(0))
    assert (change.drop, change.low, change.high, change.may_be_none) == (0, 0, 0, True)


def test_an_even_drop_has_an_interval_of_no_width():
    values = RNG.random(30) + 0.2
    change = measure_change(judged(values, values - 0.1), MAX_F, np.random.default_rng(0))
    assert change.drop == pytest.approx(0.1)
    assert (change.low, change.high) == (pytest.approx(-0.1), pytest.approx(-0.1))
    assert change.worst == pytest.approx(0.1)
    assert not change.may_be_none


def test_an_error_that_rises_is_a_drop():
    change = measure_change(
        judged(np.full(20, 0.1), np.full(20, 0.3)), find_metric("MAE"), np.random.default_rng(0)
    )
    assert (change.change, change.drop, change.worst) == pytest.approx((0.2, 0.2, 0.2))


def test_max_f_of_a_draw_is_the_largest_value_of_its_own_curve():
    # Each image is best at a threshold of its own: the mean over images of their best would be 1.
    peaks = [np.eye(256)[10 * number] for number in range(12)]
    zeros = dict.fromkeys(MEANS, 0.0)
    rows = ImageScores.of([ImageRow(zeros, {"f": curve, "e": curve}) for curve in peaks])
    one_image_alone = np.eye(12)[:1]
    assert rows.resampled("max_f", one_image_alone) == pytest.approx([1.0])
    assert rows.resampled("max_f", np.ones((1, 12))) == pytest.approx([1 / 12])
    assert rows.value("max_f") == pytest.approx(1 / 12)


def test_few_images_have_no_interval():
    few, enough = FEWEST_IMAGES - 1, FEWEST_IMAGES
    change = measure_change(judged(np.ones(few), np.zeros(few)), MAX_F, np.random.default_rng(0))
    assert (change.low, change.high, change.worst, change.may_be_none) == (None, None, None, True)
    assert change.drop == pytest.approx(1)
    change = measure_change(
        judged(np.ones(enough), np.zeros(enough)), MAX_F, np.random.default_rng(0)
    )
    assert change.low == pytest.approx(-1)


def test_the_interval_holds_the_true_change_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        before = rng.random(40)
        after = before - rng.normal(0.05, 0.1, 40)
        change = measure_change(judged(before, after), find_metric("S-measure"), rng)
        held += change.low <= -0.05 <= change.high
    assert 0.88 <= held / 200 <= 0.99


def test_pairs_of_the_same_image_stay_together():
    # Images differ far more than the models do on any of them.
    before = RNG.random(50)
    change = measure_change(
        judged(before, before - 0.01 - 0.001 * RNG.random(50)),
        find_metric("S-measure"), np.random.default_rng(0),
    )  # fmt: skip
    assert change.high - change.low < 0.001


def test_the_same_seed_gives_the_same_interval():
    values, others = RNG.random(30), RNG.random(30)
    first, second = (
        measure_change(judged(values, others), MAX_F, np.random.default_rng(3)) for _ in range(2)
    )
    assert first == second


# --- models without a saliency map ------------------------------------------------------------


def test_the_relative_error_is_that_of_the_output_furthest_off():
    agreement = Agreement()
    for _ in range(12):
        a, b = RNG.random(5), RNG.random(4)
        agreement.add({"a": a, "b": b}, {"a": a * 1.1, "b": b * 0.5})
    found = PerImage(12, None, None, agreement.per_sample())
    change = measure_change(found, RELATIVE_ERROR, np.random.default_rng(0))
    assert (change.before, change.after, change.drop) == pytest.approx((0, 0.5, 0.5))
    assert (change.low, change.high) == pytest.approx((0.5, 0.5))
    assert agreement.outputs()[1].relative_error == pytest.approx(change.after)


def test_what_cannot_be_compared_in_a_sample_adds_nothing():
    agreement = Agreement()
    agreement.add({"a": np.ones(3)}, {"a": np.ones(2)})
    agreement.add({"a": np.ones(3)}, {"a": np.full(3, 2.0)})
    (one,) = agreement.per_sample()
    assert one.difference.tolist() == [0, 3]
    assert one.reference.tolist() == [0, 3]


def test_a_nan_on_one_side_is_infinitely_far():
    errors = (OutputErrors("a", np.zeros(12), np.ones(12), broken=True),)
    change = measure_change(
        PerImage(12, None, None, errors), RELATIVE_ERROR, np.random.default_rng(0)
    )
    assert (change.after, change.low, change.high) == (math.inf, math.inf, math.inf)


def test_every_metric_has_its_change_from_the_same_draws():
    found = measure_changes(judged(RNG.random(30), RNG.random(30)), seed=5)
    assert [one.metric for one in found] == [metric.title for metric in SALIENCY_METRICS]
    both = judged(RNG.random(30), RNG.random(30))
    alone = measure_change(both, MAX_F, np.random.default_rng(5))
    assert alone in measure_changes(both, seed=5)


def test_without_masks_the_error_is_the_only_change():
    errors = OutputErrors("out", RNG.random(12), np.ones(12), broken=False)
    (found,) = measure_changes(PerImage(12, None, None, (errors,)), seed=0)
    assert found.metric == RELATIVE_ERROR.title
    assert found.low < found.after < found.high
