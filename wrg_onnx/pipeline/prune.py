"""Prune a model: the stages in order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wrg_onnx.channels import count_parameters
from wrg_onnx.errors import BudgetError, DataError
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.evaluate.judge import Accuracy, Speed, judge
from wrg_onnx.evaluate.saliency import metrics_package
from wrg_onnx.factors import Statistics
from wrg_onnx.graph import Session, check_model_output, check_sources, open_session, save
from wrg_onnx.pipeline.analyse import Model, analyse
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import BudgetKind, PruneConfig, Recovery
from wrg_onnx.pipeline.measuring import Measuring
from wrg_onnx.pipeline.memory import (
    SESSION_COPIES,
    TRAINING_COPIES,
    TWIN_COPIES,
    check_memory,
)
from wrg_onnx.pipeline.notes import notes, strain_notes
from wrg_onnx.pipeline.recovery import check_recovery
from wrg_onnx.pipeline.result import ModelResult
from wrg_onnx.pipeline.rounds import Rounds, choose_for_round, cut_in_rounds
from wrg_onnx.pipeline.samples import Samples, open_samples
from wrg_onnx.pipeline.source import Source
from wrg_onnx.pipeline.sparsify import check_sparsify
from wrg_onnx.pipeline.speed import Pair, measure_speed, open_pair
from wrg_onnx.pipeline.which_recovery import chosen_recovery
from wrg_onnx.progress import Progress, silent
from wrg_onnx.report.frozen import main_reason
from wrg_onnx.report.records import PruneReport, RecoveryReport
from wrg_onnx.report.widths import group_reports
from wrg_onnx.rewrite import compose, read_note, with_note
from wrg_onnx.select import Candidates, Criterion, largest_ratio


def prune(
    source: Source,
    output: Path | None,
    config: PruneConfig,
    *,
    external_data: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> ModelResult[PruneReport]:
    """Remove whole channels from a model, prove it, recover it, and measure what is left.

    Args:
        source: The ONNX model.
        output: Where to write the pruned model; None for a dry run.
        config: What to prune, and how.
        external_data: Whether the weights go to a file beside the output.
        force: Whether an existing output may be replaced.
        progress: Told how far the run is.

    Returns:
        The pruned model and the report. The file is complete by then.

    Raises:
        WrgError: One of its kinds; then no file was written.
    """
    clock = Clock(progress)
    if output is not None:
        check_model_output(output, external_data=external_data, force=force)
    model = _analyse(source, config, clock)
    if output is not None:
        check_sources(model.graph, output, external_data=external_data)
    earlier = read_note(model.graph)
    samples = _open_samples(model, config, clock)
    rounds = cut_in_rounds(model, samples, config, clock)
    accuracy: Accuracy | None = None
    speed: tuple[Speed, ...] = ()
    if config.judges and samples is not None:
        with clock.stage("evaluate"):
            pair = open_pair(model.graph, rounds.final, config.provider)
            accuracy = _accuracy(pair, rounds, samples, progress)
            speed = measure_speed(
                model, rounds.final, config.provider, config.timing, pair, seed=config.seed
            )
    # A file that was cut before speaks of the original of that cut.
    kept = compose(earlier, rounds.kept) if earlier else rounds.kept
    pruned = with_note(rounds.final, kept)
    file_bytes: int | None = None
    if output is not None:
        with clock.stage("save"):
            file_bytes = save(pruned, output, force=force, external_data=external_data)
    report = _report(model, rounds, samples, config)
    report = replace(
        report,
        output=None if output is None else str(output),
        after=replace(report.after, file_bytes=file_bytes),
        accuracy=accuracy,
        speed=speed,
        seconds=clock.seconds,
        cpu_seconds=clock.cpu_seconds,
    )
    return ModelResult(report, pruned)


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
    model = _analyse(source, config, clock)
    samples = _open_samples(model, config, clock)
    measuring = None if samples is None else Measuring(model.graph, samples, config)
    choose_for_round(model, model, 1, measuring, config, clock)


def _analyse(source: Source, config: PruneConfig, clock: Clock) -> Model:
    """Find the units, and refuse a ratio that they do not allow."""
    with clock.stage("analyse"):
        model = analyse(source, config.data, config.limits, strict=config.strict)
        _check_ratio(model, config)
    return model


def _open_samples(model: Model, config: PruneConfig, clock: Clock) -> Samples | None:
    """Open what the run looks at; None where it looks at nothing."""
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


def _accuracy(pair: Pair, rounds: Rounds, samples: Samples, progress: Progress) -> Accuracy:
    """Judge the original, the result, and what was cut and not recovered, if there is that."""
    cut: Session | None = None
    if rounds.recovered is not None:
        cut = open_session(rounds.last.graph, provider=pair.provider)
    return judge(
        pair.original,
        pair.pruned,
        samples.validation,
        samples.saliency,
        cut=cut,
        progress=progress,
    )


def _report(
    model: Model, rounds: Rounds, samples: Samples | None, config: PruneConfig
) -> PruneReport:
    """Say what was done; where it was written and how good it is, the caller adds."""
    last = rounds.last
    before = model.cost(model.everything, model.file_bytes)
    # Counted in the graph: readers of one vector may have got vectors of their own, and layers
    # without a bias one.
    cost = last.model.cost(last.chosen.selection.alive, None)
    after = replace(cost, parameters=count_parameters(rounds.final))
    reached = _reached(config, before, after)
    recovery = _recovery_report(rounds, samples, config)
    groups = group_reports(model.units, model.parameters, rounds.alive)
    return PruneReport(
        model=model.graph.name,
        output=None,
        criterion=config.criterion.name,
        budget=config.budget.value,
        scope=config.scope.value,
        ratio=config.ratio,
        reached=reached,
        calibration=_describe(samples, config),
        images=last.chosen.collected.statistics.images,
        images_of=_images_of(last.chosen.collected.statistics, config),
        certainty=last.chosen.collected.certainty,
        units=int(model.units.removable.sum()),
        removed=rounds.removed,
        equivalence=rounds.equivalence,
        before=before,
        after=after,
        recovery=recovery,
        accuracy=None,
        speed=(),
        groups=groups,
        notes=(
            *rounds.notes,
            *strain_notes(groups, model.frozen_share, config),
            *notes(reached, samples, recovery, config),
        ),
        sparsified=rounds.sparsified,
    )


def _reached(config: PruneConfig, before: Cost, after: Cost) -> float:
    """Return the share of the budget that is gone from what is written."""
    if config.budget is BudgetKind.PARAMS:
        return 1 - after.parameters / before.parameters if before.parameters else 0.0
    return 1 - after.macs / before.macs if before.macs else 0.0


def _images_of(statistics: Statistics, config: PruneConfig) -> dict[str, int]:
    """Return from how many samples each factor of the criterion was taken, by its name."""
    taken = statistics.images_of
    return {f.name: taken[f] for f in config.criterion.factors if f in taken}


def _recovery_report(
    rounds: Rounds, samples: Samples | None, config: PruneConfig
) -> RecoveryReport | None:
    recovered = rounds.recovered
    if recovered is None or samples is None:
        return None
    tuned = recovered.tuned
    return RecoveryReport(
        method=chosen_recovery(samples, config).value,
        samples=len(samples.calibration),
        rounds=config.rounds,
        fits=recovered.solved.fits,
        left=recovered.solved.left,
        added=rounds.added,
        history=() if tuned is None else tuned.history,
        best_epoch=0 if tuned is None else tuned.best_epoch,
        between=() if tuned is None else tuned.between,
        chosen=None if tuned is None else tuned.chosen,
        walked=recovered.solved.walked,
    )


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


def _check_ratio(model: Model, config: PruneConfig) -> None:
    """Refuse a ratio that no selection reaches, before any image is read."""
    candidates = Candidates(model.units.removable, model.units.group, config.floor)
    budget = model.budget(config.budget)
    possible = largest_ratio(candidates, budget)
    if config.ratio <= possible:
        return
    whole = budget.cost(model.everything)
    frozen = budget.cost(~model.units.removable) / whole if whole else 1.0
    limits = "".join(f" --keep '{glob}'" for glob in config.limits.keep)
    limits += "".join(f" --only '{glob}'" for glob in config.limits.only)
    quantity = "parameters" if config.budget is BudgetKind.PARAMS else "MACs"
    reason = main_reason(model.units, model.parameters)
    why = "" if reason is None else f"; mostly because {reason.reason}"
    why += f": {reason.way_out}" if reason is not None and reason.way_out else ""
    raise BudgetError(
        f"cannot remove {config.ratio:.1%} of the {quantity}: {frozen:.1%} are frozen and each "
        f"layer keeps {config.floor:.0%} of its channels; the most is {possible:.1%} "
        f"(see `wrg-onnx inspect {model.graph.name}{limits}`){why}",
        wanted=config.ratio,
        possible=possible,
        frozen=frozen,
    )


def _describe(samples: Samples | None, config: PruneConfig) -> str:
    if samples is None or not config.criterion.needs_data:
        return "weights alone" if config.criterion is not Criterion.RANDOM else "nothing"
    return samples.calibration.description
