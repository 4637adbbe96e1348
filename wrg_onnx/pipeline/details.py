"""What a page shows of a run beyond its report, gathered once the model is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wrg_onnx.calibrate import plan_taps
from wrg_onnx.calibrate.rank.maps import MapSource
from wrg_onnx.calibrate.rank.spectra import map_spectra
from wrg_onnx.data.provenance import folder_digest
from wrg_onnx.evaluate.image_values import image_values
from wrg_onnx.factors import RANK
from wrg_onnx.graph import checker_problem, open_session, resolve_provider
from wrg_onnx.pipeline.aim import Aim
from wrg_onnx.pipeline.attempts import Attempts
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.examples import show_examples
from wrg_onnx.pipeline.judging import Judged
from wrg_onnx.pipeline.layer_times import PROFILED, profile_pair
from wrg_onnx.pipeline.rounds import Rounds
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.report.details import MOST_SPECTRA, DataSource, Details, Examples, Spectrum
from wrg_onnx.report.environment import environment_of
from wrg_onnx.report.layer_details import Choice, layer_details
from wrg_onnx.report.layer_times import small_times
from wrg_onnx.report.small import short_text
from wrg_onnx.report.spectra import small_spectrum
from wrg_onnx.report.structure import structure_of

SPECTRUM_IMAGES = 2
"""Of how many samples spectra are taken: they differ little, and each takes a run."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A run whose model is there.

    Attributes:
        aim: The analysed original, and what was asked for.
        rounds: What became of it.
        samples: What the run looked at; None if at weights alone.
        judged: How good and how fast the result is.
        words: Of the command line, or the call from Python as a single one.
    """

    aim: Aim
    rounds: Rounds
    samples: Samples | None
    judged: Judged
    words: Sequence[str]


def collect_details(run: Run, clock: Clock, attempts: Attempts) -> Details | None:
    """Gather details; a part that fails is missing.

    What takes a run of a model takes few: of two samples for spectra, of three for examples. Layers
    are timed where the models were, which takes as long as that; the stage is ``profile``.

    Args:
        run: The run.
        clock: Times the stages.
        attempts: Notes what fails.

    Returns:
        The details; None if not even the layers could be listed.
    """
    details: Details | None = None
    with attempts.stage("report"), clock.stage("details"):
        details = _without_runs(run)
    if details is None:
        return None
    with attempts.stage("report"), clock.stage("details"):
        spectra, left = _spectra(run)
        details = replace(details, spectra=spectra, spectra_left=left)
    with attempts.stage("report"), clock.stage("details"):
        details = replace(details, examples=_examples(run))
    if _times_layers(run):
        with attempts.stage("report"), clock.stage("profile"):
            config = run.aim.config
            found = profile_pair(
                run.aim.model, run.rounds.written, config.timing, config.seed, clock.progress
            )
            times, left = small_times(found)
            details = replace(details, latency=times, timed_left=left)
    return details


def _without_runs(run: Run) -> Details:
    """Tell what is known by now."""
    model, rounds, config = run.aim.model, run.rounds, run.aim.config
    chosen = rounds.last.chosen
    layers, left = layer_details(
        Choice(
            model.units, model.parameters, rounds.alive, rounds.origin,
            chosen.scores, chosen.collected.statistics,
        )
    )  # fmt: skip
    provider = resolve_provider(config.provider)
    judged = run.judged.judgement
    return Details(
        layers=layers,
        environment=environment_of(provider, config.seed, run.words, _data_source(run)),
        structure=structure_of(model.units, rounds.alive),
        layers_left=left,
        images=None if judged is None else image_values(judged.per_image),
    )


def _data_source(run: Run) -> DataSource | None:
    samples, config = run.samples, run.aim.config
    if samples is None:
        return None
    path = config.data.path
    made = f"{samples.calibration.content}, seed {config.seed}"
    return DataSource(
        path=None if path is None else short_text(str(path)),
        made=made if path is None else "",
        samples=len(samples.calibration),
        held_out=len(samples.validation),
        sha256=folder_digest(path) if isinstance(path, Path) else "",
    )


def _spectra(run: Run) -> tuple[tuple[Spectrum, ...], int]:
    """Return the spectra where ranks were measured, and how many layers have none for their number.

    They are of the model that the ranks were measured of.
    """
    cut = run.rounds.last
    ranks = {one.layer: one for one in cut.chosen.collected.statistics.of(RANK)}
    if not ranks or run.samples is None:
        return (), 0
    taps = [tap for tap in plan_taps(cut.model.units) if tap.tensor in ranks]
    count = min(MOST_SPECTRA, len(taps))
    chosen = [taps[place] for place in np.arange(count) * len(taps) // max(count, 1)]
    source = MapSource(cut.model.graph, chosen, resolve_provider(run.aim.config.provider))
    data = run.samples.calibration
    samples = [data[index] for index in range(min(SPECTRUM_IMAGES, len(data)))]
    found = tuple(
        small_spectrum(one, ranks[one.layer], len(samples)) for one in map_spectra(source, samples)
    )
    return found, len(taps) - count


def _examples(run: Run) -> Examples | None:
    """Return images to look at; None where none was judged, or the model makes no map of one."""
    samples, found = run.samples, run.judged.judgement
    if samples is None or found is None:
        return None
    if samples.preprocessing is None or samples.saliency is None:
        return None
    provider = resolve_provider(run.aim.config.provider)
    original, pruned = (
        open_session(graph, provider=provider)
        for graph in (run.aim.model.graph, run.rounds.written)
    )
    return show_examples(original, pruned, found, samples.preprocessing, samples.saliency)


def _times_layers(run: Run) -> bool:
    """Tell whether layers are timed: where the models were, on the CPU, by a file of both."""
    measured = any(speed.provider == PROFILED for speed in run.judged.speed)
    return measured and checker_problem(run.aim.model.graph) is None
