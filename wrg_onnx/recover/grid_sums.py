"""Sums of a convolution over all places of its output, where neighbours read the same numbers.

At place p tap a of a kernel reads X[p + a]. Its products with what tap b reads, summed over all
places, are a matrix (C, C) for each pair of taps:

    G(a, b) = sum over p of X[p + a] X[p + b]'.

One step e along an axis further, G(a + e, b + e) sums the same products but for those of the first
line of places, which it lacks, and those of one line more. Of the 45 pairs of a 3x3 kernel 13 are
summed in full, and of the others the lines alone: that takes less than half of the time.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from wrg_onnx.factors import Float64Array
from wrg_onnx.graph import Array, Shape
from wrg_onnx.recover.gram_sums import ROWS_AT_ONCE, GramSums
from wrg_onnx.recover.layers import LinearLayer
from wrg_onnx.recover.patches import rows_shape

WIDE = 1024
"""From how many numbers on that a layer reads it may be looked at in all of its places."""

ALL_FROM = 2
"""All places are taken if there are at most this many times as many as are to be drawn."""

_Tap = tuple[int, int]


class GridSums:
    """Adds all places of maps to sums of one group without goals; complete after ``flush``."""

    def __init__(self, sums: GramSums, kernel: tuple[int, int]) -> None:
        """Start.

        Args:
            sums: Empty ones, of patches in the order of ``sampled_patches``.
            kernel: Taps per axis; stride and dilation are 1.
        """
        self._sums, self._kernel = sums, kernel
        self._taps: list[_Tap] = list(itertools.product(range(kernel[0]), range(kernel[1])))
        channels = sums.xx.shape[1] // len(self._taps)
        pairs = itertools.combinations_with_replacement(self._taps, 2)
        self._found = {pair: np.zeros((channels, channels)) for pair in pairs}
        self._waiting: list[Array] = []
        self._grid: tuple[int, ...] = ()
        self._rows = 0

    def add(self, x: Array, grid: tuple[int, ...]) -> None:
        """Add maps.

        Args:
            x: (1, D, rows) float32, the patches of all places of some samples, in their order.
            grid: How many places there are on each axis.
        """
        if grid != self._grid:
            self._add_waiting()
        self._grid = grid
        self._waiting.append(x)
        self._rows += x.shape[2]
        if self._rows >= ROWS_AT_ONCE:
            self._add_waiting()

    def flush(self) -> None:
        """Add what waits, and bring all into the sums."""
        self._add_waiting()
        self._sums.xx[0] = self._whole()
        self._found = {}

    def _add_waiting(self) -> None:
        if not self._rows:
            return
        x = np.concatenate(self._waiting, axis=2)[0]
        self._waiting, self._rows = [], 0
        sums, count = self._sums, len(self._taps)
        if sums.origin.x is None:
            # One for all taps of a channel: else a tap would not read what its neighbour does.
            mean = x.reshape(-1, count * x.shape[1]).mean(axis=1, dtype=np.float64)
            sums.origin.x = np.repeat(mean, count).astype(np.float32)[None, :, None]
            sums.origin.y = np.zeros((1, 0, 1), np.float32)
        x -= sums.origin.x[0]
        sums.x[0] += x.sum(axis=1, dtype=np.float64)
        sums.rows += x.shape[1]
        at = x.reshape(-1, *self._kernel, x.shape[1])
        places = x.reshape(-1, *self._kernel, x.shape[1] // math.prod(self._grid), *self._grid)
        first = [places.take(0, axis).reshape(*places.shape[:3], -1) for axis in (4, 5)]
        last = [places.take(-1, axis).reshape(*places.shape[:3], -1) for axis in (4, 5)]
        with np.errstate(over="ignore", invalid="ignore"):  # as in GramSums.add
            for a, b in self._found:
                axis = _shared(a, b)
                if axis is None:
                    self._found[a, b] += at[:, *a] @ at[:, *b].T
                else:
                    more, less = last[axis], first[axis]  # (C, taps..., samples * places of a line)
                    before_a, before_b = _before(a, axis), _before(b, axis)
                    self._found[a, b] += more[:, *a] @ more[:, *b].T
                    self._found[a, b] -= less[:, *before_a] @ less[:, *before_b].T

    def _whole(self) -> Float64Array:
        """Return the sums of all pairs of taps: (D, D), of each channel its taps."""
        found = self._found
        count = len(self._taps)
        channels = self._sums.xx.shape[1] // count
        whole = np.empty((channels, count, channels, count))
        for a, b in found:  # in the order of a: what stands before comes first
            axis = _shared(a, b)
            if axis is not None:
                found[a, b] += found[_before(a, axis), _before(b, axis)]
            own = found[a, b]
            first, second = self._taps.index(a), self._taps.index(b)
            whole[:, first, :, second] = own
            whole[:, second, :, first] = own.T
        return whole.reshape(self._sums.xx.shape[1:])


def kernel_of_all_places(
    layer: LinearLayer, weight_shape: Shape, x_shape: Shape, wanted: int
) -> tuple[int, int] | None:
    """Return the kernel of a layer that is best looked at in all of its places.

    Args:
        layer: The layer.
        weight_shape: The shape of its weight.
        x_shape: The shape of what it reads; empty if that is not known.
        wanted: At how many places it is to be looked at.

    Returns:
        The taps per axis; None if ``GridSums`` does not serve it, or it would take longer.
    """
    node = layer.node
    if node.op != "Conv" or layer.group > 1 or len(weight_shape) != 4 or len(x_shape) != 4:
        return None
    height, width = weight_shape[2:]
    steps = (node.ints(name, (1, 1)) for name in ("strides", "dilations"))
    if height * width == 1 or math.prod(weight_shape[1:]) < WIDE or set(steps) != {(1, 1)}:
        return None
    places = math.prod(rows_shape(layer, weight_shape, x_shape))
    return (height, width) if 0 < places <= ALL_FROM * wanted else None


def _shared(a: _Tap, b: _Tap) -> int | None:
    """Return an axis on which both taps have one before them; None where there is none."""
    return next((axis for axis in (0, 1) if min(a[axis], b[axis]) > 0), None)


def _before(tap: _Tap, axis: int) -> _Tap:
    return (tap[0] - 1, tap[1]) if axis == 0 else (tap[0], tap[1] - 1)
