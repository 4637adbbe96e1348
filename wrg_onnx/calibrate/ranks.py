"""R: how much a feature map can say, as the numerical rank of its matrix."""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dsytrf

from wrg_onnx.calibrate.statistics import Float64Array
from wrg_onnx.graph import Array, StatisticsError

INERTIA_SIDE = 96
"""From this side on, counting signs of a factorisation beats computing eigenvalues: 4 times at 224
pixels, 30 times at 480."""

POWER_STEPS = 24
SLACK = 1.25
"""The largest eigenvalue is estimated; the count must be the same up to this much above it."""


def numerical_ranks(maps: Array) -> Float64Array:
    """Count the singular values of each map that float32 can tell from zero.

    They are counted as eigenvalues of the smaller Gram matrix in float64, above the square of
    numpy's and HRank's tolerance ``s_max * max(H, W) * eps(float32)``.

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
    wide = maps if height <= width else maps.swapaxes(2, 3)
    tolerance = float(max(height, width) * np.finfo(np.float32).eps) ** 2
    if min(height, width) < INERTIA_SIDE:
        wide = wide.astype(np.float64)
        return _by_eigenvalues(wide @ wide.swapaxes(2, 3), tolerance)
    ranks = np.empty(maps.shape[:2])
    for place in np.ndindex(*ranks.shape):  # one at a time: in float64 a batch may be large
        one = wide[place].astype(np.float64)
        ranks[place] = _by_inertia(one @ one.T, tolerance)
    return ranks


def _by_eigenvalues(grams: Float64Array, tolerance: float) -> Float64Array:
    eigenvalues = np.linalg.eigvalsh(grams)
    threshold = eigenvalues[..., -1:].clip(min=0) * tolerance
    return np.asarray(((eigenvalues > threshold) & (eigenvalues > 0)).sum(axis=-1), np.float64)


def _by_inertia(gram: Float64Array, tolerance: float) -> float:
    """Count eigenvalues above ``tolerance`` times the largest, by Sylvester's law of inertia."""
    largest = _largest_eigenvalue(gram)
    if largest == 0:
        return 0.0
    counts = {_count_above(gram, tolerance * largest * slack) for slack in (1, SLACK)}
    # An eigenvalue so near the threshold is rare; then the largest one has to be known exactly.
    return float(counts.pop() if len(counts) == 1 else _by_eigenvalues(gram, tolerance))


def _largest_eigenvalue(gram: Float64Array) -> float:
    """Estimate it from below, by power iteration from the longest row and a fixed random one."""
    scale = float(gram.diagonal().max())
    if scale == 0:
        return 0.0
    start = np.random.default_rng(0).choice([-1.0, 1.0], len(gram))
    vector = gram[gram.diagonal().argmax()] / scale + gram @ start / (scale * len(gram))
    estimate = scale
    for _ in range(POWER_STEPS):
        vector = gram @ (vector / np.linalg.norm(vector))
        estimate = max(estimate, float(np.linalg.norm(vector)))
    return estimate


def _count_above(gram: Float64Array, threshold: float) -> int:
    shifted = np.array(gram, order="F")
    shifted.flat[:: len(gram) + 1] -= threshold
    factors, pivots, _ = dsytrf(shifted, lower=1, overwrite_a=1)
    # A negative pivot marks half of a 2 x 2 block, which has one eigenvalue of each sign.
    single = pivots > 0
    return int((factors.diagonal()[single] > 0).sum() + (~single).sum() // 2)
