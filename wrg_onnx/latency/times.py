"""How long the calls of a model took, and what is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.errors import UsageError

Float64Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one call takes.

    Attributes:
        median_ms: The median of the turns, each being the median of its calls, in milliseconds.
        p95_ms: The time that 95 % of the calls stay below (interpolated), in milliseconds.
        mean_ms: In milliseconds.
        runs: The number of calls that were timed.
    """

    median_ms: float
    p95_ms: float
    mean_ms: float
    runs: int

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise UsageError(f"a latency needs at least 1 run, got {self.runs}")


@dataclass(frozen=True, eq=False)
class Times:
    """How long each call of a model took.

    Attributes:
        processes: For each process that ran it, (turns, calls) float64 in milliseconds.
    """

    processes: tuple[Float64Array, ...]

    def __post_init__(self) -> None:
        for times in self.processes:
            times.setflags(write=False)

    @cached_property
    def turn_medians_ms(self) -> tuple[Float64Array, ...]:
        """The median of each turn, by process; (turns,) float64."""
        return tuple(np.median(times, axis=1) for times in self.processes)

    @cached_property
    def process_medians_ms(self) -> tuple[float, ...]:
        """The median of each process's turns."""
        return tuple(float(np.median(turns)) for turns in self.turn_medians_ms)

    @cached_property
    def latency(self) -> Latency:
        """What all calls together say."""
        calls = np.concatenate([times.reshape(-1) for times in self.processes])
        return Latency(
            median_ms=float(np.median(np.concatenate(self.turn_medians_ms))),
            p95_ms=float(np.percentile(calls, 95)),
            mean_ms=float(calls.mean()),
            runs=len(calls),
        )
