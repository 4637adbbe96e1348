"""From values to places along an axis, and where its ticks are."""

from __future__ import annotations

import math
from dataclasses import dataclass

TICKS = 6
"""About how many ticks an axis has."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places along one axis.

    Attributes:
        low: The value at ``start``.
        high: The value at ``end``.
        start: A place.
        end: Another one.
    """

    low: float
    high: float
    start: float = 0.0
    end: float = 100.0

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        return round(self.start + self.share(value) * (self.end - self.start), 1)

    def share(self, value: float) -> float:
        """Return how far a value is on the way from ``low`` to ``high``."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self, count: int = TICKS) -> list[float]:
        """Return round values within the axis."""
        step = round_step((self.high - self.low) / count)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


class LogScale(Scale):
    """The same of logarithms: values of many sizes, all above 0. Smaller ones lie at ``start``."""

    __slots__ = ()

    def share(self, value: float) -> float:
        """Return the same of its logarithm."""
        return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)

    def ticks(self, count: int = TICKS) -> list[float]:
        """Return powers of ten within the axis."""
        first = math.ceil(math.log10(self.low) - 1e-9)
        last = math.floor(math.log10(self.high) + 1e-9)
        step = max(1, math.ceil((last - first + 1) / count))
        return [10.0**power for power in range(first, last + 1, step)]


def round_step(step: float) -> float:
    """Return the next larger of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))
