"""Ridge regression in its dual form: from rows, where a layer reads too much for a Gram matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import linalg

from wrg_onnx.graph import Array
from wrg_onnx.graph.threads import one_blas_thread
from wrg_onnx.recover.gram_sums import Float64Array
from wrg_onnx.recover.ridge import PENALTIES, Solution, best_penalty, least_solved, spread_out

TRIED = (1.0, 10.0, 100.0)
"""Penalties that show whether rows gain anything: few rows want larger ones than all do."""


@dataclass(slots=True, eq=False)
class Rows:
    """Rows of inputs x and goals y of a layer without groups.

    Attributes:
        x: Each (rows, D) float32.
        y: Each (rows, M) float32.
    """

    x: list[Array] = field(default_factory=list)
    y: list[Array] = field(default_factory=list)

    def add(self, x: Array, y: Array) -> None:
        """Add rows.

        Args:
            x: (1, D, rows) float32.
            y: (1, M, rows) float32.
        """
        self.x.append(np.ascontiguousarray(x[0].T))
        self.y.append(np.ascontiguousarray(y[0].T))

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(len(part) for part in self.x)

    def arrays(self) -> tuple[Array, Array]:
        """Return (rows, D) and (rows, M)."""
        return np.concatenate(self.x), np.concatenate(self.y)

    def error(self, matrix: Float64Array, bias: Float64Array) -> Float64Array:
        """Return the mean over rows of ``(y - matrix x - bias)^2`` for each output: (1, M).

        Args:
            matrix: (1, M, D).
            bias: (1, M).
        """
        x, y = self.arrays()
        gap = y - x @ matrix[0].T - bias[0]
        return np.asarray(np.square(gap).mean(axis=0, dtype=np.float64))[None]


def solve_rows(
    fit: Rows,
    held_out: Rows,
    matrix: Float64Array,
    bias: Float64Array,
    penalties: Sequence[float] = PENALTIES,
) -> Solution:
    """Find what `ridge.solve` finds, from a (rows, rows) kernel in place of a (D, D) Gram matrix.

    Args:
        fit: The rows to solve on.
        held_out: The rows to choose the penalty on.
        matrix: (1, M, D) float64, the weights as they are.
        bias: (1, M) float64, the bias as it is.
        penalties: What to try, times the mean variance of the inputs.

    Source: the dual form; Saunders et al., "Ridge Regression Learning Algorithm in Dual Variables",
    ICML 1998.
    """
    weights = matrix[0]
    spread = held_out.arrays()[1].var(axis=0, dtype=np.float64)[None]

    before = held_out.error(matrix, bias)
    fitted = _Kernel.of(*fit.arrays(), weights)
    unmoved = held_out.error(matrix, fitted.intercept(weights)[None])

    def error_of(candidate: float) -> Float64Array | None:
        found = fitted.solved(candidate)
        if found is None:
            return None
        return held_out.error(found[None], fitted.intercept(found)[None])

    penalty, best = best_penalty(penalties, error_of, unmoved)
    if before.sum() <= best.sum():
        return Solution(matrix, bias, None, before, before, spread)
    (fit_x, fit_y), (held_x, held_y) = fit.arrays(), held_out.arrays()
    whole = _Kernel.of(np.concatenate([fit_x, held_x]), np.concatenate([fit_y, held_y]), weights)
    solved = weights
    if penalty is not None:
        penalty, solved = least_solved(penalties, penalty, whole.solved, weights)
    made = (whole.centred @ solved.T.astype(np.float32)).var(axis=0, dtype=np.float64)
    wanted = np.concatenate([fit_y, held_y]).var(axis=0, dtype=np.float64)
    solved = spread_out(solved[None], made[None], wanted[None])[0]
    intercept = whole.intercept(solved)
    return Solution(solved[None], intercept[None], penalty, before, best, spread)


def best_gain(fit: Rows, held_out: Rows, matrix: Float64Array) -> float:
    """Return by which share the error on rows held out falls at most, at one of ``TRIED``.

    Args:
        fit: The rows to solve on.
        held_out: The rows to look at.
        matrix: (1, M, D) float64, the weights as they are; the error is compared with theirs, once
            the bias suits them.

    Returns:
        The share; not above 0 where no solution is better.
    """
    fitted = _Kernel.of(*fit.arrays(), matrix[0])
    x, y = held_out.arrays()
    centred = (x - fitted.mean_x).astype(np.float32)
    left = (y - fitted.mean_y) - centred @ matrix[0].T.astype(np.float32)
    unmoved = np.square(left).sum()
    # With V = A'X the change of the weights, what it adds to a row x held out is A' X x: the
    # products of rows do, and the (M, D) numbers of V are not made.
    across = centred @ fitted.centred.T
    duals = [dual for dual in map(fitted.dual, TRIED) if dual is not None]
    errors = [np.square(left - across @ dual).sum() for dual in duals]
    return float(1 - min(errors, default=unmoved) / unmoved) if unmoved > 0 else 0.0


@dataclass(frozen=True, eq=False)  # with slots there would be no room for what is made later
class _Kernel:
    """A problem by rows: what the weights as they are leave, and how alike the rows are.

    Attributes:
        weights: (M, D), as they are.
        centred: (rows, D) float32, the inputs about their means.
        mean_x: (D,), the means of the inputs.
        mean_y: (M,), the means of the goals.
        residual: (rows, M), the centred goals less what the weights make of the centred inputs.
    """

    weights: Float64Array
    centred: Array
    mean_x: Float64Array
    mean_y: Float64Array
    residual: Float64Array

    @classmethod
    def of(cls, x: Array, y: Array, weights: Float64Array) -> _Kernel:
        mean_x, mean_y = x.mean(axis=0, dtype=np.float64), y.mean(axis=0, dtype=np.float64)
        centred = (x - mean_x).astype(np.float32)
        residual = (y - mean_y) - centred @ weights.T.astype(np.float32)
        return cls(weights, centred, mean_x, mean_y, residual)

    @cached_property
    def kernel(self) -> Float64Array:
        """(rows, rows), the products of the centred inputs with each other."""
        return (self.centred @ self.centred.T).astype(np.float64)

    def solved(self, penalty: float) -> Float64Array | None:
        """Return the weights; None if the penalty is too small for the kernel's rounding."""
        dual = self.dual(penalty)
        return None if dual is None else np.asarray(self.weights + dual.T @ self.centred)

    def dual(self, penalty: float) -> Float64Array | None:
        """Return A (rows, M), as below; None if the penalty is too small."""
        # With X (rows, D) the centred inputs and R (rows, M) the residual, the change V of the
        # weights solves  V (X'X + n p I) = R'X.  Since  (X'X + c I) X' = X' (XX' + c I),
        #   V = A'X  with  (XX' + n p I) A = R:
        # a (rows, rows) system in place of a (D, D) one. n is the number of rows: the error is a
        # mean over them.
        rows, inputs = self.centred.shape
        ridged = self.kernel.copy()
        # The mean variance of the inputs is the kernel's trace over rows and inputs.
        scale = float(np.trace(ridged)) / (rows * inputs) or 1.0
        ridged[np.diag_indices(rows)] += penalty * scale * rows
        try:
            with one_blas_thread():
                factor = linalg.cho_factor(ridged, overwrite_a=True, check_finite=False)
                return np.asarray(linalg.cho_solve(factor, self.residual, check_finite=False))
        except linalg.LinAlgError:
            return None

    def intercept(self, weights: Float64Array) -> Float64Array:
        """Return the bias that makes the mean of the output right."""
        return np.asarray(self.mean_y - weights @ self.mean_x)
