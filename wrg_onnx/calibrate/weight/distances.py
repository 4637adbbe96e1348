"""FPGM: how far a filter is from the others of its layer."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from wrg_onnx.calibrate.registry import measures_weights
from wrg_onnx.calibrate.weight.filters import Filters, all_filters
from wrg_onnx.channels import Units
from wrg_onnx.factors import DISTANCE, Float64Array, LayerValues
from wrg_onnx.graph import one_blas_thread, usable_cores

BLOCK_ELEMENTS = 1 << 23
"""How many numbers a block of filters, or of their distances, has at most: 64 MiB in float64."""


@measures_weights(DISTANCE)
def filter_distances(units: Units) -> list[LayerValues]:
    """Sum the Euclidean distances of every filter to the other filters of its layer.

    The filter with the least sum is nearest to the geometric median: the others can replace it.
    The time grows with the square of a layer's filters, so layers that stay whole are left out.

    Args:
        units: The analysis of the model.

    Returns:
        The sums, one entry per axis of a constant that holds filters of which one may go.

    Source: He et al., "Filter Pruning via Geometric Median", CVPR 2019, arXiv:1811.00250.
    """
    found = [one for one in all_filters(units) if units.removable[one.units].any()]
    # How BLAS shares a product out decides in which order it adds up: whole layers are shared out.
    with one_blas_thread(), ThreadPoolExecutor(usable_cores()) as pool:
        sums = list(pool.map(_distances, found))
    return [LayerValues(f.layer, f.units, own) for f, own in zip(found, sums, strict=True)]


def _distances(filters: Filters) -> Float64Array:
    """Sum each filter's distances to the others, block against block."""
    sums = np.zeros(filters.count)
    rows = filters.rows()
    step = max(1, min(BLOCK_ELEMENTS // max(1, filters.elements), math.isqrt(BLOCK_ELEMENTS)))
    blocks = [slice(start, start + step) for start in range(0, filters.count, step)]
    # The distances are a symmetric matrix (filters, filters), of which only one block of rows and
    # columns is there at a time: those on and right of the diagonal. A block off the diagonal
    # counts twice, by rows for the filters `here` and by columns for those `there`.
    for place, here in enumerate(blocks):
        first = rows(here).astype(np.float64)
        distances = _between(first, first)
        np.fill_diagonal(distances, 0)  # rounding leaves a filter at 1e-8 of itself
        sums[here] += distances.sum(axis=1)
        for there in blocks[place + 1 :]:
            distances = _between(first, rows(there).astype(np.float64))
            sums[here] += distances.sum(axis=1)
            sums[there] += distances.sum(axis=0)
    return sums


def _between(first: Float64Array, second: Float64Array) -> Float64Array:
    """Return the distances of rows, (n, d) and (m, d) to (n, m).

    They come from products, which is many times faster than differences. What that loses is less
    than float32 weights tell apart.
    """
    # (n, m): |a - b|^2 = |a|^2 + |b|^2 - 2 a b, for each row a of `first` and b of `second`.
    mine, others = (np.einsum("ij,ij->i", rows, rows) for rows in (first, second))
    apart: Float64Array = first @ second.T
    apart *= -2
    apart += mine[:, None]
    apart += others
    np.maximum(apart, 0, out=apart)  # rounding may leave less
    return np.sqrt(apart)
