"""Run models under ONNX Runtime's profiler, each in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from wrg_onnx.latency.compare import take_turns
from wrg_onnx.latency.fresh.children import Child, Task
from wrg_onnx.latency.fresh.measure import started
from wrg_onnx.latency.profile.kernels import Profile, read_profile
from wrg_onnx.latency.timing import Timing
from wrg_onnx.progress import Counter, Progress, silent

MOST_ROUNDS = 20
"""Of the profiler: it writes some hundred bytes for each node and run."""


def profile_models(
    tasks: Sequence[Task],
    folder: Path,
    timing: Timing,
    rng: np.random.Generator,
    progress: Progress = silent,
) -> Mapping[str, Profile]:
    """Run models in turns under the profiler.

    Args:
        tasks: What to run, on the CPU: elsewhere the profiler tells when work was asked for, not
            when it was done, or knows no layers.
        folder: Where ONNX Runtime may write: the weights once more, and a profile.
        timing: How long.
        rng: Decides the order in each round.
        progress: Told how many rounds are done.

    Returns:
        What ran, by the labels of the tasks.

    Raises:
        ModelError: If ONNX Runtime refuses a model, or a process dies.
        DataError: If ONNX Runtime fails on the inputs.
    """
    running: dict[str, Child] = {}
    rounds = min(timing.rounds, MOST_ROUNDS)
    prefixes = {task.label: folder / f"model{number}" for number, task in enumerate(tasks)}
    with ExitStack() as stack:
        for task in tasks:
            watched = replace(task, profile=prefixes[task.label])
            running[task.label] = stack.enter_context(started(watched))
        turns = take_turns(
            {label: child.run for label, child in running.items()},
            warmup=timing.warmup,
            rounds=rounds,
            rng=rng,
            budget_s=timing.budget_s,
            told=Counter(progress, "profile", rounds).add,
        )
        return {
            label: read_profile(
                child.end_profile(), prefixes[label].with_suffix(".onnx"), last=len(turns[label])
            )
            for label, child in running.items()
        }
