"""How long each layer of a model takes on this machine, for any number of channels.

Times are taken where layers stand: the whole model is run at several widths, and ONNX Runtime tells
how long each kernel took, conversions of layout included. Layers with the same shapes share what is
found. Between the widths that were run a layer's time is a sum of products of its lengths, none of
them negative, with each length rounded up to what kernels work on: a staircase that never falls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wrg_onnx.channels import BoolArray, CostTerm, Units
from wrg_onnx.factors import Float64Array
from wrg_onnx.latency.layers import TimedLayers, find_timed_layers, values
from wrg_onnx.latency.steps import ChannelSteps

LEAST_SHARE = 0.1
"""What a time counts as at least, as a share of the mean, where its uncertainty is asked for."""

NOISY_ERROR, NOISY_SPREAD = 0.15, 0.4
"""From which error, or spread of the machine's pace, on a table says little: on two quiet cores the
nets of docs/performance.md have errors of 4 to 7 %."""

TINY = 1e-9
"""Milliseconds, for a layer that takes none."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What a model took at some widths.

    Attributes:
        alive: (units,) bool, the units that were left.
        layers_ms: (layers,) float64, what each layer took.
        total_ms: What a run took, and that is no sum: what lies between kernels counts.
    """

    alive: BoolArray
    layers_ms: Float64Array
    total_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class CostTable:
    """What the time of each layer grows with.

    Attributes:
        steps: How the machine counts channels.
        rates: By layer, (features,) float64: milliseconds for each feature's value. None negative.
        constant_ms: What a run takes beside its layers.
        whole_ms: What the model took as it is.
        spread: How much the pace of the machine varied meanwhile: what the model as it is took
            beside the slowest tenth of the widths, less what it took beside the fastest, over its
            median.
        error: How far the table is from what was measured of the whole model at the widths that
            were run: the mean of the relative differences.
        widths: At how many widths it was run.
        seconds: How long that took.
    """

    steps: ChannelSteps
    rates: Mapping[str, Float64Array] = field(repr=False)
    constant_ms: float
    whole_ms: float
    spread: float
    error: float
    widths: int
    seconds: float

    @property
    def is_noisy(self) -> bool:
        """Whether the machine was too busy for it to say much."""
        return self.error > NOISY_ERROR or self.spread > NOISY_SPREAD

    def terms(self, units: Units) -> tuple[CostTerm, ...]:
        """Return the time of a model as terms, in milliseconds.

        Args:
            units: The analysis of the model that was measured, or of one that it was cut to. A
                layer that was not measured costs nothing.
        """
        found = [CostTerm(self.constant_ms, ())]
        for layer in find_timed_layers(units).layers:
            rates = self.rates.get(layer.name)
            if rates is None or len(rates) != len(layer.features):
                continue
            found += [
                CostTerm(float(rate), feature.axes, feature.tables(self.steps))
                for rate, feature in zip(rates, layer.features, strict=True)
                if rate > 0
            ]
        return tuple(found)


def fit_table(layers: TimedLayers, samples: Sequence[Sample], steps: ChannelSteps) -> CostTable:
    """Fit the time of each layer to what was measured.

    Args:
        layers: The layers.
        samples: What was measured, the model as it is first.
        steps: How the machine counts channels.

    Returns:
        The table, as if it had taken no time on a machine that keeps its pace.
    """
    from scipy.optimize import nnls  # .06 s to load, which most commands need not spend

    times = np.array([sample.layers_ms for sample in samples])
    inputs = [
        np.array([values(layer.features, steps, sample.alive) for sample in samples])
        for layer in layers.layers
    ]
    of_shape: dict[str, list[int]] = {}
    for number, layer in enumerate(layers.layers):
        of_shape.setdefault(layer.shape, []).append(number)
    rates: dict[str, Float64Array] = {}
    fitted = np.zeros(len(samples))
    for numbers in of_shape.values():
        # At full width each feature is 1, whatever it counts.
        scale = np.maximum(inputs[numbers[0]].max(axis=0), 1.0)
        stacked = np.concatenate([inputs[number] for number in numbers]) / scale
        measured = np.concatenate([times[:, number] for number in numbers])
        # Of a long time more is uncertain than of a short one.
        weight = 1 / np.sqrt(measured + LEAST_SHARE * measured.mean() + TINY)
        found, _ = nnls(stacked * weight[:, None], measured * weight)
        for number in numbers:
            rates[layers.layers[number].name] = found / scale
            fitted += inputs[number] @ (found / scale)
    totals = np.array([sample.total_ms for sample in samples])
    # To note times takes time itself, and between kernels there is some, too.
    both = np.stack([fitted, np.ones(len(samples))], axis=1) / totals[:, None]
    (scale, constant), _ = nnls(both, np.ones(len(samples)))
    rates = {name: rate * scale for name, rate in rates.items()}
    error = float(np.abs(both @ (scale, constant) - 1).mean())
    return CostTable(steps, rates, float(constant), float(totals[0]), 0.0, error, len(samples), 0.0)
