"""Time models side by side."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from wrg_onnx.channels import random_feeds
from wrg_onnx.errors import UsageError
from wrg_onnx.graph import Graph, Provider, fill_inputs
from wrg_onnx.latency import Timing, available_providers, time_models
from wrg_onnx.pipeline.config import DataOptions
from wrg_onnx.pipeline.input_shapes import concrete_shapes
from wrg_onnx.pipeline.result import Result
from wrg_onnx.pipeline.source import Source, read_source
from wrg_onnx.report.records import BenchReport, BenchReports


def bench(
    sources: Sequence[Source],
    options: DataOptions,
    *,
    provider: Provider = Provider.AUTO,
    timing: Timing | None = None,
    seed: int = 0,
) -> Result[BenchReports]:
    """Time models side by side on the same random input.

    Args:
        sources: The models. All must have the same inputs.
        options: Tells the size of an image input that leaves it open.
        provider: Where; ``AUTO`` measures on the CPU and, where it is there, on CUDA.
        timing: How long.
        seed: Seed of the input and of the order in each round.

    Returns:
        A report per provider.

    Raises:
        UsageError: If the models' inputs differ, or a file is named twice.
        ModelError: If a model is not a valid one.
    """
    paths = [source for source in sources if isinstance(source, Path)]
    if len({*paths}) != len(paths):
        raise UsageError("bench: a model is named twice")
    graphs: dict[str, Graph] = {}
    for source in sources:
        graph = fill_inputs(read_source(source), options.values)
        graphs[_free_name(graph.name, graphs)] = graph
    first, *others = graphs.values()
    for other in others:
        if other.inputs != first.inputs:
            raise UsageError(
                f"'{other.name}' has other inputs than '{first.name}': only models with the same "
                "inputs can be timed side by side"
            )
    shapes = concrete_shapes(first, options)
    feeds = random_feeds(first, shapes, np.random.default_rng(seed))
    reports = []
    for place in available_providers(provider):
        rng = np.random.default_rng(seed)
        latency = time_models(graphs, feeds, place, timing or Timing(), rng)
        reports.append(BenchReport(place.value, latency, shapes))
    return Result(BenchReports(tuple(reports)))


def _free_name(name: str, taken: Container[str]) -> str:
    """Number models of the same name: those in memory need not have names of their own."""
    number = 1
    while (shown := name if number == 1 else f"{name} ({number})") in taken:
        number += 1
    return shown
