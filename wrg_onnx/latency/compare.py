"""Time several callables side by side, so that the machine's moods fall on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from wrg_onnx.errors import UsageError

MINIMUM_ROUNDS = 5
"""Measured whatever the budget says: below this a median means little."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one call takes.

    Attributes:
        median_ms: In milliseconds.
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


def compare_latency(
    runners: Mapping[str, Callable[[], object]],
    *,
    warmup: int = 5,
    rounds: int = 50,
    rng: np.random.Generator,
    budget_s: float = 30.0,
) -> Mapping[str, Latency]:
    """Time callables in interleaved rounds, each round in a new random order.

    Running one model to the end before the other begins would charge a warm processor or a busy
    neighbour to one of them; a fixed order would charge what one leaves in the caches to the next.

    Args:
        runners: What to time, by name. Each must have finished its work when it returns.
        warmup: Calls of each runner before the clock counts.
        rounds: Timed calls of each runner, at most.
        rng: Decides the order in each round.
        budget_s: No round starts later than this many seconds after the start, warm-up included;
            except that the first 5 rounds (or all, if fewer are asked for) always run.

    Returns:
        The latency by name, in the order of ``runners``. All have the same number of runs.

    Raises:
        UsageError: If there are no runners, or an option is out of its range.
    """
    if not runners:
        raise UsageError("there is nothing to time: give at least one model")
    if warmup < 0 or rounds < 1:
        raise UsageError(f"warmup must be at least 0 and rounds 1, got {warmup} and {rounds}")
    if not budget_s > 0:
        raise UsageError(f"the time budget must be positive, got {budget_s} s")
    deadline_ns = time.perf_counter_ns() + budget_s * 1e9
    names = list(runners)
    for _ in range(warmup):
        for name in names:
            runners[name]()
    times_ns: dict[str, list[int]] = {name: [] for name in names}
    for done in range(rounds):
        if done >= MINIMUM_ROUNDS and time.perf_counter_ns() > deadline_ns:
            break
        for position in rng.permutation(len(names)):
            name = names[position]
            start_ns = time.perf_counter_ns()
            runners[name]()
            times_ns[name].append(time.perf_counter_ns() - start_ns)
    return {name: _summarise(times) for name, times in times_ns.items()}


def _summarise(times_ns: list[int]) -> Latency:
    times_ms = np.array(times_ns, np.float64) / 1e6
    return Latency(
        median_ms=float(np.median(times_ms)),
        p95_ms=float(np.percentile(times_ms, 95)),
        mean_ms=float(times_ms.mean()),
        runs=len(times_ns),
    )
