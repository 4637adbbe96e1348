"""R: how much a feature map can say, as the numerical rank of its matrix."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.calibrate.rank.inertia import largest_eigenvalues, positive_eigenvalues
from wrg_onnx.calibrate.registry import measures_maps
from wrg_onnx.errors import StatisticsError
from wrg_onnx.factors import RANK, Float64Array, IntArray
from wrg_onnx.graph import Array
from wrg_onnx.graph.threads import one_blas_thread

PART_BYTES = 4 * 2**20
"""How much of the maps, in float64, one thread takes at a time; at least one map."""

SMALL = 40
"""Below this side the eigenvalues are as fast as the inertia."""


@measures_maps(RANK)
def rank_shares(maps: Array) -> Float64Array:
    """Take the mean rank of each channel's maps over the most that it could be.

    Args:
        maps: (N, C, H, W) floats, as ``taps.channels_first`` gives them.

    Returns:
        (C,) float64 in [0, 1]. The ranks are added up before they are divided, so that equal sums
        stay equal.

    Raises:
        StatisticsError: If a map holds a NaN or an infinity.
    """
    matrices = matrix_view(np.ascontiguousarray(maps, np.float32))
    ranks = numerical_ranks(matrices).mean(axis=0)
    return np.asarray(ranks / min(matrices.shape[2:]))


@dataclass(frozen=True, slots=True)
class SequenceMatrix:
    """The matrix in which a sequence is laid, row by row.

    Attributes:
        skipped: How many elements in front are left out.
        rows: Of the matrix.
        columns: Of the matrix.
    """

    skipped: int
    rows: int
    columns: int


def sequence_matrix(height_width: tuple[int, ...]) -> SequenceMatrix | None:
    """Tell how maps become matrices.

    Args:
        height_width: Of the maps; a sequence has a side of 1.

    Returns:
        The matrix that a sequence is laid in; None for what is one already, or a single number.
    """
    length = max(height_width)
    if min(height_width) > 1 or length == 1:
        return None
    # A class token and a square of patches: length = 1 + side^2. Two elements are no such thing.
    skipped = int(length > 2 and math.isqrt(length - 1) ** 2 == length - 1)
    length -= skipped
    # In integers, columns = ceil(sqrt(length)) and rows = ceil(length / columns).
    columns = math.isqrt(length - 1) + 1
    return SequenceMatrix(skipped, -(-length // columns), columns)


def matrix_view(maps: Array) -> Array:
    """View feature maps as matrices that can have a rank.

    Maps that extend in two directions are matrices. A sequence of L, such as the tokens of a
    transformer or a signal, is laid in rows of ceil(sqrt(L)), the last one filled up with zeros:
    the tokens of a square image get their places back. One token more than a square is a class
    token in front, and left out.

    Args:
        maps: (N, C, H, W), as ``taps.channels_first`` gives them; a sequence has a side of 1.

    Returns:
        (N, C, rows, columns).
    """
    matrix = sequence_matrix(maps.shape[2:])
    if matrix is None:
        return maps
    # (N, C, L, 1) or (N, C, 1, L) -> (N, C, L) -> without the class token -> zeros up to
    # rows * columns -> (N, C, rows, columns): token l stands at (l // columns, l % columns).
    flat = maps.reshape(*maps.shape[:2], -1)[:, :, matrix.skipped :]
    missing = matrix.rows * matrix.columns - flat.shape[2]
    padded = np.pad(flat, ((0, 0), (0, 0), (0, missing)))
    return padded.reshape(*maps.shape[:2], matrix.rows, matrix.columns)


def numerical_ranks(maps: Array) -> Float64Array:
    """Count the singular values of each map that float32 can tell from zero.

    They are counted as eigenvalues of the smaller Gram matrix in float64, above the square of
    numpy's and HRank's tolerance ``s_max * max(H, W) * eps(float32)``: by the inertia of the
    matrix less the threshold, which takes half as long as the eigenvalues.

    Args:
        maps: (N, C, H, W) float32.

    Returns:
        (N, C) float64, ranks in [0, min(H, W)].

    Raises:
        StatisticsError: If a map holds a NaN or an infinity.

    Source: Lin et al., "HRank", CVPR 2020, arXiv:2002.10179.
    """
    if not np.isfinite(maps).all():
        raise StatisticsError("a feature map holds NaN or infinity, so it has no rank")
    height, width = maps.shape[2:]
    if min(height, width) == 1:
        return np.asarray(np.abs(maps).max(axis=(2, 3), initial=0.0) > 0, np.float64)
    wide = (maps if height <= width else maps.swapaxes(2, 3)).reshape(
        -1, min(height, width), max(height, width)
    )
    step = max(1, PART_BYTES // (8 * height * width))
    parts = [wide[start : start + step] for start in range(0, len(wide), step)]
    # A matrix is too small for BLAS to share out: its threads wait for each other, up to 25 times
    # longer than one takes alone where the machine is busy. Whole matrices share out well.
    with one_blas_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
        counted: list[IntArray] = list(pool.map(_count, parts))
    return np.asarray(
        np.concatenate([np.empty(0, np.int64), *counted]).reshape(maps.shape[:2]), np.float64
    )


def _count(wide: Array) -> IntArray:
    """Return the ranks of (maps, short, long), int64 (maps,)."""
    # With A one map, (short, long), and s its singular values in falling order:
    #     gram = A A^T, (short, short), has the eigenvalues s^2,
    #     s_i > s_0 * long * eps   <=>   s_i^2 > s_0^2 * tolerance,   tolerance = (long * eps)^2.
    # So `gram - s_0^2 * tolerance * I` has as many positive eigenvalues as A has rank.
    exact = wide.astype(np.float64)
    gram = exact @ exact.swapaxes(1, 2)
    tolerance = (wide.shape[2] * np.finfo(np.float32).eps) ** 2
    if gram.shape[1] < SMALL:
        return _above(np.linalg.eigvalsh(gram), tolerance)
    largest, settled = largest_eigenvalues(gram)
    ranks = np.empty(len(gram), np.int64)
    if not settled.all():
        ranks[~settled] = _above(np.linalg.eigvalsh(gram[~settled]), tolerance)
        gram, largest = gram[settled], largest[settled]
    diagonal = np.arange(gram.shape[1])
    gram[:, diagonal, diagonal] -= (largest * tolerance)[:, None]
    ranks[settled] = positive_eigenvalues(gram)
    return ranks


def _above(eigenvalues: NDArray[np.floating], tolerance: float) -> IntArray:
    """Count the eigenvalues, (maps, short) in rising order, above a share of the largest."""
    threshold = eigenvalues[:, -1:].clip(min=0) * tolerance
    return np.asarray(((eigenvalues > threshold) & (eigenvalues > 0)).sum(axis=-1), np.int64)
