"""Ridge regression of a layer's original output on the inputs that are left."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from wrg_onnx.graph.threads import one_blas_thread
from wrg_onnx.recover.gram_sums import Float64Array, GramSums

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""What is tried, times the mean variance of the inputs."""

SPREAD = 0.5
"""Which power of the ratio by which an output's deviation shrank is given back to it."""

FLAT = 1e-9
"""Of an output whose variance is below this share of the mean one, none is known."""

MOST_SPREAD = 2.0
"""How much an output grows at most: what is nearly constant says little."""


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """New weights of a layer.

    Attributes:
        matrix: (G, M, D) float64.
        bias: (G, M) float64.
        penalty: The one that was best on the rows held out; None where the weights are the old
            ones, spread out, or not even that.
        before: (G, M) float64, the mean square error of each output on the rows held out, with the
            weights as they were.
        after: (G, M) float64, that with the new ones, as they are solved for without those rows and
            before they are spread out.
        spread: (G, M) float64, the variance of each output on the rows held out.
    """

    matrix: Float64Array
    bias: Float64Array
    penalty: float | None
    before: Float64Array
    after: Float64Array
    spread: Float64Array


def solve(
    fit: GramSums,
    held_out: GramSums,
    matrix: Float64Array,
    bias: Float64Array,
    penalties: Sequence[float] = PENALTIES,
) -> Solution:
    """Find the weights whose output is nearest to the original's.

    Minimises over W and b the mean of ``|y - W x - b|^2 + p |W - W0|^2``, W0 being the weights as
    they are. The penalty p is the one whose solution from ``fit`` is best on ``held_out``; the
    result is then solved for from both.

    Args:
        fit: The rows to solve on.
        held_out: The rows to choose the penalty on.
        matrix: (G, M, D) float64, W0.
        bias: (G, M) float64, the bias as it is.
        penalties: What to try, times the mean variance of the inputs. That the weights stay, an
            infinite penalty, is always tried.

    Returns:
        The new weights.

    Source: Hoerl and Kennard, "Ridge Regression", Technometrics 12(1), 1970, about W0 in place of
    zero; as the reconstruction of removed inputs it is GRAIL's, arXiv:2602.23795. That outputs are
    spread out again (``spread_out``) is the idea of ASR, arXiv:2605.21426; by which power is ours.
    """
    spread, gram = held_out.variance_y(), held_out.covariance_x()
    problem = _Problem.of(fit, matrix)

    def error_of(candidate: float) -> Float64Array | None:
        found = problem.solved(candidate)
        return None if found is None else held_out.error(found, fit.intercept(found), gram)

    before = held_out.error(matrix, bias, gram)
    unmoved = held_out.error(matrix, fit.intercept(matrix), gram)
    penalty, best = best_penalty(penalties, error_of, unmoved)
    if before.sum() <= best.sum():
        return Solution(matrix, bias, None, before, before, spread)
    whole = fit.joined(held_out)
    problem = _Problem.of(whole, matrix)
    if penalty is not None:
        penalty, matrix = least_solved(penalties, penalty, problem.solved, matrix)
    made = np.einsum("gmd,gmd->gm", matrix @ problem.gram, matrix)
    matrix = spread_out(matrix, made, whole.variance_y())
    return Solution(matrix, whole.intercept(matrix), penalty, before, best, spread)


def spread_out(matrix: Float64Array, made: Float64Array, wanted: Float64Array) -> Float64Array:
    """Give outputs a part of the deviation back that they lost.

    What is predicted from inputs that tell less varies less than the goal: by their correlation.
    It is nearest to the goal so; but from layer to layer all shrinks more, and what comes behind, a
    threshold above all, was made for the original's range.

    Args:
        matrix: (G, M, D) float64.
        made: (G, M) float64, the variance of each output with it.
        wanted: (G, M) float64, that of the goal.

    Returns:
        (G, M, D) float64: of each output times (deviation wanted / made) ** ``SPREAD``.
    """
    is_flat = np.minimum(made, wanted) <= FLAT * wanted.mean()
    ratio = np.sqrt(np.where(is_flat, 1.0, wanted) / np.where(is_flat, 1.0, made))
    ratio = np.clip(ratio, 1 / MOST_SPREAD, MOST_SPREAD)
    return np.asarray(matrix * (ratio**SPREAD)[..., None])


