"""How sure a difference in speed is: the interval of a ratio of medians, and a machine's noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.latency.times import Float64Array, Times

CONFIDENCE = 0.95
"""How often an interval holds the ratio, if the machine behaves alike in other runs."""

RESAMPLES = 1000
"""How often the bootstrap draws: its standard error is then known to 2 %."""

STRETCHES = 8
"""Into how many the turns of a single process are cut."""

MIDDLE = (15.87, 84.13)
"""Percentiles that lie a standard error below and above the median of what is normal."""

MOST_SPREAD = 1.1
"""Slowest over fastest process of a model from which on a machine is called noisy."""

MOST_TAIL = 1.5
"""95th percentile over median from which on a machine is called noisy."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as fast as the first model another one is.

    Attributes:
        value: Median of the first over median of the other.
        low: The lower end of its 95 % interval; 0 where a single turn tells nothing.
        high: The upper end; infinite there.
    """

    value: float
    low: float
    high: float

    @property
    def is_beyond_noise(self) -> bool:
        """Whether the interval leaves 1 out: only then one is faster than the other."""
        return not self.low <= 1 <= self.high

    @property
    def is_known(self) -> bool:
        """Whether there were turns enough for an interval."""
        return math.isfinite(self.high)


@dataclass(frozen=True, slots=True)
class Noise:
    """How much the times of one model differ among themselves.

    Attributes:
        spread: Median of its slowest process over that of its fastest; None of a single process.
        tail: 95th percentile over median of all calls.
    """

    spread: float | None
    tail: float

    @property
    def is_much(self) -> bool:
        """Whether figures of this machine are to be taken with care."""
        return (self.spread or 1.0) > MOST_SPREAD or self.tail > MOST_TAIL


def find_noise(times: Times) -> Noise:
    """Return how much a model's times differ among themselves."""
    medians = times.process_medians_ms
    latency = times.latency
    return Noise(
        spread=max(medians) / min(medians) if len(medians) > 1 else None,
        tail=latency.p95_ms / latency.median_ms,
    )


def compare_medians(first: Times, other: Times, rng: np.random.Generator) -> Ratio:
    """Return the ratio of two medians, with the interval that the turns leave open.

    Processes, and within each drawn one its turns, are drawn anew with replacement, both models'
    together: what slowed both in a turn cancels. Half of what holds the middle 68 % of the
    logarithms so found is a standard error; the usual one would be that of a single process that
    the machine left standing. Few processes tell it badly; so it is multiplied by Student's
    quantile for n - 1 degrees of freedom instead of the normal one. n is the number of processes.
    A single process is cut into stretches of turns, which are drawn like processes: neighbours are
    alike. Such an interval knows nothing of how processes differ. Of models that are alike it held
    1 in 94 to 100 of 100 simulated runs (tests/latency/test_interval.py).

    Args:
        first: The times of the first model.
        other: Those of the other, taken in the same turns.
        rng: Draws.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 6, 8 and 12.
    """
    from scipy.special import stdtrit  # .02 s to load, which most commands need not spend

    value = first.latency.median_ms / other.latency.median_ms
    before, after = _stretches(first), _stretches(other)
    turns = [len(stretch) for stretch in before]
    assert turns == [len(stretch) for stretch in after]
    if len(turns) < 2:
        return Ratio(value, 0.0, math.inf)
    chosen = rng.integers(0, len(turns), (RESAMPLES, len(turns)))
    share = rng.random((*chosen.shape, max(turns)))
    taken = (share * np.array(turns)[chosen][..., None]).astype(np.int64)
    logs = np.log(_medians(before, chosen, taken)) - np.log(_medians(after, chosen, taken))
    lower, upper = np.percentile(logs, MIDDLE)
    error = float(upper - lower) / 2
    reach = float(stdtrit(len(turns) - 1, (1 + CONFIDENCE) / 2)) * error
    return Ratio(value, value * math.exp(-reach), value * math.exp(reach))


def _stretches(times: Times) -> Sequence[Float64Array]:
    """Return the turns of each process; those of a single one in stretches."""
    if len(times.turn_medians_ms) > 1:
        return times.turn_medians_ms
    (turns,) = times.turn_medians_ms
    return np.array_split(turns, min(STRETCHES, len(turns)))


def _medians(
    stretches: Sequence[Float64Array],
    chosen: np.ndarray[tuple[int, ...]],
    taken: np.ndarray[tuple[int, ...]],
) -> Float64Array:
    """Return the median of each draw of turns; (draws,) float64."""
    padded = _padded(stretches)
    drawn = padded[chosen[..., None], taken]
    return np.asarray(np.median(drawn.reshape(len(drawn), -1), axis=1), np.float64)


def _padded(rows: Sequence[Float64Array]) -> Float64Array:
    padded = np.zeros((len(rows), max(map(len, rows))))
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded
