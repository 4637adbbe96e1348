"""Time several models in turns, so that the machine's moods fall on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from wrg_onnx.errors import UsageError
from wrg_onnx.latency.times import Float64Array

MINIMUM_ROUNDS = 5
"""Measured whatever the budget says: below this a median means little."""

TURN_MS = 10.0
"""A turn goes on for as long, if it may hold several calls: those of tiny models are too short to
be told from what the clock and the scheduler add to a single one."""

REFILLED_MS = 100.0
"""A call of that length fills the caches, which others used since, within a per cent of its time;
before shorter ones a call is made that does not count."""

Runner: TypeAlias = Callable[[int], Sequence[int]]
"""Runs a model as often as it is told, and returns how many nanoseconds each call took."""


def timed(call: Callable[[], object]) -> Runner:
    """Make a runner of a callable that has finished its work when it returns."""

    def run(times: int) -> list[int]:
        found = []
        for _ in range(times):
            start_ns = time.perf_counter_ns()
            call()
            found.append(time.perf_counter_ns() - start_ns)
        return found

    return run


def take_turns(  # noqa: PLR0913 - each bounds another thing
    runners: Mapping[str, Runner],
    *,
    warmup: int = 5,
    rounds: int = 50,
    rng: np.random.Generator,
    budget_s: float = 30.0,
    fewest: int = MINIMUM_ROUNDS,
    most_calls: int = 1,
    told: Callable[[], object] = lambda: None,
) -> Mapping[str, Float64Array]:
    """Time models in interleaved rounds, each round in a new random order.

    Running one model to the end before the other begins would charge a warm processor or a busy
    neighbour to one of them; a fixed order would charge what one leaves in the caches to the next.

    Args:
        runners: What to time, by name.
        warmup: Calls of each before the clock counts.
        rounds: Turns of each, at most.
        rng: Decides the order in each round.
        budget_s: No round, and no warm-up but the first, starts later than this many seconds after
            the start; except for the first ``fewest`` rounds.
        fewest: How many rounds run whatever the budget says, or all if fewer are asked for.
        most_calls: How many calls a turn may hold: as many for all as the slowest one makes in 10
            ms. Above 1 each turn begins with a call that does not count, where calls are short.
        told: Called after each round.

    Returns:
        By name, in the order of ``runners``: (turns, calls) float64, in milliseconds. All have as
        many turns.

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
    slowest_ms = REFILLED_MS  # unless warm-up tells
    for done in range(warmup):
        if done and time.perf_counter_ns() > deadline_ns:
            break
        slowest_ms = max(runners[name](1)[0] for name in names) / 1e6
    calls, idle = 1, 0
    if most_calls > 1:
        calls = max(1, min(most_calls, int(TURN_MS / max(slowest_ms, 1e-6))))
        idle = int(slowest_ms < REFILLED_MS)
    times_ns: dict[str, list[Sequence[int]]] = {name: [] for name in names}
    for done in range(rounds):
        if done >= fewest and time.perf_counter_ns() > deadline_ns:
            break
        for position in rng.permutation(len(names)):
            name = names[position]
            times_ns[name].append(runners[name](idle + calls)[idle:])
        told()
    return {name: np.array(times, np.float64) / 1e6 for name, times in times_ns.items()}
