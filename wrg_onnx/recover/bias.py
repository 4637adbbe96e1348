"""Bias compensation: what a layer lacks of the original's mean output goes into its bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from wrg_onnx.graph import Array
from wrg_onnx.recover.fit import LayerFit, Solved, check_finite
from wrg_onnx.recover.layers import Layer
from wrg_onnx.recover.moments import Float64Array
from wrg_onnx.recover.walk import Values, Walk


def solve_biases(walk: Walk, layers: Sequence[Layer], constants: Values) -> Solved:
    """Add to each bias what its layer lacks of the original's mean output.

    That is what the removed channels contributed on average, and what the means of earlier layers
    still lack.

    Args:
        walk: At the level of the layers.
        layers: Layers of one level.
        constants: The weights and biases as they are, by name.

    Returns:
        The new biases.

    Raises:
        StatisticsError: If an output is not finite; it names the layer.

    Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
    ICCV 2019, arXiv:1906.04721, section 4.2, with means that are measured.
    """
    gaps = {layer.target: _Gap() for layer in layers}
    for originals, found in walk.pairs(layers, [layer.target for layer in layers]):
        for layer in layers:
            y, ours = (_by_channel(layer, v[layer.target]) for v in (originals, found))
            gaps[layer.target].add(y, ours)
    new, fits = {}, []
    for layer in layers:
        gap, bias = gaps[layer.target], constants[layer.bias]
        check_finite(layer.target, gap.gap)
        mean = gap.gap / gap.rows / layer.beta
        new[layer.bias] = (bias + mean.reshape(bias.shape)).astype(bias.dtype)
        before, after = gap.errors()
        fits.append(LayerFit(layer.target, before, after, None, gap.rows, gap.rows))
    return Solved(new, tuple(fits))


def _by_channel(layer: Layer, value: Array) -> Float64Array:
    """Bring a layer's output to (channels, rows)."""
    channels = value.shape[layer.axis]
    return np.moveaxis(value, layer.axis, 0).reshape(channels, -1).astype(np.float64)


def _zero() -> Float64Array:
    return np.zeros(1)


@dataclass(slots=True, eq=False)
class _Gap:
    """Sums over rows, by channel, of the original's output and of what it is more than ours."""

    rows: int = 0
    y: Float64Array = field(default_factory=_zero)
    yy: Float64Array = field(default_factory=_zero)
    gap: Float64Array = field(default_factory=_zero)
    squares: Float64Array = field(default_factory=_zero)

    def add(self, y: Float64Array, ours: Float64Array) -> None:
        gap = y - ours
        self.rows += y.shape[1]
        self.y = self.y + y.sum(axis=1)
        self.yy = self.yy + np.square(y).sum(axis=1)
        self.gap = self.gap + gap.sum(axis=1)
        self.squares = self.squares + np.square(gap).sum(axis=1)

    def errors(self) -> tuple[float, float]:
        """Return the error before and after the mean gap is closed, over the variance."""
        spread = float((self.yy / self.rows - np.square(self.y / self.rows)).sum()) or 1.0
        before = float(self.squares.sum() / self.rows)
        after = before - float(np.square(self.gap / self.rows).sum())
        return before / spread, max(after, 0.0) / spread
