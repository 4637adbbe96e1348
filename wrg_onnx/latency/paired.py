"""How the time of a cut model compares with the original's: in turns, in fresh processes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from wrg_onnx.choices import Provider
from wrg_onnx.files import scratch_folder
from wrg_onnx.graph import Array, Graph, save
from wrg_onnx.latency.fresh import (
    Start,
    Task,
    check_threads,
    find_places,
    started,
    time_fresh,
    write_feeds,
)
from wrg_onnx.latency.interval import Noise, find_noise
from wrg_onnx.latency.times import Times
from wrg_onnx.latency.timing import Timing

TIMING = Timing(warmup=2, rounds=100, budget_s=8.0)
"""Of all processes together."""

FAST = 20
"""Which percentile of the calls is taken."""


def paired_latency(
    original: Graph,
    cut: Graph,
    feeds: Mapping[str, Array],
    provider: Provider,
    rng: np.random.Generator,
    *,
    start: Start = started,
) -> tuple[float, tuple[Noise, Noise]]:
    """Return what a cut model takes over what the original does.

    Sessions of one small model differ by up to 10 % in one process, and more so the older it is;
    so each pair gets processes of its own, several times anew.

    Args:
        original: The original.
        cut: What is left of it, with the same inputs.
        feeds: One input for both.
        provider: Where to compute; ``AUTO`` for where ONNX Runtime does by default.
        rng: Decides the order in each round.
        start: Starts a process.

    Returns:
        The geometric mean, over pairs of processes, of the quotients of what the fifth of the calls
        takes that is fastest. What disturbs a call makes it longer, and a long call is disturbed
        more often: where other programs run, medians would flatter the smaller model. And how much
        calls of each differed.

    Raises:
        ModelError: If ONNX Runtime refuses a model, or a process dies of it.
        DataError: If it fails on the inputs.
        OutputError: If the temporary folder does not take the models.
    """
    place = find_places(provider.value)[-1]  # of the CPU and CUDA the latter
    shapes = {name: array.shape for name, array in feeds.items()}
    with scratch_folder() as folder:
        write_feeds(folder / "feeds.npz", feeds)
        threads = check_threads(None)
        tasks: list[Task] = []
        for label, graph in ((original.name, original), (f"{cut.name}, cut", cut)):
            file = folder / f"{len(tasks)}.onnx"
            save(graph, file)
            tasks.append(Task(label, file, folder / "feeds.npz", place, threads, shapes))
        found = time_fresh(tasks, TIMING, rng, start=start)
    first, second = (found[task.label].times for task in tasks)
    share = np.exp(np.mean(np.log(_fast_ms(second)) - np.log(_fast_ms(first))))
    return float(share), (find_noise(first), find_noise(second))


def _fast_ms(times: Times) -> list[float]:
    """Return by process what its fastest calls take at most."""
    return [float(np.percentile(calls, FAST)) for calls in times.processes]
