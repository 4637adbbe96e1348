"""Where a curve begins to fall."""

from __future__ import annotations

import numpy as np

from wrg_onnx.select.knee import find_knee

X = np.array([0, 0.2, 0.4, 0.6, 0.8])


def knee(y, noise=0.0, x=X):
    return find_knee(np.array(x), np.array(y), np.full(len(y), noise))


def test_the_knee_is_furthest_above_the_chord():
    assert knee([0.9, 0.9, 0.89, 0.88, 0.4]) == 3
    assert knee([0.9, 0.89, 0.6, 0.5, 0.4]) == 1


def test_a_straight_line_and_one_that_sags_have_none():
    assert knee([0.9, 0.8, 0.7, 0.6, 0.5], noise=1e-9) is None
    assert knee([0.9, 0.5, 0.45, 0.42, 0.4]) is None


def test_what_does_not_fall_by_more_than_noise_has_none():
    assert knee([0.9, 0.91, 0.9, 0.9, 0.89], noise=0.02) is None
    assert knee([0.9, 0.91, 0.92, 0.93, 0.95]) is None


def test_a_knee_within_the_noise_is_none():
    assert knee([0.9, 0.81, 0.71, 0.61, 0.5], noise=0.02) is None
    assert knee([0.9, 0.81, 0.71, 0.61, 0.5], noise=0.001) is not None


def test_points_need_not_be_even():
    assert knee([0.9, 0.88, 0.86, 0.2], x=[0, 0.1, 0.7, 0.8]) == 2


def test_two_points_have_no_knee():
    assert knee([0.9, 0.4], x=[0, 0.5]) is None


def test_what_is_not_finite_has_no_knee():
    assert knee([0, -0.1, -0.1, -np.inf], x=[0, 0.1, 0.2, 0.3]) is None
