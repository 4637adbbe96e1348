"""Take the statistics that a criterion needs, from no more images than the choice needs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import numpy as np

from wrg_onnx.calibrate.measurements import Kind, Measurements, channels_of
from wrg_onnx.calibrate.probes import Instrument, Wanted, instruments_for
from wrg_onnx.calibrate.statistics import Float64Array, Statistics
from wrg_onnx.calibrate.store import digest_of
from wrg_onnx.calibrate.taps import Tap, plan_taps
from wrg_onnx.calibrate.weight.gains import batch_scales
from wrg_onnx.calibrate.weight.norms import FilterNorms, filter_distances, filter_norms
from wrg_onnx.channels import Units
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.data.workers import Alone, Workers, of_first
from wrg_onnx.errors import StatisticsError
from wrg_onnx.progress import Progress, silent

Certainty: TypeAlias = Callable[[Statistics, Callable[[Float64Array], Statistics]], float]
"""Told the statistics, and how to have them with each image counted so many times; returns how
sure the choice is that is made by them, in [0, 1]."""

GROWTH = 1.25
"""How much the images grow between two looks at the certainty."""


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """Which statistics to take, and how.

    Attributes:
        weights: Norms of filters.
        distances: Distances between filters.
        batch_scales: Scales of batch normalisations.
        wanted: What is measured on images.
        least: How many images are looked at before the certainty is asked for.
        enough: The certainty that ends the pass.
        workers: The processes that share the images.
    """

    weights: bool = False
    distances: bool = False
    batch_scales: bool = False
    wanted: Wanted = field(default_factory=Wanted)
    least: int = 16
    enough: float = 0.98
    workers: Workers = field(default_factory=Alone)


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
    certainty: Certainty | None = None,
    progress: Progress = silent,
) -> Collected:
    """Take statistics of a model, image by image, until the choice is certain enough.

    Args:
        units: The analysis of the model.
        data: The calibration images in the order in which they are looked at; None if only weights
            are needed.
        options: Which statistics, and how.
        saliency: How to read the saliency map, None if the model has none.
        certainty: How sure the choice is; without it all images are looked at.
        progress: Told how many images are done.

    Returns:
        The statistics; those that were not needed are empty.

    Raises:
        MissingPackageError: If gradients are needed and torch is not installed.
        UnsupportedOperatorError: If gradients are needed and an operator has no twin.
        StatisticsError: If a feature map or a gradient is not finite, or there is no feature map,
            or no batch normalisation whose scale could be taken.
    """
    of_weights = _of_weights(units, options)
    if data is None or not options.wanted:
        return Collected(of_weights)
    taps = plan_taps(units)
    if not taps and units.removable.any():
        raise StatisticsError(
            "no layer that can be pruned makes a feature map that can be looked at: use a "
            "criterion on the weights alone, such as --criterion l1"
        )
    if not taps:
        return Collected(of_weights)

    def statistics(found: Measurements, times: Float64Array | None = None) -> Statistics:
        measured = {kind.value: found.layers(kind, times) for kind in Kind}
        return replace(of_weights, images=found.images, **measured)

    used = instruments_for(units.graph, taps, saliency, options.wanted, options.workers.index)
    if not len(data):
        raise StatisticsError("there is no image to take statistics from")
    sure = None
    with closing(_passes(used, taps, data, options, progress)) as passes:
        for found in passes:
            mean = statistics(found)
            if certainty is not None and found.images >= options.least:
                # The first process's word counts: all must stop after the same image.
                sure = of_first(certainty(mean, partial(statistics, found)), options.workers)
                if sure >= options.enough:
                    break
    notes = dict.fromkeys(note for instrument in used for note in instrument.notes())
    return Collected(mean, sure, tuple(notes))


def _of_weights(units: Units, options: CollectOptions) -> Statistics:
    """Take what the weights alone say."""
    norms = filter_norms(units) if options.weights else FilterNorms()
    return Statistics(
        weight=norms.scaled,
        weight_l2=norms.l2,
        weight_l1=norms.l1,
        distance=filter_distances(units) if options.distances else (),
        batch_scale=batch_scales(units) if options.batch_scales else (),
    )


def _passes(
    instruments: Sequence[Instrument],
    taps: tuple[Tap, ...],
    data: DataSet,
    options: CollectOptions,
    progress: Progress,
) -> Generator[Measurements, None, None]:
    """Yield all that was measured so far, each time of some images more."""
    workers, width = options.workers, channels_of(taps)
    kinds = [kind for instrument in instruments for kind in instrument.kinds]
    block = max(instrument.block for instrument in instruments)
    rows = {kind: np.empty((0, width)) for kind in kinds}
    done = 0
    try:
        while done < len(data):
            wanted = max(options.least, int(np.ceil(done * GROWTH)))
            stop = min(len(data), -(-wanted // block) * block)
            fresh = {kind: np.zeros((stop - done, width)) for kind in kinds}
            for start in range(done, stop, block):
                if start // block % workers.count == workers.index:
                    numbers = range(start, min(start + block, stop))
                    _measure(instruments, data, numbers, fresh, first=done)
                progress("statistics", min(start + block, stop), len(data))
            for kind, part in fresh.items():
                rows[kind] = np.concatenate([rows[kind], workers.total(part)])
            done = stop
            yield Measurements(taps, rows, done)
    finally:
        for instrument in instruments:
            if instrument.store is not None:
                instrument.store.flush()


def _measure(
    instruments: Sequence[Instrument],
    data: DataSet,
    numbers: range,
    fresh: Mapping[Kind, Float64Array],
    *,
    first: int,
) -> None:
    """Write the rows of some images to ``fresh``, which begins with the image ``first``."""
    samples = [data[number] for number in numbers]
    keeps = any(instrument.store is not None for instrument in instruments)
    names = [digest_of(sample) for sample in samples] if keeps else []
    for instrument in instruments:
        for number, row in zip(numbers, instrument.measure(samples, names), strict=True):
            for kind, values in row.items():
                fresh[kind][number - first] = values
