"""Metrics per object, against PySODMetrics and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metric_cases import CASES, SHAPE, mask_of

from wrg_onnx.evaluate.size_invariance import score_objects

sod = pytest.importorskip("py_sod_metrics")


def levels_of(prediction):
    return np.rint(np.asarray(prediction, np.float32) * 255).astype(np.uint8)


def reference(levels, mask):
    """What PySODMetrics says of one image, brought together as its own tests do."""
    mae = sod.SizeInvarianceMAE()
    f = sod.SizeInvarianceFmeasureV2({"f": sod.FmeasureHandler(True, False, beta=0.3)})
    for metric in (mae, f):
        metric.step(levels, np.uint8(mask) * 255)
    (curves,) = f.get_results()["f"]["dynamic"]
    return mae.get_results()["si_mae"], curves.max(axis=-1).mean(), curves.mean()


def found(levels, mask):
    scores = score_objects(levels, mask)
    return scores.mae, scores.max_f, scores.mean_f


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_numbers_are_those_of_pysodmetrics(case):
    prediction, mask = case
    levels = levels_of(prediction)
    np.testing.assert_allclose(found(levels, mask), reference(levels, mask), rtol=1e-12, atol=1e-15)


@given(
    seed=st.integers(0, 1 << 32),
    share=st.sampled_from([0.001, 0.01, 0.5, 0.9]),
    cells=st.sampled_from([(2, 3), (5, 4), (6, 8)]),
)
def test_any_map_on_any_mask_has_the_numbers_of_pysodmetrics(seed, share, cells):
    rng = np.random.default_rng(seed)
    # An empty margin, or the boxes may cover the image, which PySODMetrics makes NaN of.
    blocks = rng.random(cells) < share
    mask = np.pad(blocks.repeat(9, axis=0).repeat(8, axis=1), 1)
    levels = levels_of(np.clip(rng.uniform(0, 1) * mask + rng.uniform(0, 0.5, mask.shape), 0, 1))
    np.testing.assert_allclose(found(levels, mask), reference(levels, mask), rtol=1e-12)


def test_two_objects_of_one_pixel_by_hand():
    mask = np.zeros((4, 5), bool)
    mask[0, 0] = mask[3, 4] = True
    levels = np.zeros((4, 5), np.uint8)
    levels[0, 0], levels[3, 4], levels[1, 2] = 255, 102, 51  # 1, 0.4 and, beside them, 0.2
    scores = score_objects(levels, mask)
    # Boxes: errors 0 and 0.6, weight 1 each. The rest: 0.2 over 18 pixels, weight 18 / 2.
    assert scores.mae == pytest.approx((0 + 0.6 + 9 * 0.2 / 18) / (2 + 9))
    # A box is all object: F is 1 up to its pixel's level. At threshold 0 all 20 pixels are marked.
    assert scores.max_f == 1
    assert scores.mean_f == pytest.approx(((255 + 102) / 2 + 1.3 / (0.3 + 20)) / 256)


def test_a_small_object_counts_as_much_as_a_large_one():
    large, small = (2, 40, 2, 40), (4, 12, 50, 60)
    mask = mask_of(large, small)
    without_small, without_large = (levels_of(mask_of(one)) for one in (large, small))
    # One is found; of the other threshold 0 alone finds anything, with all that is not object.
    for missed, area in ((without_small, 80), (without_large, 38 * 38)):
        lone = 1.3 * area / (0.3 * area + mask.size)
        assert score_objects(missed, mask).max_f == pytest.approx((1 + lone) / 2)


def test_a_perfect_map_is_perfect_for_every_object():
    mask = mask_of((2, 40, 2, 40), (4, 12, 50, 60))
    scores = score_objects(levels_of(mask), mask)
    assert (scores.mae, scores.max_f) == (0, 1)


def test_a_mask_that_fills_the_image_is_one_object():
    levels = levels_of(np.random.default_rng(0).uniform(0, 1, SHAPE))
    levels[0, :2] = 0, 255
    mae, max_f, mean_f = found(levels, np.ones(SHAPE, bool))
    assert mae == pytest.approx(1 - levels.mean() / 255)
    assert max_f == 1
    assert 0.4 < mean_f < 0.8


def test_boxes_that_cover_the_image_leave_no_rest_to_weigh():
    mask = mask_of((0, 48, 0, 2), (0, 2, 0, 64), (46, 48, 0, 64), (0, 48, 62, 64))
    levels = levels_of(mask * 0.5)
    levels[mask] = 255
    levels[20, 20:40] = 255
    assert found(levels, mask)[0] == pytest.approx(20 / mask.size)


def test_more_objects_than_a_float_has_bits_are_told_apart():
    mask = np.zeros((130, 130), bool)
    mask[np.add.outer(np.arange(0, 130, 13), np.arange(10)).ravel()] = True
    mask[:, np.arange(12, 130, 13)] = False
    mask[:, np.arange(11, 130, 13)] = False
    mask[:, np.arange(10, 130, 13)] = False  # 100 squares of 10 x 10
    half = mask.copy()
    half[:65] = False
    scores = score_objects(levels_of(half), mask)
    assert scores.max_f == pytest.approx(0.5, abs=0.01)
