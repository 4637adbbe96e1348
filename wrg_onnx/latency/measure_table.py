"""Measures the cost table of a model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wrg_onnx.channels import Units, random_feeds
from wrg_onnx.factors import Float64Array
from wrg_onnx.graph import Array, Graph, Provider, Session, Shape, open_session
from wrg_onnx.graph.profiled import Kernel, check_profiled, profiled_session
from wrg_onnx.latency.cost_table import CostTable, Sample, fit_table
from wrg_onnx.latency.layers import TimedLayers, find_timed_layers
from wrg_onnx.latency.steps import ChannelSteps
from wrg_onnx.latency.widths import widths
from wrg_onnx.progress import Progress, silent
from wrg_onnx.rewrite import apply_plan, plan_slices

FUSED = "fused "
"""What the name of some nodes begins with that ONNX Runtime makes of two."""

TURN = 3
"""How often a model runs before another has its turn."""

QUIET = 25
"""Which percentile of the runs is taken."""


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How long to measure.

    Attributes:
        provider: Where; ``CPU`` or ``CUDA``.
        most: At how many widths the model is run, at most.
        fewest: And at least, however long that takes.
        runs: How often at each, at least.
        each_s: For how long at each, at least.
        seconds: No width is begun later than this.
        seed: Seed of the widths and of the input.
    """

    provider: Provider = Provider.CPU
    most: int = 24
    fewest: int = 6
    runs: int = 6
    each_s: float = 0.5
    seconds: float = 100.0
    seed: int = 0


def measure_table(
    graph: Graph,
    units: Units,
    shapes: Mapping[str, Shape],
    steps: ChannelSteps,
    options: TableOptions,
    *,
    progress: Progress = silent,
) -> CostTable:
    """Run a model at several widths, and fit how long each layer takes.

    Args:
        graph: The model.
        units: Its analysis.
        shapes: The concrete shape of each input.
        steps: How the machine counts channels.
        options: Where, and how long.
        progress: Told how many widths are done.

    Raises:
        DataError: If ONNX Runtime fails, or notes no times of its kernels.
        ModelError: If it refuses the model at some width.
    """
    start = time.perf_counter()
    rng = np.random.default_rng(options.seed)
    feeds = random_feeds(graph, shapes, rng)
    layers = find_timed_layers(units)
    whole = open_session(graph, provider=options.provider)
    samples: list[Sample] = []
    pace: list[float] = []
    for alive in widths(units, steps, options.most, rng):
        if len(samples) >= options.fewest and time.perf_counter() - start > options.seconds:
            break
        cut = graph if alive.all() else apply_plan(graph, plan_slices(units, alive))
        found, before = _sample(cut, whole, feeds, layers, options)
        samples.append(Sample(alive, *found))
        pace.append(before)
        progress("cost table", len(samples), options.most)
    # A machine that was slower for a while was so for the whole model, too, which ran in turn.
    usual = float(np.median(pace))
    samples = [
        Sample(s.alive, s.layers_ms * usual / own, s.total_ms * usual / own)
        for s, own in zip(samples, pace, strict=True)
    ]
    slow, fast = (float(np.percentile(pace, share)) for share in (90, 10))
    return replace(
        fit_table(layers, samples, steps),
        spread=(slow - fast) / usual,
        seconds=time.perf_counter() - start,
    )


def _sample(
    cut: Graph,
    whole: Session,
    feeds: Mapping[str, Array],
    layers: TimedLayers,
    options: TableOptions,
) -> tuple[tuple[Float64Array, float], float]:
    """Run a model at one width in turn with the original.

    Returns:
        What each layer and a run took, and what the original took meanwhile, in milliseconds.
    """
    plain = open_session(cut, provider=options.provider)
    taken: tuple[list[float], list[float]] = ([], [])
    with profiled_session(cut, options.provider) as profiled:
        counted: list[bool] = []
        until = time.perf_counter() + options.each_s
        while len(taken[0]) < options.runs or time.perf_counter() < until:
            # The first run of each turn fills the caches, which the others have used since.
            for turn in range(TURN):
                profiled.run(feeds)
                counted.append(turn > 0)
            for times, session in zip(taken, (plain, whole), strict=True):
                times.extend(_timed_turn(session, feeds))
        runs = [run for run, counts in zip(profiled.finish(), counted, strict=True) if counts]
    check_profiled(runs, cut.name)
    # What disturbs a run makes it longer.
    layers_ms = np.percentile([_by_layer(run, layers) for run in runs], QUIET, axis=0) / 1e3
    total, before = (float(np.percentile(times, QUIET)) for times in taken)
    return (layers_ms, total), before


def _timed_turn(session: Session, feeds: Mapping[str, Array]) -> list[float]:
    """Run a turn; return what each run but the first took, in milliseconds."""
    found = []
    for _ in range(TURN):
        begin = time.perf_counter_ns()
        session.run(feeds)
        found.append((time.perf_counter_ns() - begin) / 1e6)
    return found[1:]


def _by_layer(run: Sequence[Kernel], layers: TimedLayers) -> Float64Array:
    """Add up the times of the kernels of each layer, in microseconds.

    What ONNX Runtime has added, such as a conversion of layout, counts for the layer before it.
    """
    found = np.zeros(len(layers.layers))
    number = 0
    for kernel in run:
        number = _layer_of(kernel.name, layers.layer_of, number)
        found[number] += kernel.microseconds
    return found


def _layer_of(kernel: str, layer_of: Mapping[str, int], before: int) -> int:
    """Return the layer of a kernel by its name; that before it where the name tells none.

    ONNX Runtime names a node that it makes of others after one of them: ``fused X``, ``X_nchwc``,
    ``X/MatMulAddFusion``, ``X_quantized_token_2``.
    """
    name = kernel.removeprefix(FUSED)
    while name not in layer_of:
        cut = max(name.rfind("/"), name.rfind("_"))
        if cut <= 0:
            return before
        name = name[:cut]
    return layer_of[name]
