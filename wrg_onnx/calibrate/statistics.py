"""The records that calibration hands to selection: numbers per channel of each layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class LayerValues:
    """One statistic along the channels of one layer.

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
    """All statistics of a model, by layer.

    Attributes:
        weight: L2 norm of each filter, times what scales its channel right behind it.
        weight_l2: L2 norm of each filter as it is in the file.
        weight_l1: L1 norm of each filter as it is in the file.
        distance: Sum of each filter's Euclidean distances to the other filters of its layer.
        batch_scale: abs of the scale (gamma) of each batch normalisation.
        rank: Mean numerical rank of each feature map over min(height, width), in [0, 1].
        gradient: abs of the mean over positions of gradient x activation of each feature map.
        activation: Mean absolute activation of each feature map.
        images: How many images the last three were averaged over.
    """

    weight: Sequence[LayerValues] = ()
    weight_l2: Sequence[LayerValues] = ()
    weight_l1: Sequence[LayerValues] = ()
    distance: Sequence[LayerValues] = ()
    batch_scale: Sequence[LayerValues] = ()
    rank: Sequence[LayerValues] = ()
    gradient: Sequence[LayerValues] = ()
    activation: Sequence[LayerValues] = ()
    images: int = 0
