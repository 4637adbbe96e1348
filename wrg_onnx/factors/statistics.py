"""The records that calibration hands to selection: numbers per channel of each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.factors.factor import Factor

Float64Array = NDArray[np.float64]
"""An array of float64, of any shape."""

IntArray = NDArray[np.int64]
"""An array of int64, of any shape."""

BoolArray = NDArray[np.bool_]
"""An array of truth values, of any shape."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerValues:
    """One factor along the channels of one layer.

    Attributes:
        layer: The tensor that it was taken from, for reports.
        units: (C,) int64, the unit of each channel; negative where a channel belongs to none.
        values: (C,) float64, not negative.
    """

    layer: str
    units: IntArray
    values: Float64Array

    def __post_init__(self) -> None:
        if self.units.shape != self.values.shape or self.values.ndim != 1:
            raise ValueError(
                f"'{self.layer}': {self.units.shape} units against {self.values.shape} values"
            )
        self.units.setflags(write=False)
        self.values.setflags(write=False)


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What was measured of a model.

    Attributes:
        factors: The values of each factor that was measured, by layer.
        images: How many images were looked at.
        images_of: How many of them each factor that needs images was averaged over.
    """

    factors: Mapping[Factor, Sequence[LayerValues]] = field(default_factory=dict)
    images: int = 0
    images_of: Mapping[Factor, int] = field(default_factory=dict)

    def of(self, factor: Factor) -> Sequence[LayerValues]:
        """Return the values of one factor, by layer; none if it was not measured."""
        return self.factors.get(factor, ())
