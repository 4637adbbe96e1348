"""The sums that a least-squares problem is solved from, gathered a chunk of rows at a time.

Its normal equations need no row by itself: the Gram matrix of the inputs and their products with
the goals do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.graph import Array

Float64Array = NDArray[np.float64]

SMALLEST = float(np.finfo(np.float32).tiny / np.finfo(np.float32).eps)
"""A variance from which on float32 has all of its digits for a product."""

ROWS_AT_ONCE = 2048
"""How many rows wait for a product: each passes over a whole Gram matrix."""


@dataclass(slots=True, eq=False)
class Origin:
    """Where x and y are counted from: about their means, so that products in float32 are exact.

    Attributes:
        x: (G, D, 1) float32; None until the first rows come.
        y: (G, M, 1) float32.
    """

    x: Array | None = None
    y: Array | None = None


@dataclass(slots=True, eq=False)
class GramSums:
    """Sums over rows of inputs x and goals y, group by group, counted from an origin.

    Attributes:
        origin: The origin, the mean of the first rows that came.
        rows: How many rows were added.
        x: (G, D), the sum of x.
        y: (G, M), the sum of y.
        xx: (G, D, D), the sum of x x' (the Gram matrix).
        yx: (G, M, D), the sum of y x'.
        yy: (G, M), the sum of the squares of y.
    """

    origin: Origin
    rows: int
    x: Float64Array
    y: Float64Array
    xx: Float64Array
    yx: Float64Array
    yy: Float64Array

    @classmethod
    def empty(cls, groups: int, inputs: int, goals: int, origin: Origin) -> GramSums:
        """Return the sums over no rows; sums that are to be joined share their origin."""
        shapes = ((inputs,), (goals,), (inputs, inputs), (goals, inputs), (goals,))
        return cls(origin, 0, *(np.zeros((groups, *shape)) for shape in shapes))

    def add(self, x: Array, y: Array) -> None:
        """Add rows, in place.

        Args:
            x: (G, D, rows) float32. Products are taken in float32 and summed up in float64.
            y: (G, M, rows) float32.
        """
        if self.origin.x is None or self.origin.y is None:
            self.origin.x = x.mean(axis=2, keepdims=True, dtype=np.float64).astype(np.float32)
            self.origin.y = y.mean(axis=2, keepdims=True, dtype=np.float64).astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at the sums
            x, y = x - self.origin.x, y - self.origin.y
            turned = x.swapaxes(1, 2)
            self.x += x.sum(axis=2, dtype=np.float64)
            self.y += y.sum(axis=2, dtype=np.float64)
            # A single matrix is multiplied by its transpose in half the time (syrk).
            self.xx += x @ turned if len(x) > 1 else x[0] @ x[0].T
            self.yx += y @ turned
            self.yy += np.square(y).sum(axis=2, dtype=np.float64)
        self.rows += x.shape[2]

    def joined(self, other: GramSums) -> GramSums:
        """Return the sums over the rows of both."""
        assert self.origin is other.origin
        return GramSums(
            self.origin,
            self.rows + other.rows,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.yx + other.yx,
            self.yy + other.yy,
        )

    def covariance_x(self) -> Float64Array:
        """Return (G, D, D), the mean of x x' about the mean.

        Of a group whose products float32 cannot hold it is zero, as if its inputs were constant:
        what is left of them after rounding need not even be positive.
        """
        mean = self.x / self.rows
        found = self.xx / self.rows
        found -= mean[:, :, None] * mean[:, None]
        found[np.einsum("gdd->gd", found).max(axis=1, initial=0.0) < SMALLEST] = 0
        return found

    def covariance_yx(self) -> Float64Array:
        """Return (G, M, D), the mean of y x' about the means."""
        mean_x, mean_y = self.x / self.rows, self.y / self.rows
        return np.asarray(self.yx / self.rows - mean_y[:, :, None] * mean_x[:, None])

    def variance_y(self) -> Float64Array:
        """Return (G, M)."""
        return np.asarray(self.yy / self.rows - (self.y / self.rows) ** 2)

    def intercept(self, matrix: Float64Array) -> Float64Array:
        """Return the bias with which the mean of ``matrix x + bias`` is that of y: (G, M)."""
        assert self.origin.x is not None
        assert self.origin.y is not None
        mean_x = self.x / self.rows + self.origin.x[..., 0]
        mean_y = self.y / self.rows + self.origin.y[..., 0]
        return np.asarray(mean_y - np.einsum("gmd,gd->gm", matrix, mean_x))

    def error(
        self, matrix: Float64Array, bias: Float64Array, gram: Float64Array | None = None
    ) -> Float64Array:
        """Return the mean over rows of ``(y - matrix x - bias)^2`` for each output: (G, M).

        Args:
            matrix: (G, M, D).
            bias: (G, M).
            gram: (G, D, D), ``covariance_x()``, where it is at hand.
        """
        # With x and y about their means, W the matrix and one output at a time,
        #   mean (y - W x)^2 = var y - 2 W cov(x, y) + W cov(x, x) W'
        #                    = var y + (W cov(x, x) - 2 cov(y, x)) W';
        # what the bias is off the one that suits the means comes on top, squared.
        left = matrix @ (self.covariance_x() if gram is None else gram) - 2 * self.covariance_yx()
        centred = self.variance_y() + np.einsum("gmd,gmd->gm", left, matrix)
        gap = self.intercept(matrix) - bias
        return np.asarray(np.maximum(centred, 0) + np.square(gap))


@dataclass(slots=True, eq=False)
class Waiting:
    """Rows that wait until there are enough of them to be added to sums.

    Attributes:
        sums: What they are added to; complete after ``flush``.
    """

    sums: GramSums
    _x: list[Array] = field(default_factory=list)
    _y: list[Array] = field(default_factory=list)
    _rows: int = 0

    def add(self, x: Array, y: Array) -> None:
        """Add rows, as ``GramSums.add`` takes them."""
        self._x.append(x)
        self._y.append(y)
        self._rows += x.shape[2]
        if self._rows >= ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Add the rows that wait."""
        if self._rows:
            self.sums.add(np.concatenate(self._x, axis=2), np.concatenate(self._y, axis=2))
        self._x, self._y, self._rows = [], [], 0


def gram_bytes(groups: int, inputs: int) -> int:
    """Return the memory of the Gram matrices, fit and held-out, and of one factorisation."""
    return 8 * groups * inputs * inputs * 4


def most_rows(most_bytes: int) -> int:
    """Return of how many rows at most the kernel, rows by rows, takes no more in the same way."""
    return math.isqrt(most_bytes // gram_bytes(1, 1))
