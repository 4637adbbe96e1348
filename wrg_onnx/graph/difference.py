"""How far two arrays are apart: the one measure by which two runs of a model are compared."""

from __future__ import annotations

import numpy as np

from wrg_onnx.graph.model import Array


def gap_and_scale(wanted: Array, found: Array) -> tuple[float, float]:
    """Return the largest difference of any element, and the largest value that it is held against.

    Args:
        wanted: What should come out, of numbers or booleans.
        found: What came out; of the same shape.

    Returns:
        max ``|wanted - found|`` and max ``|wanted|``, computed in float64; both 0 without elements,
        and NaN where a NaN is, or an infinity less an infinity.
    """
    wide = wanted.astype(np.float64)
    with np.errstate(invalid="ignore"):  # NaN says it
        gap = np.abs(wide - found).max(initial=0.0)
    return float(gap), float(np.abs(wide).max(initial=0.0))


def relative_difference(wanted: Array, found: Array, *, least: float = 0.0) -> float:
    """Return the largest difference of any element, relative to the largest value wanted.

    Args:
        wanted: What should come out, of numbers or booleans.
        found: What came out.
        least: What the largest value is taken for at least: of an output of nearly nothing the
            rounding is no error. Where all values are 0, and so is this, the difference itself is
            returned.

    Returns:
        A number of at least 0; infinite where the shapes differ, NaN where a difference is.
    """
    if wanted.shape != found.shape:
        return float("inf")
    gap, scale = gap_and_scale(wanted, found)
    return gap / (max(scale, least) or 1.0)
