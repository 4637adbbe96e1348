"""How the search for the largest cut is told."""

from __future__ import annotations

import pytest

from wrg_onnx.evaluate.bootstrap import Change
from wrg_onnx.report.search import interval, short, signed, spoken_change


@pytest.mark.parametrize(
    ("value", "text"), [(0.912, ".912"), (1.0, "1.000"), (12.3, "12.300"), (0.0, ".000")]
)
def test_a_metric_has_three_decimals(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0071, "+.007"), (-0.0071, "-.007"), (-0.0001, "+.000"), (-1.5, "-1.500")],
)
def test_a_change_has_its_sign_and_none_where_it_rounds_to_nothing(value, text):
    assert signed(value) == text


def test_a_change_is_told_with_its_interval_and_images():
    change = Change("max F", 0.912, 0.905, 0.007, -0.012, -0.002, 174)
    assert spoken_change(change) == (
        "max F .912 -> .905 (-.007; 95 % interval -.012 to -.002, 174 images)"
    )


def test_where_images_are_too_few_that_is_told():
    change = Change("max F", 0.912, 0.905, 0.007, None, None, 1)
    assert spoken_change(change) == "max F .912 -> .905 (-.007; 1 image, too few for an interval)"
    assert interval(change) == "-"
