"""Metrics by the names that users give them."""

from __future__ import annotations

import pytest

from wrg_onnx.errors import DataError, UsageError
from wrg_onnx.evaluate.metrics import MAX_F, RELATIVE_ERROR, find_metric, suited_metric


@pytest.mark.parametrize("name", ["max F", "max_f", "MAX-F", " max f "])
def test_a_metric_is_found_however_it_is_spelt(name):
    assert find_metric(name) is MAX_F


def test_an_unknown_metric_is_refused_with_the_list():
    with pytest.raises(UsageError, match=r"one of 'MAE', 'max F', .* 'relative error', got 'psnr'"):
        find_metric("psnr")


def test_the_metric_follows_from_the_samples_unless_it_is_named():
    assert suited_metric(None, has_masks=True) is MAX_F
    assert suited_metric(None, has_masks=False) is RELATIVE_ERROR
    assert suited_metric("relative error", has_masks=True) is RELATIVE_ERROR


def test_a_metric_of_masks_needs_masks():
    with pytest.raises(DataError, match="'S-measure' holds saliency maps against masks"):
        suited_metric("S-measure", has_masks=False)
