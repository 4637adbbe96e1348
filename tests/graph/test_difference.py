"""How far two arrays are apart, relative to the largest value wanted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wrg_onnx.graph import relative_difference
from wrg_onnx.graph.difference import gap_and_scale


def test_the_largest_difference_is_held_against_the_largest_value():
    wanted, found = np.array([1.0, -4.0, 2.0]), np.array([1.5, -4.0, 1.0])
    assert gap_and_scale(wanted, found) == (1.0, 4.0)
    assert relative_difference(wanted, found) == 0.25


def test_a_float16_difference_is_computed_in_float64():
    wanted, found = np.array([60000.0], np.float16), np.array([-60000.0], np.float16)
    assert relative_difference(wanted, found) == pytest.approx(2)


def test_of_nearly_nothing_the_least_scale_counts():
    assert relative_difference(np.array([1e-9]), np.array([3e-9]), least=1e-3) == pytest.approx(
        2e-6
    )
    assert relative_difference(np.array([2.0]), np.array([3.0]), least=1e-3) == 0.5


def test_of_zeros_the_difference_itself_counts():
    assert relative_difference(np.zeros(2), np.array([0.0, 0.25])) == 0.25


def test_nothing_does_not_differ_from_nothing():
    assert gap_and_scale(np.zeros((0, 3)), np.zeros((0, 3))) == (0, 0)
    assert relative_difference(np.zeros((0, 3)), np.zeros((0, 3))) == 0


def test_another_shape_is_infinitely_far():
    assert relative_difference(np.zeros((2, 1)), np.zeros(2)) == math.inf


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_no_number_says_is_nan(broken):
    assert math.isnan(relative_difference(np.array([broken, 1]), np.array([broken, 1])))


def test_booleans_are_numbers():
    assert relative_difference(np.array([True, False]), np.array([True, True])) == 1
