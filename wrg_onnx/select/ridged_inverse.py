"""The inverse of a covariance with something on its diagonal, of which rows and columns go."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.factors import Float64Array, IntArray

FloatArray = NDArray[np.floating[Any]]

WIDE = 512
"""From how many numbers on float32 is taken: products take half the time, and half the memory."""

WAITING = 512
"""How many columns that are gone wait: to take them off passes over the whole matrix."""

_LEAF = 128
"""What is inverted without being divided."""

_FEW_ROWS = 16
"""Of so many numbers for each row a covariance is inverted by its rank."""

_STRIPS = 8
"""In how many strips a product of triangular matrices is made, so that zeros are left out."""


class RidgedInverse:
    """(C + P)^-1 of a covariance C (D, D) and a diagonal P, without the columns that are gone.

    With A this inverse and J what goes, what is left of

        A - A_:J [A_JJ]^-1 A_J:  =  A - U' U,    U = L^-1 A_J:,  L L' = A_JJ,

    beside J is the inverse of what is left of C + P. Several U wait, one below the other.
    """

    def __init__(self, covariance: Float64Array, added: Float64Array, rows: int = 0) -> None:
        """Invert.

        Args:
            covariance: (D, D) float64; it is kept, and not changed.
            added: (D,) float64, above 0, what is added to its diagonal.
            rows: How many rows it was taken from, which bounds its rank; 0 if that is not known.
        """
        size = len(covariance)
        self._covariance = covariance
        self._added = added
        self._columns = np.arange(size)  # of the covariance, those of the matrix
        self._live = np.ones(size, bool)
        if size >= WIDE and 0 < rows <= size // _FEW_ROWS:
            self._matrix = low_rank_inverse(covariance, self._added, rows)
        else:
            self._matrix = self._inverted(np.float32 if size >= WIDE else np.float64)
        self._waiting = self._matrix[:0]

    def blocks(self, columns: IntArray) -> FloatArray:
        """Return what stands where columns (n, k) meet themselves: (n, k, k)."""
        found = self._matrix[columns[:, :, None], columns[:, None, :]]
        if len(self._waiting):
            parts = self._waiting[:, columns].transpose(1, 2, 0)  # (n, k, waiting)
            found -= parts @ parts.transpose(0, 2, 1)
        return found

    def remove(self, lost: IntArray) -> tuple[FloatArray, FloatArray]:
        """Take columns and rows away.

        Args:
            lost: (J,) which ones; what stands there afterwards is of no meaning.

        Returns:
            U (J, D) and L (J, J), as above.
        """
        try:
            half, factor = self._halved(lost)
        except np.linalg.LinAlgError:
            # Of all that was taken off in float32, what is left is no longer positive: start anew.
            self._matrix = self._inverted(np.float64)
            self._waiting = self._matrix[:0]
            half, factor = self._halved(lost)
        self._live[lost] = False
        self._waiting = np.concatenate([self._waiting, half])
        if len(self._waiting) >= min(WAITING, len(self._matrix) // 8):
            self._take_off()
        return half, factor

    def keep(self, stay: IntArray) -> None:
        """Cut out all columns and rows but those that stay."""
        is_narrow = len(stay) < WIDE <= len(self._matrix)
        self._columns, self._live = self._columns[stay], self._live[stay]
        if is_narrow:  # what float32 rounded away of it comes back for little
            self._matrix = self._inverted(np.float64)
        else:
            self._take_off()
            self._matrix = self._matrix[np.ix_(stay, stay)]
        self._waiting = self._matrix[:0]

    def _inverted(self, dtype: type[np.floating[Any]]) -> FloatArray:
        """Return the inverse of what is left; where columns are gone, zeros."""
        live = np.flatnonzero(self._live)
        whole = len(live) == len(self._covariance)
        chosen = self._columns[live]
        ridged = self._covariance.copy() if whole else self._covariance[np.ix_(chosen, chosen)]
        ridged[np.diag_indices(len(live))] += self._added[chosen]
        found = inverse(ridged, dtype)
        if len(live) == len(self._columns):
            return found
        padded = np.zeros((len(self._columns),) * 2, dtype)
        padded[np.ix_(live, live)] = found
        return padded

    def _halved(self, lost: IntArray) -> tuple[FloatArray, FloatArray]:
        rows = self._matrix[lost]
        rows -= self._waiting[:, lost].T @ self._waiting
        factor = np.linalg.cholesky(rows[:, lost])
        return np.linalg.solve(factor, rows), factor

    def _take_off(self) -> None:
        self._matrix -= self._waiting.T @ self._waiting  # numpy makes half of it (syrk)
        self._waiting = self._waiting[:0]


def inverse(matrix: Float64Array, dtype: type[np.floating[Any]] = np.float64) -> FloatArray:
    """Invert a symmetric positive definite matrix.

    Args:
        matrix: (D, D) float64.
        dtype: Of the result, and what is computed in once the matrix is divided in two factors.

    Returns:
        L^-1' L^-1 with L L' the matrix, in the time of some products.
    """
    factor = _triangular_inverse(np.linalg.cholesky(matrix).astype(dtype))
    size = len(matrix)
    found = np.empty_like(factor)
    for bounds in np.array_split(np.arange(size), min(size, _STRIPS)):
        start, stop = int(bounds[0]), int(bounds[-1]) + 1
        # Above row `start` these columns of L^-1 are zero.
        strip = factor[start:, :stop].T @ factor[start:, start:stop]
        found[:stop, start:stop] = strip
        found[start:stop, :start] = strip[:start].T
    return found


def low_rank_inverse(covariance: Float64Array, added: Float64Array, rank: int) -> FloatArray:
    """Invert a covariance of low rank with something on its diagonal.

    With F F' the covariance, F of shape (D, rank):

        (F F' + P)^-1 = P^-1 - P^-1 F (F' P^-1 F + I)^-1 F' P^-1.

    Args:
        covariance: (D, D) float64.
        added: (D,) float64, the diagonal of P.
        rank: The largest that it may have.

    Returns:
        (D, D) float32.

    Source: the identity is Woodbury's; the factor F is that of a Cholesky decomposition with
    pivots, which stops at the rank; Higham, "Accuracy and Stability of Numerical Algorithms", 10.3.
    """
    size = len(covariance)
    factor = np.zeros((rank, size))
    left = covariance.diagonal().copy()
    rounding = float(left.sum()) * np.finfo(np.float32).eps
    found = 0
    while found < rank and left[pivot := int(left.argmax())] > rounding:
        known = factor[:found]
        factor[found] = (covariance[pivot] - known[:, pivot] @ known) / np.sqrt(left[pivot])
        left -= np.square(factor[found])
        found += 1
    factor = factor[:found]
    divided = factor / added
    inner = np.linalg.cholesky(divided @ factor.T + np.eye(found))
    half = np.linalg.solve(inner, divided).astype(np.float32)
    whole = -(half.T @ half)
    whole[np.diag_indices(size)] += (1 / added).astype(np.float32)
    return whole


def _triangular_inverse(lower: FloatArray) -> FloatArray:
    """Invert a lower triangular matrix, half by half: products are what BLAS is best at."""
    size = len(lower)
    if size <= _LEAF:
        return np.linalg.inv(lower)
    half = size // 2
    found = np.zeros_like(lower)
    first, second = (
        _triangular_inverse(lower[:half, :half]),
        _triangular_inverse(lower[half:, half:]),
    )
    found[:half, :half], found[half:, half:] = first, second
    found[half:, :half] = -second @ (lower[half:, :half] @ first)
    return found
