"""Cut a model at many ratios, by several criteria, from one calibration."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wrg_onnx.calibrate import Cache, cache_limit
from wrg_onnx.errors import OutputError, UnfinishedError, UsageError, WrgError, one_line
from wrg_onnx.evaluate.bootstrap import FEWEST_IMAGES, measure_change
from wrg_onnx.evaluate.image_values import image_values
from wrg_onnx.evaluate.metrics import Metric, suited_metric
from wrg_onnx.files import check_output, check_room
from wrg_onnx.graph import check_model_output, check_sources, file_digests, save
from wrg_onnx.latency import Speed
from wrg_onnx.logs import logger_of
from wrg_onnx.pipeline.aim import Aim, aim_at
from wrg_onnx.pipeline.attempts import Attempts
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.commands import prune_command
from wrg_onnx.pipeline.config import PruneConfig, Recovery
from wrg_onnx.pipeline.kept_points import KeptPoints
from wrg_onnx.pipeline.prune import check_ratio, open_model, open_run_samples
from wrg_onnx.pipeline.prune_report import what_went
from wrg_onnx.pipeline.result import Result
from wrg_onnx.pipeline.room import least_bytes
from wrg_onnx.pipeline.rounds import Rounds
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.pipeline.source import Source
from wrg_onnx.pipeline.speed import measure_speed
from wrg_onnx.pipeline.trials import Trials, with_cache
from wrg_onnx.pipeline.which_recovery import chosen_recovery
from wrg_onnx.progress import Progress, silent
from wrg_onnx.report.plot import write_plot
from wrg_onnx.report.sweep import SweepCut, SweepPoint, SweepReport
from wrg_onnx.rewrite import compose, read_note, with_note
from wrg_onnx.select import Criterion
from wrg_onnx.select.knee import find_knee

_LOG = logger_of(__name__)


@dataclass(frozen=True, slots=True)
class SweepConfig:
    """Which cuts to make.

    Attributes:
        cut: What all of them have in common; its ratio and criterion are not looked at.
        ratios: The shares to remove, ascending, each in [0, 1).
        criteria: The formulas of the scores.
        metric: What is shown: its title or name; None for max F with masks, and the relative error
            without.
        out_dir: Where every point's model is written; None writes none.
        plot: The SVG file to write; None for none.
        force: Whether files that are there may be replaced.
    """

    cut: PruneConfig
    ratios: tuple[float, ...]
    criteria: tuple[Criterion, ...]
    metric: str | None = None
    out_dir: Path | None = None
    plot: Path | None = None
    force: bool = False

    def __post_init__(self) -> None:
        for what, held in (("ratios", self.ratios), ("criteria", self.criteria)):
            if not held:
                raise UsageError(f"{what} must hold one at least")
        for ratio in self.ratios:
            if not 0 <= ratio < 1:
                raise UsageError(f"ratios must be in [0, 1), got {ratio:g}")
        if self.cut.sparsify:
            raise UsageError("a sweep makes many cuts, and sparsify trains before a single one")
        if self.plot is not None and self.plot.suffix != ".svg":
            raise UsageError(f"the plot must end in .svg, got '{self.plot}'")


def sweep(
    source: Source, config: SweepConfig, *, progress: Progress = silent
) -> Result[SweepReport]:
    """Cut a model at many ratios, by several criteria; prove, recover, judge and time each cut.

    Each is what ``prune`` makes by the command of the point, to the byte.

    Args:
        source: The ONNX model.
        config: Which cuts to make.
        progress: Told how far the run is.

    Returns:
        The report. A cut that fails is a point with a problem, and the others are made; whoever
        interrupts a sweep keeps the points that were finished, if there is a cache.

    Raises:
        WrgError: One of its kinds, if none of the points can be made.
    """
    clock = Clock(progress)
    if config.plot is not None:
        check_output(config.plot, force=config.force, option="--plot")
    cut = replace(config.cut, ratio=0.0, evaluate=True, criterion=_dearest(config.criteria))
    aim = open_model(source, cut, clock)
    model = aim.model
    with clock.stage("analyse"):
        sha256 = file_digests(model.graph)
    samples = open_run_samples(model, cut, clock)
    assert samples is not None  # it is judged
    cut = replace(cut, recover=chosen_recovery(samples, cut))
    has_masks = samples.saliency is not None and samples.validation.has_masks
    metric = suited_metric(config.metric, has_masks=has_masks)
    cache = None if cut.cache is None else Cache(cut.cache, cache_limit())
    with clock.stage("data"):
        kept = KeptPoints(cache, model.graph, samples, metric.name)
    aim = replace(aim, config=cut)
    run = _Sweep(Trials(aim, samples, clock), config, metric, kept)
    with with_cache(cut) as cached:
        points = run.points(cached)
    if run.errors and all(point.cut is None for point in points):
        raise run.errors[0]
    report = SweepReport(
        model=model.graph.name,
        budget=cut.budget.value,
        before=model.cost(model.everything, model.file_bytes),
        metric=metric.title,
        falls=metric.falls,
        recovery=Recovery.NONE.value if cut.recover is None else cut.recover.value,
        calibration=samples.calibration.description,
        judged=samples.validation.description,
        points=_with_knees(points, metric),
        notes=(*aim.notes, *kept.problems, *_notes(points, samples, cut)),
        seconds=clock.seconds,
        cpu_seconds=clock.cpu_seconds,
        sha256=sha256,
    )
    if config.plot is not None:
        report = replace(report, plot=str(config.plot))
        write_plot(report, config.plot)
    return Result(report)


def _dearest(criteria: tuple[Criterion, ...]) -> Criterion:
    """Return the criterion that asks for most: what it may do the others may."""
    return max(criteria, key=lambda one: (one.needs_gradient, one.needs_data))


class _Sweep:
    """Makes points, one after the other."""

    def __init__(
        self, trials: Trials, config: SweepConfig, metric: Metric, kept: KeptPoints
    ) -> None:
        self._trials, self._config, self._metric, self._kept = trials, config, metric, kept
        self._reference = trials.reference(trials.samples.validation)
        self.errors: list[WrgError] = []

    def points(self, cut: PruneConfig) -> list[SweepPoint]:
        """Make every point, or find it among those that are kept."""
        asked = [
            replace(cut, ratio=ratio, criterion=one, amp=cut.amp and one.needs_gradient)
            for one in self._config.criteria
            for ratio in self._config.ratios
        ]
        # All files are looked at before the first of them takes its time.
        outputs = [self._output(one) for one in asked]
        found = [self._kept.find(one, path) for one, path in zip(asked, outputs, strict=True)]
        missing = [
            (one, path)
            for one, path, held in zip(asked, outputs, found, strict=True)
            if path is not None and held is None
        ]
        for one, target in missing:
            self._check(one, target)
        model = self._trials.aim.model
        needs = {target: least_bytes(model, one) for one, target in missing}
        check_room(needs, "--out-dir")
        points = []
        for number, (one, path, held) in enumerate(zip(asked, outputs, found, strict=True)):
            self._trials.clock.progress("sweep", number, len(asked))
            points.append(self._point(one, path, held))
            how = "an earlier run has made it" if held is not None else points[-1].problem or "made"
            _LOG.info("'%s' at %g: %s", one.criterion.name, one.ratio, how)
        self._trials.let_go()
        return points

    def _check(self, config: PruneConfig, path: Path) -> None:
        """Refuse a path early; what a sweep that was stopped has just written may be replaced."""
        force = self._config.force or self._kept.has_begun(config, path)
        try:
            check_model_output(path, external_data=False, force=force)
        except OutputError as error:
            told = "".join(f"; {problem}" for problem in self._kept.problems)
            raise OutputError(f"{error}{told}") from error
        check_sources(self._trials.aim.model.graph, path, external_data=False)

    def _output(self, config: PruneConfig) -> Path | None:
        folder = self._config.out_dir
        if folder is None:
            return None
        stem = Path(self._trials.aim.model.graph.name).stem
        return folder / f"{stem}.{config.criterion.name}.{config.ratio!r}.onnx"

    def _point(self, config: PruneConfig, path: Path | None, held: SweepCut | None) -> SweepPoint:
        """Return one point; an error that is known costs no other point."""
        command = prune_command(self._trials.aim.model.graph.name, config)
        point = SweepPoint(
            config.criterion.name, config.ratio, command, held, kept=held is not None
        )
        if held is not None:
            return point
        try:
            aim = aim_at(self._trials.aim, config)
            check_ratio(aim.model, config)
            cut = self._cut(aim, path)
        except WrgError as error:
            self.errors.append(error)
            return replace(point, problem=one_line(error, 400), exit_code=error.exit_code)
        self._kept.keep(config, path, cut)
        return replace(point, cut=cut)

    def _cut(self, aim: Aim, path: Path | None) -> SweepCut:
        """Cut, prove, recover, judge, time, and write if that is asked for."""
        trials, attempts = self._trials, Attempts()
        model, config, clock = aim.model, aim.config, trials.clock
        start, cpu_start = time.perf_counter(), time.process_time()
        rounds = trials.cut(aim, attempts)
        if attempts.failed:  # a point that is not what its command makes would mislead
            failed = attempts.failed[0]
            raise UnfinishedError(f"'{failed.stage}' failed: {failed.error}: {failed.message}")
        judgement = trials.judge(rounds, self._reference)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        rng = np.random.default_rng(config.seed)
        _, cost, budget = what_went(aim, rounds)
        speed: tuple[Speed, ...] = ()
        if not model.graph.widened:
            with clock.stage("latency"):
                speed = measure_speed(
                    model, rounds.written, config.provider, config.timing, trials.pair(rounds),
                    seed=config.seed, progress=clock.progress,
                )  # fmt: skip
        if path is not None:
            with clock.stage("save"):
                cost = replace(cost, file_bytes=self._save(aim, rounds, path))
        return SweepCut(
            reached=budget.share,
            cost=cost,
            change=measure_change(judgement.per_image, self._metric, rng),
            accuracy=judgement.accuracy,
            speed=speed,
            error=rounds.equivalence.error,
            tolerance=rounds.equivalence.tolerance,
            removed=rounds.removed,
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            output=None if path is None else str(path),
            images=image_values(judgement.per_image, (self._metric,)),
        )

    def _save(self, aim: Aim, rounds: Rounds, path: Path) -> int:
        """Write the model of a point as `prune` does; return its size in bytes."""
        earlier = read_note(aim.model.graph)
        kept = compose(earlier, rounds.kept) if earlier else rounds.kept
        config = aim.config
        return save(
            with_note(rounds.written, kept),
            path,
            force=self._config.force or self._kept.has_begun(config, path),
            ready=lambda part: self._kept.begin(config, path, part),
        )


def _with_knees(points: Sequence[SweepPoint], metric: Metric) -> tuple[SweepPoint, ...]:
    """Mark the last point of each criterion before the metric falls."""
    marked = {id(one) for criterion in {point.criterion for point in points}
              if (one := _knee(points, criterion, metric)) is not None}  # fmt: skip
    return tuple(replace(point, knee=id(point) in marked) for point in points)


def _knee(points: Sequence[SweepPoint], criterion: str, metric: Metric) -> SweepPoint | None:
    """Return the knee of one criterion's curve, which begins at the original."""
    made = [(point, point.cut) for point in points if point.criterion == criterion and point.cut]
    if any(cut.change.low is None for _, cut in made) or not made:
        return None  # without intervals nobody knows what falls
    sign = 1 if metric.falls else -1
    widths = [(c.change.high or 0.0) - (c.change.low or 0.0) for _, c in made]
    found = find_knee(
        np.array([0.0, *(cut.reached for _, cut in made)]),
        sign * np.array([made[0][1].change.before, *(cut.change.after for _, cut in made)]),
        np.array([0.0, *widths]) / 2,
    )
    return None if found is None or not found else made[found - 1][0]


def _notes(points: Sequence[SweepPoint], samples: Samples, cut: PruneConfig) -> Iterator[str]:
    """Yield what a user should know about a sweep."""
    if cut.data.path is None:
        made = "random inputs" if samples.preprocessing is None else "the built-in generator"
        yield f"no --data given, so statistics, recovery and accuracy come from {made}"
    if samples.broken:
        yield f"{len(samples.broken)} broken files were left out, such as {samples.broken[0]}"
    if all(point.cut is None or point.cut.change.low is None for point in points):
        yield (
            f"{len(samples.validation)} held-out samples are too few for intervals and knees, "
            f"which need {FEWEST_IMAGES}: what changes may be chance"
        )
    kept = sum(point.kept for point in points)
    if kept:
        yield (
            f"{kept} of {len(points)} points were kept from an earlier sweep with the same model, "
            "samples and options; --no-cache makes them anew"
        )
