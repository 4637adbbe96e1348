"""The relative error between two models' outputs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wrg_onnx.errors import DataError
from wrg_onnx.evaluate.agreement import Agreement, OutputAgreement


def compared(*pairs):
    agreement = Agreement()
    for reference, other in pairs:
        agreement.add(reference, other)
    return agreement.outputs()


def agree(*pairs):
    return compared(*(({"y": np.array(a)}, {"y": np.array(b)}) for a, b in pairs))[0]


def test_the_error_is_that_of_all_samples_laid_end_to_end():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((7, 1, 5)).astype(np.float32)
    b = a + 0.1 * rng.standard_normal(a.shape).astype(np.float32)
    expected = np.linalg.norm((a - b).ravel()) / np.linalg.norm(a.ravel())
    result = agree(*zip(a, b, strict=True))
    assert result.relative_error == pytest.approx(expected, rel=1e-6)
    assert (result.output, result.samples, result.reshaped) == ("y", 7, 0)


def test_equal_outputs_have_no_error():
    assert agree(([1.0, 2.0], [1.0, 2.0])).relative_error == 0
    assert agree(([0.0], [0.0])).relative_error == 0
    assert agree(([-np.inf, np.nan, 1.0], [-np.inf, np.nan, 1.0])).relative_error == 0


def test_only_one_side_at_zero_or_infinity_is_infinitely_far():
    assert agree(([0.0], [1.0])).relative_error == math.inf
    assert agree(([1.0, 1.0], [1.0, np.nan])).relative_error == math.inf
    assert agree(([np.inf], [-np.inf])).relative_error == math.inf


def test_integers_and_booleans_are_compared_without_overflow():
    assert agree((np.uint8([0, 200]), np.uint8([10, 200]))).relative_error == pytest.approx(0.05)
    assert agree(([True, False], [True, False])).relative_error == 0


def test_samples_of_different_shapes_are_counted_and_left_out():
    result = agree(([1.0], [1.0, 2.0]), ([2.0], [1.0]))
    assert result == OutputAgreement("y", 0.5, samples=1, reshaped=1)
    assert agree(([1.0], [1.0, 2.0])).relative_error is None


def test_outputs_keep_their_order_and_text_is_left_out():
    reference = {"b": np.ones(2), "label": np.array(["cat"]), "a": np.ones(2)}
    result = compared((reference, dict(sorted(reference.items()))))
    assert [output.output for output in result] == ["b", "a"]


def test_keys_of_maps_are_left_out():
    outputs = {"m": np.ones(2), "m[keys]": np.array([3, 4])}
    assert [output.output for output in compared((outputs, outputs))] == ["m"]


def test_an_element_that_one_sequence_lacks_counts_as_another_shape():
    long, short = {"s[0]": np.ones(1), "s[1]": np.ones(1)}, {"s[0]": np.ones(1)}
    assert [one.reshaped for one in compared((long, short), (short, long))] == [0, 2]


def test_a_missing_output_and_an_empty_data_set_are_errors():
    with pytest.raises(DataError, match="'y' is in the original but not"):
        compared(({"y": np.ones(1)}, {}))
    with pytest.raises(DataError, match="no outputs to compare"):
        compared()
