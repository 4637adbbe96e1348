"""Inertia and largest eigenvalues are those of LAPACK's eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrg_onnx.calibrate.rank.inertia import largest_eigenvalues, positive_eigenvalues


def with_eigenvalues(*spectra, seed=0):
    """Symmetric matrices of given eigenvalues, (spectra, n, n)."""
    rng = np.random.default_rng(seed)
    turns = np.linalg.qr(rng.standard_normal((len(spectra), len(spectra[0]), len(spectra[0])))).Q
    return (turns * np.asarray(spectra)[:, None]) @ turns.swapaxes(1, 2)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**16), st.integers(1, 70), st.floats(-12, 12))
def test_signs_are_counted(seed, size, scale):
    rng = np.random.default_rng(seed)
    spectra = rng.choice([-1.0, 1.0], (3, size)) * 10 ** rng.uniform(-9, 0, (3, size))
    matrices = with_eigenvalues(*spectra, seed=seed) * 10**scale
    np.testing.assert_array_equal(positive_eigenvalues(matrices), (spectra > 0).sum(1))


def test_zeros_on_the_diagonal_need_pivots_of_two():
    exchange = np.fliplr(np.eye(6))[None].copy()
    assert positive_eigenvalues(exchange).tolist() == [3]


def test_a_matrix_of_zeros_has_no_positive_eigenvalue():
    assert positive_eigenvalues(np.zeros((2, 5, 5))).tolist() == [0, 0]


def test_a_hard_zero_is_not_positive():
    singular = np.diag([2.0, 0.0, 0.0, -1.0])[None].copy()
    assert positive_eigenvalues(singular).tolist() == [1]


@pytest.mark.parametrize("decay", [0.01, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("size", [4, 30, 200])
def test_the_largest_eigenvalue_is_found_or_known_not_to_be(size, decay):
    matrices = with_eigenvalues(decay ** np.arange(size), 3 * decay ** np.arange(size))
    found, settled = largest_eigenvalues(matrices)
    np.testing.assert_allclose(found[settled], np.array([1, 3])[settled], rtol=1e-7)
    assert settled.all() or decay > 0.5
    assert (found <= np.array([1, 3]) * (1 + 1e-12)).all()


def test_each_matrix_is_judged_by_itself():
    hard, easy = 0.995 ** np.arange(150), 0.1 ** np.arange(150)
    found, settled = largest_eigenvalues(with_eigenvalues(easy, hard, easy))
    assert settled.tolist() == [True, False, True]
    np.testing.assert_allclose(found[settled], 1, rtol=1e-7)


def test_matrices_of_zeros_are_settled():
    found, settled = largest_eigenvalues(np.zeros((3, 8, 8)))
    assert settled.all()
    assert not found.any()
