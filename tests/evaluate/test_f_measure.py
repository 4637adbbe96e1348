"""The largest F-measure alone is the one among all metrics."""

from __future__ import annotations

import numpy as np
import pytest
from metric_cases import CASES

from wrg_onnx.errors import DataError, StatisticsError
from wrg_onnx.evaluate.f_measure import LargestF
from wrg_onnx.evaluate.saliency import score_saliency


def largest(pairs):
    totals = LargestF()
    for prediction, mask in pairs:
        totals.add(prediction, mask)
    return totals.value()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_of_one_image_it_is_that_of_the_judge(case):
    pytest.importorskip("py_sod_metrics")
    assert largest([case]) == pytest.approx(score_saliency([case]).max_f, rel=1e-12, abs=1e-15)


def test_of_a_data_set_the_curve_is_averaged_before_the_largest_is_taken():
    pytest.importorskip("py_sod_metrics")
    pairs = [CASES["sizes apart, noisy"], CASES["none, noise"], *list(CASES.values())[:4]]
    assert largest(pairs) == pytest.approx(score_saliency(pairs).max_f, rel=1e-12)
    assert largest(pairs) < np.mean([largest([pair]) for pair in pairs])


def test_a_map_of_another_size_is_brought_to_the_mask():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:40] = True
    assert largest([(mask[::2, ::2].astype(np.float32), mask)]) == pytest.approx(1, abs=0.05)


def test_no_image_and_no_probability_are_errors():
    with pytest.raises(DataError, match="no image with a mask"):
        LargestF().value()
    with pytest.raises(StatisticsError, match=r"must lie in \[0, 1\]"):
        LargestF().add(np.full((4, 4), np.nan), np.ones((4, 4), bool))
