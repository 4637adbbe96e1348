"""Measure the factors that a criterion needs, on no more images than the choice needs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from wrg_onnx.calibrate.image_pass import ImagePass
from wrg_onnx.calibrate.measurements import Measurements
from wrg_onnx.calibrate.options import CollectOptions
from wrg_onnx.calibrate.probes import probes_for
from wrg_onnx.calibrate.registry import measure_weights
from wrg_onnx.calibrate.stopping import next_look, spared
from wrg_onnx.calibrate.taps import plan_taps
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

    A factor that hardly differs between images stops before the others (``stopping.spared``).

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

    def statistics(
        found: Measurements,
        drawn: Collection[Factor] | None = None,
        times: Float64Array | None = None,
    ) -> Statistics:
        means = {
            factor: found.layers(factor, times if drawn is None or factor in drawn else None)
            for factor in found.rows
        }
        return Statistics({**weights, **means}, found.images, found.images_of)

    probes = probes_for(units.graph, taps, saliency, options)
    if not len(data):
        raise StatisticsError("there is no image to take statistics from")

    def ask(images: ImagePass, drawn: Collection[Factor] | None) -> float:
        assert certainty is not None
        found = images.found
        # The first process's word counts: all must stop after the same image.
        said = certainty(statistics(found), partial(statistics, found, drawn))
        return of_first(said, options.workers)

    with closing(ImagePass(probes, taps, data, options, progress)) as images:
        sure = _look(images, options, None if certainty is None else partial(ask, images))
    notes = dict.fromkeys(note for probe in probes for note in probe.notes())
    return Collected(statistics(images.found), sure, tuple(notes))


def _look(
    images: ImagePass,
    options: CollectOptions,
    certainty: Callable[[Collection[Factor] | None], float] | None,
) -> float | None:
    """Look at images until the choice is certain enough, or at all.

    Args:
        images: The images, of which none was looked at.
        options: What is enough.
        certainty: How sure the choice is, if the images of some factors were drawn anew, or of all;
            without it all images are looked at.

    Returns:
        How sure it was in the end; None if it was not asked.
    """
    sure = None
    may_spare = certainty is not None and images.total > options.least
    while images.found.images < images.total:
        several = may_spare and len(images.running) > 1
        images.go_on(next_look(images.found.images, options.least, several=several))
        done = images.found.images
        if certainty is None:
            continue
        if done >= options.least:
            sure = certainty(None)
            if sure >= options.enough and options.enough < 1:
                break
        if several and done < images.total:
            share = done / images.total
            leaving = spared(images.running, certainty, share=share, enough=options.enough)
            if leaving is not None:
                images.leave(leaving)
    return sure
