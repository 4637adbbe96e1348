"""Where a curve that goes down begins to fall."""

from __future__ import annotations

import numpy as np

from wrg_onnx.factors import Float64Array

FEWEST_POINTS = 3
"""The first, the last, and one between them."""


def find_knee(x: Float64Array, y: Float64Array, noise: Float64Array) -> int | None:
    """Return the knee of a curve: its point that lies furthest above the chord.

    The chord joins the first and the last point. With both axes stretched to [0, 1] the distance
    from it and the height above it order points alike, so heights are compared.

    Args:
        x: (points,), ascending.
        y: (points,), what is better the higher it is.
        noise: (points,), how far off each ``y`` may be.

    Returns:
        The index of the knee; None where there is none: the curve does not fall by more than the
        noise of its last point, or no point is above the chord by more than its own.

    Source: Satopaa et al., "Finding a 'Kneedle' in a Haystack: Detecting Knee Points in System
    Behavior", ICDCS Workshops 2011, for one knee and without smoothing; that it must stand out of
    the noise is ours.
    """
    if len(x) < FEWEST_POINTS or not np.isfinite(y).all() or y[0] - y[-1] <= noise[-1]:
        return None
    chord = y[0] + (y[-1] - y[0]) * (x - x[0]) / (x[-1] - x[0])
    above = y - chord
    knee = int(np.argmax(above))
    return knee if above[knee] > noise[knee] else None
