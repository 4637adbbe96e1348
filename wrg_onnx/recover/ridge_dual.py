"""Ridge regression in its dual form: from rows, where a layer reads too much for a Gram matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import linalg

from wrg_onnx.graph import Array
from wrg_onnx.graph.threads import one_blas_thread
from wrg_onnx.recover.gram_sums import Float64Array
from wrg_onnx.recover.ridge import PENALTIES, Solution, spread_out


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
    best, penalty = held_out.error(matrix, fitted.intercept(weights)[None]), None
    for candidate, found in fitted.solutions(penalties):
        tried = held_out.error(found[None], fitted.intercept(found)[None])
        if tried.sum() < best.sum():
            best, penalty = tried, candidate
    if before.sum() <= best.sum():
        return Solution(matrix, bias, None, before, before, spread)
    (fit_x, fit_y), (held_x, held_y) = fit.arrays(), held_out.arrays()
    whole = _Kernel.of(np.concatenate([fit_x, held_x]), np.concatenate([fit_y, held_y]), weights)
    solved = weights
    if penalty is not None:
        larger = sorted(candidate for candidate in penalties if candidate >= penalty)
        penalty, solved = next(whole.solutions(larger), (None, weights))
    made = (whole.centred @ solved.T.astype(np.float32)).var(axis=0, dtype=np.float64)
    wanted = np.concatenate([fit_y, held_y]).var(axis=0, dtype=np.float64)
    solved = spread_out(solved[None], made[None], wanted[None])[0]
    intercept = whole.intercept(solved)
    return Solution(solved[None], intercept[None], penalty, before, best, spread)


@dataclass(frozen=True, slots=True, eq=False)
class _Kernel:
    """A problem by rows: what the weights as they are leave, and how alike the rows are.

    Attributes:
        weights: (M, D), as they are.
        centred: (rows, D) float32, the inputs about their means.
        mean_x: (D,), the means of the inputs.
        mean_y: (M,), the means of the goals.
        residual: (rows, M), the centred goals less what the weights make of the centred inputs.
        kernel: (rows, rows), the products of the centred inputs with each other.
    """

    weights: Float64Array
    centred: Array
    mean_x: Float64Array
    mean_y: Float64Array
    residual: Float64Array
    kernel: Float64Array

    @classmethod
    def of(cls, x: Array, y: Array, weights: Float64Array) -> _Kernel:
        mean_x, mean_y = x.mean(axis=0, dtype=np.float64), y.mean(axis=0, dtype=np.float64)
        centred = (x - mean_x).astype(np.float32)
        residual = (y - mean_y) - centred @ weights.T
        kernel = (centred @ centred.T).astype(np.float64)
        return cls(weights, centred, mean_x, mean_y, residual, kernel)

    def solutions(self, penalties: Sequence[float]) -> Iterator[tuple[float, Float64Array]]:
        """Yield the weights for each penalty that is not too small for the kernel's rounding."""
        for penalty in penalties:
            try:
                yield penalty, self._solve(penalty)
            except linalg.LinAlgError:
                continue

    def _solve(self, penalty: float) -> Float64Array:
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
        with one_blas_thread():
            factor = linalg.cho_factor(ridged, overwrite_a=True, check_finite=False)
            dual = linalg.cho_solve(factor, self.residual, check_finite=False)
        return np.asarray(self.weights + dual.T @ self.centred)

    def intercept(self, weights: Float64Array) -> Float64Array:
        """Return the bias that makes the mean of the output right."""
        return np.asarray(self.mean_y - weights @ self.mean_x)
