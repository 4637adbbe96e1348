"""Prune a model: the stages in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wrg_onnx.deploy import check_is_float32
from wrg_onnx.errors import BudgetError, DataError
from wrg_onnx.evaluate.bootstrap import Change, measure_changes
from wrg_onnx.evaluate.saliency import metrics_package
from wrg_onnx.files import check_room
from wrg_onnx.graph import (
    begin_digests,
    check_model_output,
    check_run,
    check_sources,
    fill_inputs,
    save,
)
from wrg_onnx.pipeline.aim import Aim, aim_at, asks_machine, take_aim
from wrg_onnx.pipeline.analyse import Model, analyse
from wrg_onnx.pipeline.attempts import Attempts
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import PruneConfig, Recovery
from wrg_onnx.pipeline.convert import convert
from wrg_onnx.pipeline.details import Run, collect_details
from wrg_onnx.pipeline.judging import Judged, judge_result
from wrg_onnx.pipeline.max_drop import Found, find_largest_cut, metric_for
from wrg_onnx.pipeline.measuring import Measuring
from wrg_onnx.pipeline.memory import (
    SESSION_COPIES,
    TRAINING_COPIES,
    TWIN_COPIES,
    check_memory,
)
from wrg_onnx.pipeline.nothing import why_nothing
from wrg_onnx.pipeline.numbers import check_numbers
from wrg_onnx.pipeline.prune_report import prune_report, time_kernels
from wrg_onnx.pipeline.quantities import QUANTITIES
from wrg_onnx.pipeline.recovery import check_recovery
from wrg_onnx.pipeline.result import ModelResult
from wrg_onnx.pipeline.room import needs_of_prune
from wrg_onnx.pipeline.rounds import choose_for_round, cut_in_rounds
from wrg_onnx.pipeline.samples import Samples, open_samples
from wrg_onnx.pipeline.source import Source, read_as_it_is
from wrg_onnx.pipeline.sparsify import check_sparsify
from wrg_onnx.pipeline.trials import Trials, with_cache
from wrg_onnx.progress import Progress, silent
from wrg_onnx.report.budget import QUANTITY_WORDS
from wrg_onnx.report.details import Details
from wrg_onnx.report.frozen import main_reason, spoken
from wrg_onnx.report.records import PruneReport
from wrg_onnx.report.search import SearchReport
from wrg_onnx.rewrite import check_folding, compose, read_note, with_note
from wrg_onnx.select import largest_ratio

ALMOST_ALL = 0.99
"""A ratio that no limit of the units allows, or hardly."""


def prune(  # noqa: PLR0913 - what is asked for, and what is done with the result
    source: Source,
    output: Path | None,
    config: PruneConfig,
    *,
    external_data: bool = False,
    force: bool = False,
    details: Sequence[str] | None = None,
    progress: Progress = silent,
) -> ModelResult[PruneReport]:
    """Remove whole channels from a model, prove it, recover it, and measure what is left.

    Args:
        source: The ONNX model.
        output: Where to write the pruned model; None for a dry run.
        config: What to prune, and how.
        external_data: Whether the weights go to a file beside the output.
        force: Whether an existing output may be replaced.
        details: The words of the command line, or of the call from Python, for a report with what
            a page shows; None for one without.
        progress: Told how far the run is.

    Returns:
        The pruned model and the report. The file is complete by then. An error once a cut is
        proven ends its stage alone: the model is the last one that is proven, and the report says
        what is missing (``unfinished``).

    Raises:
        WrgError: One of its kinds; then no file was written.
    """
    clock, attempts = Clock(progress), Attempts()
    config = replace(config, external_data=external_data)
    if output is not None:
        check_model_output(output, external_data=external_data, force=force)
    aim = open_model(source, config, clock)
    model, config = aim.model, aim.config
    if output is not None:
        check_sources(model.graph, output, external_data=external_data)
        check_room(needs_of_prune(model, config, output))
    hashing = begin_digests(model.graph)
    earlier = read_note(model.graph)
    samples = open_run_samples(model, config, clock)
    search: SearchReport | None = None
    if config.max_drop is not None:
        assert samples is not None  # it is judged
        found = _within_max_drop(aim, samples, clock)
        aim, rounds, judged = found.aim, found.rounds, found.judged
        search, attempts = found.search, found.attempts
    else:
        rounds = cut_in_rounds(model, samples, config, clock, attempts)
        rounds = convert(rounds, samples, config, clock, attempts)
        judged = Judged()
        if config.judges and samples is not None:
            with clock.stage("evaluate"):
                judged = judge_result(model, rounds, samples, config, progress, attempts)
    # A file that was cut before speaks of the original of that cut.
    kept = compose(earlier, rounds.kept) if earlier else rounds.kept
    pruned = with_note(rounds.written, kept)
    file_bytes: int | None = None
    sha256 = hashing()  # before anything is written: they fail if the model's file has changed
    if output is not None:
        with clock.stage("save"):
            file_bytes = save(pruned, output, force=force, external_data=external_data)
    steps = time_kernels(aim, clock, attempts)
    with clock.stage("report"):
        report = prune_report(aim, rounds, samples, steps, attempts)
    more: Details | None = None
    if details is not None:
        more = collect_details(Run(aim, rounds, samples, judged, details), clock, attempts)
    report = replace(
        report,
        output=None if output is None else str(output),
        after=replace(report.after, file_bytes=file_bytes),
        accuracy=judged.accuracy,
        speed=judged.speed,
        seconds=clock.seconds,
        cpu_seconds=clock.cpu_seconds,
        search=search,
        sha256=sha256,
        details=more,
        changes=_changes(judged, config, attempts),
    )
    return ModelResult(replace(report, unfinished=attempts.failed), pruned)


def _changes(judged: Judged, config: PruneConfig, attempts: Attempts) -> tuple[Change, ...]:
    """Return how each metric changed, and how certain that is, as far as that works."""
    if judged.judgement is not None:
        with attempts.stage("accuracy"):
            return measure_changes(judged.judgement.per_image, config.seed)
    return ()


def share_calibration(source: Source, config: PruneConfig, *, progress: Progress = silent) -> None:
    """Measure this process's share of the images for ``prune`` in another one.

    Args:
        source: As for the other process.
        config: As for the other process, but for ``workers``.
        progress: Told how far this process is.

    Raises:
        WrgError: One of its kinds; the other process ends then, too.
    """
    clock = Clock(progress)
    aim = _take_aim(source, config, clock)
    model, config = aim.model, aim.config
    samples = open_run_samples(model, config, clock)
    measuring = None if samples is None else Measuring(model.graph, samples, config)
    choose_for_round(1.0, model, 1, measuring, config, clock)


def open_model(source: Source, config: PruneConfig, clock: Clock) -> Aim:
    """Read a model, find its units, take aim, and hold what was folded against the file.

    Raises:
        BudgetError: If the units do not allow the ratio, or the limit.
        WrgError: Another of its kinds.
    """
    aim = _take_aim(source, config, clock)
    if aim.model.graph.folded:
        with clock.stage("analyse"):
            original = fill_inputs(read_as_it_is(source), config.data.values)
            check_folding(original, aim.model.graph, aim.model.input_shapes)
    return aim


def _take_aim(source: Source, config: PruneConfig, clock: Clock) -> Aim:
    """Find the units, and refuse a ratio or a limit that they do not allow."""
    asks = asks_machine(config)
    with clock.stage("analyse"):
        model = analyse(
            source, config.data, config.limits, strict=config.strict, progress=clock.progress
        )
        check_numbers(model.units)
        check_run(model.graph, model.input_shapes)
        if config.precision is not None:
            check_is_float32(model.graph, config.precision)
        aim = None if asks else take_aim(model, config, clock.progress)
    if aim is None:  # what is measured of this machine is told apart from what is in the file
        with clock.stage("budget"):
            aim = take_aim(model, config, clock.progress)
    check_ratio(aim.model, aim.config)
    return aim


def _within_max_drop(aim: Aim, samples: Samples, clock: Clock) -> Found:
    """Search for the largest cut whose metric falls by no more than is allowed."""
    config = aim.config
    # Fine steps of layers allow most.
    most = aim_at(aim, replace(config, ratio=ALMOST_ALL))
    possible = largest_ratio(most.model.candidates(config.floor), most.model.budget(config.budget))
    trials = Trials(aim, samples, clock)
    with with_cache(config) as cached:
        return find_largest_cut(trials, cached, possible)


def open_run_samples(model: Model, config: PruneConfig, clock: Clock) -> Samples | None:
    """Open what a run looks at; None where it looks at nothing.

    Raises:
        WrgError: One of its kinds, if the samples do not do for what the run does.
    """
    if not config.needs_samples:
        return None
    _check_memory(model, config)
    asks = config.criterion.needs_data or config.judges or bool(config.sparsify)
    reads = asks or config.recover is not Recovery.NONE
    with clock.stage("data"):
        samples = open_samples(
            model.graph,
            model.input_shapes,
            config.data,
            model.graph if reads else None,
            provider=config.provider,
            seed=config.seed,
        )
        _check_judging(samples, config)
        if config.max_drop is not None:
            metric_for(samples, config.max_drop)
        check_recovery(model.graph, samples, config)
        check_sparsify(model.graph, samples, config)
    return samples


def _check_memory(model: Model, config: PruneConfig) -> None:
    """Refuse a run whose model is too large for what it does, before it starts."""
    if config.recover is Recovery.FINETUNE or config.sparsify:
        check_memory(model.graph, TRAINING_COPIES, "training")
    elif config.criterion.needs_gradient:
        check_memory(model.graph, TWIN_COPIES, f"criterion '{config.criterion.name}'")
    else:
        check_memory(model.graph, SESSION_COPIES, "a run that looks at samples")


def _check_judging(samples: Samples, config: PruneConfig) -> None:
    """Refuse what would stop the evaluation, before the long work starts."""
    if not config.judges:
        return
    if not len(samples.validation):
        raise DataError(
            f"'{config.data.path}' holds a single sample, but calibration and validation need one "
            "each: add samples, or use --no-evaluate"
        )
    if samples.saliency is not None and samples.validation.has_masks:
        metrics_package()


def check_ratio(model: Model, config: PruneConfig) -> None:
    """Refuse a ratio that no selection reaches, before any image is read.

    Raises:
        BudgetError: If none does; it says what can be reached, and why no more.
    """
    budget, words = model.budget(config.budget), QUANTITY_WORDS[config.budget.value]
    possible = largest_ratio(model.candidates(config.floor), budget)
    if config.ratio <= possible:
        return
    whole = budget.cost(model.everything)
    frozen = budget.cost(~model.units.removable) / whole if whole else 0.0
    limits = "".join(f" --keep '{glob}'" for glob in config.limits.keep)
    limits += "".join(f" --only '{glob}'" for glob in config.limits.only)
    see = f"(see `wrg-onnx inspect {model.graph.name}{limits}`)"
    nothing = why_nothing(model)
    if nothing is None and not whole:
        nothing = f"the model has no {words} (--budget params)"
    if nothing is not None:
        raise BudgetError(
            f"nothing can be cut: {nothing} {see}",
            wanted=config.ratio, possible=0.0, frozen=frozen,
        )  # fmt: skip
    asked = f"cannot remove {config.ratio:.1%} of the {words}"
    most = f"the most is {possible:.1%}"
    if config.limit is not None:
        show = QUANTITIES[config.budget].show
        asked = f"cannot get down to {show(config.limit)}"
        most = f"the least of {show(whole)} is {show(whole * (1 - possible))}"
    reason = main_reason(model.units, model.parameters)
    why = "" if reason is None else f"; mostly because {spoken(reason)}"
    aligned = "" if model.steps is None else ", in multiples of what --align says"
    raise BudgetError(
        f"{asked}: {frozen:.1%} are frozen and each layer keeps {config.floor:.0%} of its "
        f"channels{aligned}; {most} {see}{why}",
        wanted=config.ratio,
        possible=possible,
        frozen=frozen,
    )
