"""What was measured: a row of numbers per image, from which every later question is answered.

Means, their certainty, going on after a stop, and sharing the images out all need to know what one
image said. A row is small: a number per channel of each layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wrg_onnx.calibrate.taps import Tap
from wrg_onnx.data.dataset import Sample
from wrg_onnx.factors import Factor, Float64Array, LayerValues

Row = Mapping[Factor, Float64Array]
"""For each factor (channels of all taps,) float64, one tap after the other."""


class Probe(Protocol):
    """Something that measures a model on images."""

    @property
    def factors(self) -> tuple[Factor, ...]:
        """What it measures."""

    def measure(self, samples: Sequence[Sample]) -> list[Row]:
        """Measure images, at once where that is faster; each gets a row of its own.

        Raises:
            StatisticsError: If a number is not finite; it names the tensor.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """What was measured on some images.

    Attributes:
        taps: Where.
        rows: For each factor (images, channels of all taps) float64; of one that stopped early the
            first images alone.
        images: How many images were looked at.
    """

    taps: tuple[Tap, ...]
    rows: Mapping[Factor, Float64Array]
    images: int

    @property
    def images_of(self) -> Mapping[Factor, int]:
        """On how many images each factor was measured."""
        return {factor: len(rows) for factor, rows in self.rows.items()}

    def layers(self, factor: Factor, times: Float64Array | None = None) -> tuple[LayerValues, ...]:
        """Return the means over the images, by layer.

        Args:
            factor: What was measured; none of it gives no layers.
            times: (images,) float64, how often each image counts; once each if None, or if no image
                that the factor was measured on counts.
        """
        if factor not in self.rows:
            return ()
        whole = self.rows[factor]
        counts = None if times is None else times[: len(whole)]
        if counts is None or not counts.any():
            mean = whole.mean(0)
        else:
            mean = counts @ whole / counts.sum()
        return tuple(
            LayerValues(tap.tensor, tap.units, values)
            for tap, values in zip(self.taps, by_tap(self.taps, mean), strict=True)
        )


def row_length(taps: Sequence[Tap]) -> int:
    """Return how many numbers a row holds: one for each channel of each tap."""
    return sum(len(tap.units) for tap in taps)


def by_tap(taps: Sequence[Tap], row: Float64Array) -> list[Float64Array]:
    """Divide the last axis of rows into the channels of each tap."""
    bounds = np.cumsum([len(tap.units) for tap in taps])[:-1]
    return [np.ascontiguousarray(part) for part in np.split(row, bounds, axis=-1)]
