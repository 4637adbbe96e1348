"""The cost table of a model on this machine, kept in a folder for other runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.calibrate import Cache
from wrg_onnx.calibrate.cache import LATENCY_SUFFIX, NAME_LENGTH
from wrg_onnx.calibrate.kept_arrays import KeptArrays, UnsoundError, opened
from wrg_onnx.channels import Units
from wrg_onnx.errors import UnreadableError
from wrg_onnx.graph import Graph, Shape, digest
from wrg_onnx.graph.session import runtime
from wrg_onnx.latency.cost_table import CostTable
from wrg_onnx.latency.layers import TimedLayers, find_timed_layers
from wrg_onnx.latency.machine import machine
from wrg_onnx.latency.measure_table import TableOptions, measure_table
from wrg_onnx.latency.steps import ChannelSteps
from wrg_onnx.logs import logger_of
from wrg_onnx.progress import Progress, silent
from wrg_onnx.version import __version__

_LOG = logger_of(__name__)

_FORMAT = 3

_FACTS = 6
"""How many numbers a table has beside its rates."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A cost table, measured now or before.

    Attributes:
        table: The table.
        kept: Whether it was measured before.
        problem: Why what is there was not used, or why nothing is kept; empty if all went well.
    """

    table: CostTable
    kept: bool = False
    problem: str = ""


def find_or_measure_table(  # noqa: PLR0913 - those of the measurement, and where it is kept
    graph: Graph,
    units: Units,
    shapes: Mapping[str, Shape],
    steps: ChannelSteps,
    options: TableOptions,
    cache: Cache | None,
    *,
    progress: Progress = silent,
) -> Found:
    """Return what ``measure_table`` found before, or measure it now.

    It is known again by the layers and their shapes, whatever the weights are, by the machine, the
    cores that this process may use, ONNX Runtime's version and the provider: what was measured
    elsewhere, or with another version, is not found.

    Args:
        graph: The model.
        units: Its analysis.
        shapes: The concrete shape of each input.
        steps: How the machine counts channels.
        options: Where, and how long.
        cache: Where it is kept; None for nowhere.
        progress: Told how many widths are done.

    Raises:
        DataError: As ``measure_table``.
        ModelError: As ``measure_table``.
    """
    if cache is None:
        return Found(measure_table(graph, units, shapes, steps, options, progress=progress))
    layers = find_timed_layers(units)
    key = _key(layers, shapes, steps, options)
    path = cache.folder / f"{key[:NAME_LENGTH]}{LATENCY_SUFFIX}"
    problem = ""
    try:
        with opened(path, key) as archive:
            table = _from_arrays(archive, layers, steps, options)
    except UnreadableError as error:
        if os.path.lexists(path):
            problem = f"{error}; the cost table is measured anew"
    except UnsoundError:
        problem = f"'{path}' holds no cost table of this model; it is measured anew"
    else:
        cache.touch(path)
        _LOG.info("what the layers take on this machine an earlier run has measured")
        return Found(table, kept=True)
    table = measure_table(graph, units, shapes, steps, options, progress=progress)
    if table.is_noisy:
        return Found(table, problem=problem)  # another run may find the machine quiet
    try:
        cache.write(path, key, _to_arrays(table, layers))
    except OSError as error:
        failed = f"cannot keep the cost table in '{path}': {error.strerror}"
        problem = "; ".join(filter(None, (problem, failed)))
    return Found(table, problem=problem)


def _key(
    layers: TimedLayers, shapes: Mapping[str, Shape], steps: ChannelSteps, options: TableOptions
) -> str:
    return digest(
        _FORMAT,
        __version__,
        runtime().__version__,
        machine(),
        [(layer.name, layer.shape) for layer in layers.layers],
        [[axis.tobytes() for axis in f.axes] for layer in layers.layers for f in layer.features],
        sorted(shapes.items()),
        steps,
        replace(options, seconds=0.0),
    )


def _to_arrays(table: CostTable, layers: TimedLayers) -> Iterator[tuple[str, NDArray[np.generic]]]:
    yield "rates", np.concatenate([table.rates[layer.name] for layer in layers.layers])
    facts = [
        table.constant_ms, table.whole_ms, table.spread, table.error, table.widths, table.seconds,
    ]  # fmt: skip
    yield "facts", np.array(facts, np.float64)


def _from_arrays(
    archive: KeptArrays, layers: TimedLayers, steps: ChannelSteps, options: TableOptions
) -> CostTable:
    """Read a table.

    Raises:
        UnreadableError: If it is broken.
        UnsoundError: If it is none of this model, or none that would have been kept.
    """
    sizes = [len(layer.features) for layer in layers.layers]
    rates = archive.take("rates", "<f8", (sum(sizes),)).astype(np.float64)
    facts = archive.take("facts", "<f8", (_FACTS,)).astype(np.float64)
    if (rates < 0).any() or (facts < 0).any():
        raise UnsoundError
    bounds = np.cumsum([0, *sizes])
    by_layer = {
        layer.name: np.asarray(rates[a:b], np.float64)
        for layer, (a, b) in zip(layers.layers, pairwise(bounds), strict=True)
    }
    constant, whole, spread, error, widths, seconds = map(float, facts)
    if whole <= 0 or widths not in range(1, options.most + 1):
        raise UnsoundError
    table = CostTable(steps, by_layer, constant, whole, spread, error, round(widths), seconds)
    if table.is_noisy:
        raise UnsoundError
    return table
