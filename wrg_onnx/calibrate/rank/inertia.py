"""How many eigenvalues of a symmetric matrix are positive, without any of them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy.linalg import cython_lapack

from wrg_onnx.factors import BoolArray, Float64Array, IntArray

_PANEL = 32
"""Columns that LAPACK eliminates at a time; 16 to 64 are alike for matrices up to 500 x 500."""

WIDTH, STEPS, ROUNDS, SETTLED = 4, 2, 6, 1e-7
"""Vectors, powers between two looks at them, looks, and the relative error that is small enough."""


def positive_eigenvalues(matrices: Float64Array) -> IntArray:
    """Count the positive eigenvalues of symmetric matrices, which are overwritten.

    By Sylvester's law of inertia they are as many as the positive ones of D in L D L^T, of which a
    block of 2 x 2 has one: Bunch and Kaufman pivot that way. This takes a quarter to a sixth of the
    time of the eigenvalues.

    Args:
        matrices: (N, n, n) float64, finite, contiguous.

    Returns:
        (N,) int64.

    Source: Bunch and Kaufman, "Some stable methods for calculating inertia and solving symmetric
    linear systems", Mathematics of Computation 31, 1977; LAPACK's dsytrf.
    """
    count, size = matrices.shape[:2]
    pivots = np.empty((count, size), np.intc)
    work = np.empty(max(1, size * _PANEL))
    length, room, failed = (ctypes.c_int(n) for n in (size, work.size, 0))
    lower = ctypes.c_char(b"L")
    factor = _dsytrf()
    for matrix, pivot in zip(matrices, pivots, strict=True):
        # Rows for columns: a symmetric matrix is its own transpose. A pivot of exactly zero, which
        # is all that `failed` tells, is not a positive one.
        factor(
            ctypes.byref(lower), ctypes.byref(length), matrix.ctypes.data, ctypes.byref(length),
            pivot.ctypes.data, work.ctypes.data, ctypes.byref(room), ctypes.byref(failed),
        )  # fmt: skip
    # A pivot above 0 says that D has a block of 1 x 1 at this place, whose sign is that of its one
    # number. Two pivots below 0 in a row belong to one block of 2 x 2, which has one positive and
    # one negative eigenvalue. So, for each of the N matrices, over its n places:
    #     positive = (number of positive 1 x 1 blocks) + (number of places in 2 x 2 blocks) / 2.
    diagonal = np.diagonal(matrices, axis1=1, axis2=2)
    single = pivots > 0
    return np.asarray(((diagonal > 0) & single).sum(1) + (~single).sum(1) // 2, np.int64)


def largest_eigenvalues(matrices: Float64Array) -> tuple[Float64Array, BoolArray]:
    """Find the largest eigenvalue of positive semidefinite matrices by subspace iteration.

    The first vectors are the same in each call: a constant one, since feature maps have a mean, and
    noise.

    Args:
        matrices: (N, n, n) float64, finite, n at least 4.

    Returns:
        (N,) float64, the largest eigenvalues, from below, and (N,) bool, where they are right to
        1e-7 of their size or better.

    Source: Parlett, "The Symmetric Eigenvalue Problem", 1998, sections 11.7 (the error of a Ritz
    value is at most the square of its residual over the gap) and 14.
    """
    # N matrices of (n, n); the basis of each is (n, WIDTH) vectors, the same at first. `left` holds
    # the numbers of those that are not settled yet: matrices, basis and found shrink to them.
    #     image   (N, n, WIDTH)   what the matrices make of the basis
    #     values  (N, WIDTH)      Ritz values, rising, and `turns` (N, WIDTH, WIDTH) their vectors
    #                             in the basis
    count, size = matrices.shape[:2]
    basis = np.random.default_rng(size).standard_normal((1, size, WIDTH))
    basis[:, :, 0] = 1
    found = np.zeros(count)
    left = np.arange(count)
    for _ in range(ROUNDS):
        for _ in range(STEPS):
            image = matrices @ basis
            lengths = np.linalg.norm(image, axis=1, keepdims=True)
            basis = image / np.where(lengths, lengths, 1)
        basis = np.linalg.qr(basis).Q
        image = matrices @ basis
        values, turns = np.linalg.eigh(basis.swapaxes(1, 2) @ image)
        found[left] = values[:, -1]
        best = turns[:, :, -1:]
        residual = np.linalg.norm(image @ best - values[:, None, -1:] * (basis @ best), axis=1)
        gap = values[:, -1] - values[:, -2]
        unsettled = residual[:, 0] ** 2 > SETTLED * values[:, -1] * gap
        matrices, basis, left = matrices[unsettled], image[unsettled], left[unsettled]
        if not len(left):
            break
    settled = np.ones(count, bool)
    settled[left] = False
    return found, settled


@cache
def _dsytrf() -> Callable[..., None]:
    """Return LAPACK's dsytrf; unlike SciPy's wrapper, ctypes lets other threads work meanwhile."""
    capsule: Any = cython_lapack.__pyx_capi__["dsytrf"]
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    arguments = [ctypes.c_void_p] * 8
    return ctypes.CFUNCTYPE(None, *arguments)(pointer(capsule, name(capsule)))
