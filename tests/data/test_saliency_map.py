"""Finding the saliency map in the outputs, and reading it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from wrg_onnx.data.saliency_map import (
    SaliencyMap,
    find_saliency_map,
    find_saliency_output,
    read_saliency,
)
from wrg_onnx.errors import StatisticsError

SIZE = (32, 48)


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    "array",
    [
        zeros(1, 1, 32, 48),
        zeros(1, 32, 48, 1),
        zeros(1, 32, 48),
        zeros(1, 1, 4, 6),
        zeros(1, 2, 16, 24),
    ],
)
def test_a_map_is_found_behind_other_outputs(array):
    arrays = {
        "labels": zeros(1, 1, 32, 48, dtype=np.int64),
        "boxes": zeros(1, 100, 4),
        "map": array,
    }
    assert find_saliency_output(list(arrays), arrays, SIZE) == "map"


@pytest.mark.parametrize(
    "array",
    [
        zeros(1, 1000),
        zeros(1, 3, 32, 48),
        zeros(1, 1, 3, 5),  # too coarse
        zeros(1, 1, 96, 144),  # an enlarged picture
        zeros(1, 30, 20),  # a table
        zeros(2, 1, 32, 48),
        zeros(1, 1, 32, 48, dtype=np.int64),
    ],
)
def test_what_is_no_map_is_not_taken_for_one(array):
    assert find_saliency_output(["y"], {"y": array}, SIZE) is None
    assert find_saliency_map(["y"], [{"y": array}], SIZE) is None


def test_one_channel_is_preferred_to_two_and_the_first_to_the_next():
    arrays = {"two": zeros(1, 2, 32, 48), "one": zeros(1, 1, 32, 48), "side": zeros(1, 1, 16, 24)}
    assert find_saliency_output(["two", "one", "side"], arrays, SIZE) == "one"


def test_logits_are_told_from_probabilities_by_all_samples_together():
    inside, outside = zeros(1, 1, 32, 48) + 0.5, zeros(1, 1, 32, 48) - 3
    saliency = find_saliency_map(["y"], [{"y": inside}, {"y": outside}], SIZE)
    assert saliency == SaliencyMap("y", axis=1, channels=1, is_logit=True)
    saliency = find_saliency_map(["y"], [{"y": inside}, {"y": inside + 0.505}], SIZE)
    assert saliency == SaliencyMap("y", axis=1, channels=1, is_logit=False)
    assert find_saliency_map(["y"], [], SIZE) is None


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "NHW"])
@pytest.mark.parametrize("is_logit", [True, False])
def test_a_raw_output_becomes_a_map(layout, is_logit):
    values = np.random.default_rng(0).normal(0, 200, SIZE) if is_logit else np.eye(*SIZE)
    output = {"NCHW": values[None, None], "NHWC": values[None, ..., None], "NHW": values[None]}
    saliency = find_saliency_map(["y"], [{"y": output[layout]}], SIZE)
    result = read_saliency(output[layout], saliency)
    assert (result.shape, result.dtype, saliency.is_logit) == (SIZE, np.float32, is_logit)
    expected = expit(values) if is_logit else values
    np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("axis", [1, 3])
def test_two_channels_give_the_foreground(axis):
    logits = np.random.default_rng(0).normal(0, 5, (1, 2, *SIZE))
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for values in (logits, softmax):
        output = np.moveaxis(values, 1, axis)
        saliency = find_saliency_map(["y"], [{"y": output}], SIZE)
        assert (saliency.axis, saliency.channels, saliency.is_logit) == (axis, 2, values is logits)
        np.testing.assert_allclose(read_saliency(output, saliency), softmax[0, 1], atol=1e-6)


def test_a_map_with_nan_is_an_error():
    output = zeros(1, 1, 32, 48)
    output[0, 0, 3, 4] = np.nan
    with pytest.raises(StatisticsError, match="output 'y' holds an infinity or NaN"):
        read_saliency(output, SaliencyMap("y", axis=1, channels=1, is_logit=True))


def test_the_map_of_a_fixed_batch_is_that_of_its_first_image():
    output = np.linspace(0, 1, 3 * 32 * 48, dtype=np.float32).reshape(3, 1, 32, 48)
    assert find_saliency_map(["y"], [{"y": output}], SIZE) is None
    saliency = find_saliency_map(["y"], [{"y": output}], SIZE, batch=3)
    assert saliency is not None
    np.testing.assert_array_equal(read_saliency(output, saliency), output[0, 0])
