"""The best, median and worst of the images that were judged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wrg_onnx.evaluate.agreement import OutputErrors
from wrg_onnx.evaluate.bootstrap import PerImage
from wrg_onnx.evaluate.examples import largest_f, ordered_by, pick_images
from wrg_onnx.evaluate.image_scores import MEANS, ImageRow, ImageScores

EVEN = np.linspace(1, 0, 256)


def scores(values):
    rows = [ImageRow(dict.fromkeys(MEANS, v), {"f": v * EVEN, "e": v * EVEN}) for v in values]
    return ImageScores.of(rows)


def errors(values, *, broken=False):
    squares = np.square(np.array(values, float))
    return OutputErrors("out", squares, np.ones(len(values)), broken)


def test_with_masks_images_are_ordered_by_how_far_their_largest_f_fell():
    before, after = [0.9, 0.8, 0.7, 0.6, 0.5], [0.85, 0.9, 0.2, 0.6, 0.4]
    found = PerImage(5, scores(before), scores(after), (errors([1, 2, 3, 4, 5]),))
    assert ordered_by(found) == "max_f"
    assert [(one.place, one.index) for one in pick_images(found)] == [
        ("best", 1), ("median", 0), ("worst", 2),
    ]  # fmt: skip
    assert [one.drop for one in pick_images(found)] == pytest.approx([-0.1, 0.05, 0.5])
    assert [one.error for one in pick_images(found)] == pytest.approx([2, 1, 3])
    np.testing.assert_allclose(largest_f(found.before), before)


def test_without_masks_images_are_ordered_by_the_output_that_is_furthest_off():
    found = PerImage(3, None, None, (errors([0.1, 0.2, 0.3]), errors([0.5, 0.0, 0.0])))
    assert ordered_by(found) == "error"
    picked = pick_images(found)
    assert [(one.place, one.index) for one in picked] == [("best", 1), ("median", 2), ("worst", 0)]
    assert [one.error for one in picked] == pytest.approx([0.2, 0.3, 0.5])
    assert {one.drop for one in picked} == {None}


@pytest.mark.parametrize(
    ("images", "places"),
    [
        (1, [("best", 0)]), (2, [("best", 0), ("worst", 1)]),
        (3, [("best", 0), ("median", 1), ("worst", 2)]),
        (4, [("best", 0), ("median", 1), ("worst", 3)]),
    ],
)  # fmt: skip
def test_each_of_a_few_images_is_picked_once_and_of_equals_the_first_is_better(images, places):
    found = PerImage(images, None, None, (errors([0.5] * images),))
    assert [(one.place, one.index) for one in pick_images(found)] == places


def test_an_error_that_is_no_number_is_infinite():
    found = PerImage(3, None, None, (errors([0.1, 0.2, 0.3], broken=True),))
    assert {one.error for one in pick_images(found)} == {math.inf}


def test_a_model_without_outputs_of_numbers_has_no_error():
    assert [one.error for one in pick_images(PerImage(2, None, None, ()))] == [0, 0]