def best_penalty(
    penalties: Sequence[float],
    error_of: Callable[[float], Float64Array | None],
    unmoved: Float64Array,
) -> tuple[float | None, Float64Array]:
    """Find the penalty with the least error, from the middle one on downhill.

    A larger penalty follows the rows less, and noise in them less, too: the error falls and then
    rises, so what lies behind a rise is not looked at.

    Args:
        penalties: What may be tried, the smallest first.
        error_of: Returns (G, M), the error of each output; None for a penalty that is too small for
            the rounding of the Gram matrix.
        unmoved: (G, M), the error with the old weights: that of an infinite penalty.

    Returns:
        The penalty, None for the infinite one, and its errors.
    """
    found: dict[int, Float64Array | None] = {len(penalties): unmoved}

    def total(place: int) -> float:
        if place not in found:
            found[place] = error_of(penalties[place])
        errors = found[place]
        return math.inf if errors is None else float(errors.sum())

    place = len(penalties) // 2
    while place > 0 and total(place - 1) < total(place):
        place -= 1
    while place < len(penalties) and total(place + 1) <= total(place):
        place += 1
    errors = found[place]
    assert errors is not None  # all before it are worse, and the last one is known
    return (penalties[place] if place < len(penalties) else None), errors


def least_solved(
    penalties: Sequence[float],
    least: float,
    solved: Callable[[float], Float64Array | None],
    matrix: Float64Array,
) -> tuple[float | None, Float64Array]:
    """Return the smallest penalty from some on that can be solved for, and its solution."""
    for candidate in (one for one in penalties if one >= least):
        found = solved(candidate)
        if found is not None:
            return candidate, found
    return None, matrix


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """What the solution for any penalty follows from.

    Attributes:
        matrix: (G, M, D), W0.
        gram: (G, D, D), the covariance of the inputs.
        residual: (G, M, D), what the products of goals and inputs are off with W0.
    """

    matrix: Float64Array
    gram: Float64Array
    residual: Float64Array

    @classmethod
    def of(cls, sums: GramSums, matrix: Float64Array) -> _Problem:
        gram = sums.covariance_x()
        return cls(matrix, gram, sums.covariance_yx() - matrix @ gram)

    def solved(self, penalty: float) -> Float64Array | None:
        """Return the minimum of the penalised error; None if the penalty is too small.

        It is too small for the rounding of the Gram matrix, of which fewer rows than inputs leave
        some directions empty.
        """
        # With x and y about their means, W0 the weights as they are and W = W0 + V, the minimum
        # over V of  mean |y - W0 x - V x|^2 + p |V|^2  is where its derivative is 0:
        #   V (cov(x, x) + p I) = cov(y, x) - W0 cov(x, x),
        # (M, D) times (D, D) on the left, for each group. The right side does not depend on p.
        ridged = self.gram.copy()
        scale = float(np.einsum("gdd->gd", self.gram).mean()) or 1.0
        np.einsum("gdd->gd", ridged)[:] += penalty * scale
        try:
            return self.matrix + divided(self.residual, ridged)
        except linalg.LinAlgError:
            return None


def divided(residual: Float64Array, gram: Float64Array) -> Float64Array:
    """Return ``residual`` times the inverse of each group's positive definite matrix."""
    with one_blas_thread():
        if len(gram) > 1:
            return np.asarray(np.linalg.solve(gram, residual.swapaxes(1, 2))).swapaxes(1, 2)
        factor = linalg.cho_factor(gram[0], overwrite_a=True, check_finite=False)
        return np.asarray(linalg.cho_solve(factor, residual[0].T, check_finite=False)).T[None]
