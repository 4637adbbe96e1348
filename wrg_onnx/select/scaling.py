"""From numbers per channel of each layer to numbers per unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.factors import Float64Array, LayerValues

LEAST_SHARE = 0.01
"""What a layer's dead channels count as in its geometric mean, as a share of its mean."""


@dataclass(frozen=True, slots=True, eq=False)
class UnitValues:
    """One factor per unit, each layer scaled to geometric mean 1.

    Attributes:
        values: (units,) float64; 1, the geometric mean, where a unit was not measured.
        measured: (units,) bool.
    """

    values: Float64Array
    measured: NDArray[np.bool_] = field(repr=False)


def per_unit(layers: Sequence[LayerValues], count: int) -> UnitValues:
    """Scale each layer by its geometric mean, and average over the layers that a unit passes.

    Args:
        layers: The factor, by layer.
        count: Number of units.

    Returns:
        The values. A layer that is zero everywhere gives zeros.
    """
    total = np.zeros(count)
    times = np.zeros(count)
    for layer in layers:
        owned = layer.units >= 0
        if not owned.any():
            continue
        np.add.at(total, layer.units[owned], _scaled(layer.values[owned]))
        np.add.at(times, layer.units[owned], 1.0)
    measured = times > 0
    return UnitValues(np.divide(total, times, out=np.ones(count), where=measured), measured)


def typical(values: Float64Array) -> float:
    """Return the geometric mean, dead channels counted as ``LEAST_SHARE`` of the mean.

    Args:
        values: (C,) float64, not negative.

    Returns:
        The mean; 0 if there is nothing, or all is zero.
    """
    mean = float(values.mean()) if len(values) else 0.0
    if not mean > 0:
        return 0.0
    return float(np.exp(np.log(np.maximum(values, LEAST_SHARE * mean)).mean()))


def _scaled(values: Float64Array) -> Float64Array:
    """Divide by the geometric mean; (C,) not negative.

    What multiplies factors is scaled by what is multiplicative: a few strong channels lift a mean,
    and all others of their layer would seem weak beside those of other layers.
    """
    return values / (typical(values) or 1.0)
