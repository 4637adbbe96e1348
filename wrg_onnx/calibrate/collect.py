"""Measure the factors that a criterion needs, on no more images than the choice needs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from wrg_onnx.calibrate.kept_rows import digest_of
from wrg_onnx.calibrate.measurements import Measurements, row_length
from wrg_onnx.calibrate.options import CollectOptions
from wrg_onnx.calibrate.probes import StoredProbe, probes_for
from wrg_onnx.calibrate.registry import measure_weights
from wrg_onnx.calibrate.taps import Tap, plan_taps
from wrg_onnx.channels import Units
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.data.workers import of_first
from wrg_onnx.errors import StatisticsError
from wrg_onnx.factors import Factor, Float64Array, Source, Statistics, from_source
from wrg_onnx.progress import Progress, silent

CertaintyFunction: TypeAlias = Callable[[Statistics, Callable[[Float64Array], Statistics]], float]
"""Told the statistics, and how to have them with each image counted so many times; returns how
sure the choice is that is made by them, in [0, 1]."""

GROWTH = 1.25
"""How much the images grow between two looks at the certainty."""


@dataclass(frozen=True, slots=True, eq=False)
class Collected:
    """What was measured, and how far one can rely on it.

    Attributes:
        statistics: The statistics.
        certainty: What the caller's ``certainty`` last said; None if it was never asked.
        notes: What a user should know, such as a cache that could not be used.
    """

    statistics: Statistics
    certainty: float | None = None
    notes: tuple[str, ...] = ()


def collect(
    units: Units,
    data: DataSet | None,
    options: CollectOptions,
    *,
    saliency: SaliencyMap | None = None,
    certainty: CertaintyFunction | None = None,
    progress: Progress = silent,
) -> Collected:
    """Measure factors of a model, image by image, until the choice is certain enough.

    Args:
        units: The analysis of the model.
        data: The calibration images in the order in which they are looked at; None if only weights
            are needed.
        options: Which factors, and how.
        saliency: How to read the saliency map, None if the model has none.
        certainty: How sure the choice is; without it all images are looked at.
        progress: Told how many images are done.

    Returns:
        The statistics: what was wanted, and what came with it at no cost.

    Raises:
        MissingPackageError: If gradients are needed and torch is not installed.
        UnsupportedOperatorError: If gradients are needed and an operator has no twin.
        StatisticsError: If a feature map or a gradient is not finite, or there is no feature map,
            or no batch normalisation whose scale could be taken.
    """
    weights = {
        factor: measure_weights(factor, units)
        for factor in from_source(options.factors, Source.WEIGHTS)
    }
    if data is None or not any(factor.source.needs_data for factor in options.factors):
        return Collected(Statistics(weights))
    taps = plan_taps(units)
    if not taps and units.removable.any():
        raise StatisticsError(
            "no layer that can be pruned makes a feature map that can be looked at: use a "
            "criterion on the weights alone, such as --criterion l1"
        )
    if not taps:
        return Collected(Statistics(weights))

    def statistics(found: Measurements, times: Float64Array | None = None) -> Statistics:
        measured = {factor: found.layers(factor, times) for factor in found.rows}
        return Statistics({**weights, **measured}, found.images)

    probes = probes_for(units.graph, taps, saliency, options)
    if not len(data):
        raise StatisticsError("there is no image to take statistics from")
    sure = None
    with closing(_passes(probes, taps, data, options, progress)) as passes:
        for found in passes:
            mean = statistics(found)
            if certainty is not None and found.images >= options.least:
                # The first process's word counts: all must stop after the same image.
                sure = of_first(certainty(mean, partial(statistics, found)), options.workers)
                if sure >= options.enough:
                    break
    notes = dict.fromkeys(note for probe in probes for note in probe.notes())
    return Collected(mean, sure, tuple(notes))


def _passes(
    probes: Sequence[StoredProbe],
    taps: tuple[Tap, ...],
    data: DataSet,
    options: CollectOptions,
    progress: Progress,
) -> Generator[Measurements, None, None]:
    """Yield all that was measured so far, each time of some images more."""
    workers, width = options.workers, row_length(taps)
    factors = [factor for probe in probes for factor in probe.factors]
    block = max(probe.block for probe in probes)
    rows = {factor: np.empty((0, width)) for factor in factors}
    done = 0
    try:
        while done < len(data):
            wanted = max(options.least, int(np.ceil(done * GROWTH)))
            # Up to whole blocks, counted from the first image: a block is of one process, and on a
            # GPU its images are measured together.
            stop = min(len(data), -(-wanted // block) * block)
            fresh = {factor: np.zeros((stop - done, width)) for factor in factors}
            for start in range(done, stop, block):
                if start // block % workers.count == workers.index:
                    numbers = range(start, min(start + block, stop))
                    _measure(probes, data, numbers, fresh, first=done)
                progress("statistics", min(start + block, stop), len(data))
            for factor, part in fresh.items():
                rows[factor] = np.concatenate([rows[factor], workers.total(part)])
            done = stop
            yield Measurements(taps, rows, done)
    finally:
        for probe in probes:
            if probe.store is not None:
                probe.store.flush()


def _measure(
    probes: Sequence[StoredProbe],
    data: DataSet,
    numbers: range,
    fresh: Mapping[Factor, Float64Array],
    *,
    first: int,
) -> None:
    """Write the rows of some images to ``fresh``, which begins with the image ``first``."""
    samples = [data[number] for number in numbers]
    keeps = any(probe.store is not None for probe in probes)
    names = [digest_of(sample) for sample in samples] if keeps else []
    for probe in probes:
        for number, row in zip(numbers, probe.measure(samples, names), strict=True):
            for factor, values in row.items():
                fresh[factor][number - first] = values
