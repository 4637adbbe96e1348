"""Time models in processes of their own, several times anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Protocol

import numpy as np

from wrg_onnx.errors import UsageError
from wrg_onnx.latency.compare import MINIMUM_ROUNDS, take_turns
from wrg_onnx.latency.fresh.children import Child, Task
from wrg_onnx.latency.times import Float64Array, Times
from wrg_onnx.latency.timing import Timing
from wrg_onnx.logs import logger_of
from wrg_onnx.progress import Progress, silent

_LOG = logger_of(__name__)

PROCESSES = 5
"""Of each model. Where memory lies, and so how it falls into caches, is drawn anew in each."""

MOST_CALLS = 10
"""In a turn, of a model that is fast."""


class Running(Protocol):
    """A process that runs a model."""

    def run(self, times: int) -> Sequence[int]:
        """Run it as often as asked; return how many nanoseconds each call took."""
        ...

    def peak_bytes(self) -> int | None:
        """Return how much memory it took at most, or None if that is not known."""
        ...


Start = Callable[[Task], AbstractContextManager[Running]]
"""Starts a process that has its model loaded, and ends it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of one model.

    Attributes:
        times: How long each call took.
        peak_bytes: The most memory that its process held beyond what it held before it read the
            model, median of the processes; None where the system does not tell.
    """

    times: Times
    peak_bytes: int | None


@contextmanager
def started(task: Task) -> Iterator[Child]:
    """Start a process, let it load its model, and end it."""
    with Child(task) as child:
        child.open()
        yield child


def time_fresh(
    tasks: Sequence[Task],
    timing: Timing,
    rng: np.random.Generator,
    *,
    processes: int = PROCESSES,
    start: Start = started,
    progress: Progress = silent,
) -> Mapping[str, Measured]:
    """Time models in processes of their own.

    For each repeat a process is started for each model. They live side by side, and take turns: one
    runs, the others wait.

    Args:
        tasks: What to time.
        timing: How long. Rounds and seconds are those of all repeats together.
        rng: Decides every order.
        processes: How many repeats; as many as rounds, if these are fewer.
        start: Starts a process.
        progress: Told how many repeats are done.

    Returns:
        What was measured, by the labels of the tasks, in their order.

    Raises:
        UsageError: If there is nothing to time, or there are fewer processes than 1.
        ModelError: If ONNX Runtime refuses a model, or a process dies.
        DataError: If ONNX Runtime fails on the inputs.
    """
    if processes < 1:
        raise UsageError(f"processes must be at least 1, got {processes}")
    repeats = min(processes, timing.rounds)
    deadline = time.monotonic() + timing.budget_s
    times: dict[str, list[Float64Array]] = {task.label: [] for task in tasks}
    peaks: dict[str, list[int | None]] = {task.label: [] for task in tasks}
    for repeat in range(repeats):
        progress("bench", repeat, repeats)
        # Those of the first repeats that are late are made up for by the others.
        left = max(0.001, (deadline - time.monotonic()) / (repeats - repeat))
        rounds = timing.rounds // repeats + (repeat < timing.rounds % repeats)
        with ExitStack() as stack:
            running = {
                tasks[place].label: stack.enter_context(start(tasks[place]))
                for place in rng.permutation(len(tasks))
            }
            found = take_turns(
                {task.label: running[task.label].run for task in tasks},
                warmup=timing.warmup,
                rounds=rounds,
                rng=rng,
                budget_s=left,
                fewest=-(-MINIMUM_ROUNDS // repeats),
                most_calls=MOST_CALLS,
            )
            for label, child in running.items():
                times[label].append(found[label])
                peaks[label].append(child.peak_bytes())
    progress("bench", repeats, repeats)
    turns = sum(len(each) for each in next(iter(times.values()), []))
    _LOG.info("%d of %d rounds in %d processes of each model", turns, timing.rounds, repeats)
    return {
        label: Measured(Times(tuple(times[label])), _median_bytes(peaks[label])) for label in times
    }


def _median_bytes(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return round(median(known)) if known else None
