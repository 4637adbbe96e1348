"""The inverse of repair, against numpy's, and in float32 against float64."""

from __future__ import annotations

import numpy as np
import pytest

from wrg_onnx.select import ridged_inverse
from wrg_onnx.select.ridged_inverse import RidgedInverse, inverse, low_rank_inverse

PENALTY = 1e-3


def covariance(size, *, seed=0, common=3.0):
    """Return one of numbers that have much in common, as those of neighbouring places have."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((size, 3 * size)) + common * rng.standard_normal(3 * size)
    return np.cov(x)


def added(found):
    """Return what is added to a diagonal: something to all, and a share of what is there."""
    return PENALTY * (np.trace(found) / len(found) + found.diagonal())


def ridged(found):
    return found + np.diag(added(found))


@pytest.mark.parametrize("size", [1, 7, 128, 300, 777])
def test_an_inverse_by_halves_is_numpys(size):
    matrix = ridged(covariance(size)) if size > 1 else np.full((1, 1), 4.0)
    np.testing.assert_allclose(inverse(matrix), np.linalg.inv(matrix), atol=1e-10)
    found = inverse(matrix)
    np.testing.assert_allclose(found, found.T, atol=1e-12)


@pytest.mark.parametrize("waiting", [1, 10, 10**6])
def test_what_is_left_is_the_inverse_of_what_is_left(waiting, monkeypatch):
    monkeypatch.setattr(ridged_inverse, "WAITING", waiting)
    found, size = covariance(80), 80
    one, gone = RidgedInverse(found, added(found)), np.zeros(size, bool)
    for lost in ([3, 4], [70], [10, 11, 12, 60]):
        one.remove(np.array(lost))
        gone[lost] = True
    stay = np.flatnonzero(~gone)
    expected = np.linalg.inv(ridged(found)[np.ix_(stay, stay)])
    columns = np.arange(0, 60).reshape(20, 3)
    blocks = one.blocks(stay[columns])
    for columns_of, block in zip(columns, blocks, strict=True):
        np.testing.assert_allclose(block, expected[np.ix_(columns_of, columns_of)], rtol=1e-8)
    one.keep(stay)
    np.testing.assert_allclose(one.blocks(np.arange(len(stay))[None])[0], expected, atol=1e-9)


def test_what_is_removed_is_told_by_its_factors():
    found, lost = covariance(40), np.array([5, 6, 30])
    whole = np.linalg.inv(ridged(found))
    half, factor = RidgedInverse(found, added(found)).remove(lost)
    np.testing.assert_allclose(factor @ factor.T, whole[np.ix_(lost, lost)], rtol=1e-8)
    np.testing.assert_allclose(factor @ half, whole[lost], atol=1e-9)


def test_a_wide_layer_in_float32_is_near_to_float64():
    found = covariance(600)
    one = RidgedInverse(found, added(found))
    blocks = np.arange(600).reshape(200, 3)
    assert one.blocks(blocks).dtype == np.float32
    one.remove(np.arange(300))
    stay = np.arange(300, 600)
    expected = np.linalg.inv(ridged(found)[np.ix_(stay, stay)])
    last = one.blocks(blocks[-1:])[0]
    np.testing.assert_allclose(last, expected[-3:, -3:], rtol=1e-3)


def test_where_float32_does_not_do_it_starts_anew_in_float64():
    found = covariance(800)
    one = RidgedInverse(found, added(found))
    one.remove(np.arange(100))
    one.keep(np.arange(100, 800))
    one.remove(np.arange(50))
    one._matrix -= 2 * one._matrix  # as if all digits were lost
    one.remove(np.array([60]))
    stay = np.setdiff1d(np.arange(150, 800), [160])
    expected = np.linalg.inv(ridged(found)[np.ix_(stay, stay)])
    block = one.blocks(np.array([[697, 698, 699]]))[0]
    assert block.dtype == np.float64
    np.testing.assert_allclose(block, expected[-3:, -3:], rtol=1e-8)


def test_a_layer_that_has_become_narrow_goes_on_in_float64():
    found = covariance(600)
    one = RidgedInverse(found, added(found))
    one.remove(np.arange(200))
    one.keep(np.arange(200, 600))
    block = one.blocks(np.array([[0, 7, 399]]))[0]
    expected = np.linalg.inv(ridged(found)[200:, 200:])
    kept = np.ix_([0, 7, 399], [0, 7, 399])
    assert block.dtype == np.float64
    np.testing.assert_allclose(block, expected[kept], rtol=1e-8)


@pytest.mark.parametrize("rows", [2, 20])
def test_of_few_rows_the_rank_inverts(rows):
    x = np.random.default_rng(3).standard_normal((640, rows)) + 5
    found = np.cov(x)
    expected = np.linalg.inv(ridged(found))
    apart = np.abs(low_rank_inverse(found, added(found), rows) - expected).max()
    assert added(found).min() * apart < 1e-5
    one = RidgedInverse(found, added(found), rows)
    block = one.blocks(np.array([[1, 5, 9]]))[0]
    np.testing.assert_allclose(block, expected[np.ix_([1, 5, 9], [1, 5, 9])], rtol=1e-4)


def test_a_covariance_of_nothing_has_rank_0():
    found = low_rank_inverse(np.zeros((5, 5)), np.full(5, 0.5), 3)
    np.testing.assert_allclose(found, 2 * np.eye(5))
