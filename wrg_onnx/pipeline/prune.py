"""Prune a model: the stages in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wrg_onnx.channels import BoolArray, count_parameters, random_feeds
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.errors import BudgetError, DataError
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.evaluate.judge import Accuracy, Speed, available_providers, judge, time_models
from wrg_onnx.evaluate.saliency import metrics_package
from wrg_onnx.graph import (
    Graph,
    check_model_output,
    open_session,
    resolve_provider,
    save,
    stored_bytes,
)
from wrg_onnx.pipeline.analyse import Model, analyse, analyse_graph, group_reports
from wrg_onnx.pipeline.choose import choose_units
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import BudgetKind, PruneConfig, Recovery
from wrg_onnx.pipeline.cut import Cut, cut_model
from wrg_onnx.pipeline.notes import cut_notes, notes
from wrg_onnx.pipeline.recovery import Recovered, check_recovery, chosen_recovery, recover
from wrg_onnx.pipeline.samples import Samples, find_saliency, gather_samples
from wrg_onnx.pipeline.survivors import Survivors
from wrg_onnx.progress import Progress, silent
from wrg_onnx.report.records import PruneReport, RecoveryReport
from wrg_onnx.rewrite import Equivalence, KeptChannels, compose, read_note, with_note
from wrg_onnx.select import Candidates, Criterion, largest_ratio


def prune(
    path: Path,
    output: Path | None,
    config: PruneConfig,
    *,
    force: bool = False,
    progress: Progress = silent,
) -> PruneReport:
    """Remove whole channels from a model, prove it, recover it, and measure what is left.

    Args:
        path: The ONNX model.
        output: Where to write the pruned model; None for a dry run.
        config: What to prune, and how.
        force: Whether an existing output may be replaced.
        progress: Told how far the run is.

    Returns:
        The report. The file is complete by then.

    Raises:
        WrgError: One of its kinds; then no file was written.
    """
    clock = Clock(progress)
    if output is not None:
        check_model_output(output, force=force)
    with clock.stage("analyse"):
        model = analyse(path, config.data, config.limits, strict=config.strict)
        _check_ratio(model, config)
        earlier = read_note(model.graph)
        # Now, since the output may take the model's place.
        before = model.cost(model.everything, stored_bytes(path, model.graph))
    samples, saliency = _open_samples(model, config, clock)
    result = _rounds(model, samples, saliency, config, clock)
    last, recovered = result.last, result.recovered
    final = last.graph if recovered is None else recovered.graph
    accuracy: Accuracy | None = None
    speed: tuple[Speed, ...] = ()
    if config.judges and samples is not None:
        with clock.stage("evaluate"):
            unrecovered = None if recovered is None else last.graph
            accuracy = _accuracy(
                (model.graph, final, unrecovered), samples, saliency, config, progress
            )
            speed = measure_speed(model, final, config)
    # Counted in the graph: readers of one vector may have got vectors of their own.
    cost = last.model.cost(last.chosen.selection.alive, None)
    reached = _reached(config, before, replace(cost, parameters=count_parameters(last.graph)))
    after = replace(cost, parameters=count_parameters(final))
    if output is not None:
        with clock.stage("save"):
            # A file that was cut before speaks of the original of that cut.
            kept = compose(earlier, result.kept) if earlier else result.kept
            noted = with_note(final, kept)
            after = replace(after, file_bytes=save(noted, output, force=force))
    recovery = _recovery_report(recovered, result.added, samples, config)
    return PruneReport(
        model=str(path),
        output=None if output is None else str(output),
        criterion=config.criterion.name,
        budget=config.budget.value,
        scope=config.scope.value,
        ratio=config.ratio,
        reached=reached,
        calibration=_describe(samples, config),
        images=last.chosen.collected.statistics.images,
        certainty=last.chosen.collected.certainty,
        units=int(model.units.removable.sum()),
        removed=result.removed,
        equivalence=result.equivalence,
        before=before,
        after=after,
        recovery=recovery,
        accuracy=accuracy,
        speed=speed,
        groups=group_reports(model, result.alive),
        notes=(*result.notes, *notes(reached, samples, recovery, config)),
        seconds=clock.seconds,
    )


def share_calibration(path: Path, config: PruneConfig, *, progress: Progress = silent) -> None:
    """Measure this process's share of the images for ``prune`` in another one.

    Args:
        path: As for the other process.
        config: As for the other process, but for ``workers``.
        progress: Told how far this process is.

    Raises:
        WrgError: One of its kinds; the other process ends then, too.
    """
    clock = Clock(progress)
    model = analyse(path, config.data, config.limits, strict=config.strict)
    _check_ratio(model, config)
    samples, saliency = _open_samples(model, config, clock)
    choose_units(model, samples, saliency, _step(model, model, 1, config), config, clock)


def _open_samples(
    model: Model, config: PruneConfig, clock: Clock
) -> tuple[Samples | None, SaliencyMap | None]:
    """Open what the run looks at, and find out how to read it; None where it looks at nothing."""
    if not config.needs_samples:
        return None, None
    with clock.stage("data"):
        samples = gather_samples(model.graph, model.input_shapes, config.data, seed=config.seed)
        saliency = _saliency(model.graph, samples, config)
        _check_judging(samples, saliency, config)
        check_recovery(model.graph, samples, config)
    return samples, saliency


@dataclass(frozen=True, slots=True, eq=False)
class _Result:
    """What all rounds together gave.

    Attributes:
        last: The last cut.
        alive: (units of the original,) bool, those that are left.
        kept: Which channels of the original are left.
        recovered: What was recovered after it; None if nothing was.
        removed: How many units went in all.
        added: How many parameters the biases have that recovery added.
        equivalence: The proof with the largest error.
        notes: What a user should know about the cuts.
    """

    last: Cut
    alive: BoolArray
    kept: Mapping[str, KeptChannels]
    recovered: Recovered | None
    removed: int
    added: int
    equivalence: Equivalence
    notes: tuple[str, ...]


def _rounds(
    model: Model,
    samples: Samples | None,
    saliency: SaliencyMap | None,
    config: PruneConfig,
    clock: Clock,
) -> _Result:
    """Cut and recover, round by round; each round measures what the last one left."""
    current, removed, said = model, 0, dict[str, None]()
    added = 0
    equivalence: Equivalence | None = None
    kept: Mapping[str, KeptChannels] | None = None
    recovered: Recovered | None = None
    survivors = Survivors.all_of(model.units)
    for number in range(1, config.rounds + 1):
        step = _step(model, current, number, config)
        chosen = choose_units(current, samples, saliency, step, config, clock)
        cut = cut_model(current, chosen, config.seed, clock)
        kept = cut.kept if kept is None else compose(kept, cut.kept)
        survivors = survivors.after(cut.chosen.selection.alive)
        removed += cut.chosen.selection.removed
        said |= dict.fromkeys(cut_notes(cut, config))
        if equivalence is None or cut.equivalence.error > equivalence.error:
            equivalence = cut.equivalence
        if samples is not None and chosen_recovery(samples, config) is not Recovery.NONE:
            with clock.stage("recover"):
                recovered = recover(model.graph, cut, kept, samples, config, clock.progress)
        if recovered is not None:
            added += count_parameters(recovered.graph) - count_parameters(cut.graph)
            said |= dict.fromkeys(() if recovered.tuned is None else recovered.tuned.notes)
        if number < config.rounds:
            with clock.stage("analyse"):
                graph = cut.graph if recovered is None else recovered.graph
                current = analyse_graph(graph, model.path, model.input_shapes, config.limits)
                survivors = survivors.seen_from(cut, current.units)
    assert equivalence is not None
    assert kept is not None
    alive = survivors.alive
    return _Result(cut, alive, kept, recovered, removed, added, equivalence, tuple(said))


def _step(model: Model, current: Model, number: int, config: PruneConfig) -> tuple[float, float]:
    """Return the ratio of one round, and the share of each layer that stays at least.

    Each round leaves the same share of what it finds, so that all of them leave what was asked for.
    """
    left = (1 - config.ratio) ** (number / config.rounds)
    whole, now = (m.budget(config.budget).cost(m.everything) for m in (model, current))
    ratio = max(0.0, 1 - left * whole / now) if now else 0.0
    return ratio, config.floor ** (1 / config.rounds)


def _reached(config: PruneConfig, before: Cost, after: Cost) -> float:
    """Return the share of the budget that the surgery removed."""
    if config.budget is BudgetKind.PARAMS:
        return 1 - after.parameters / before.parameters if before.parameters else 0.0
    return 1 - after.macs / before.macs if before.macs else 0.0


def _recovery_report(
    recovered: Recovered | None, added: int, samples: Samples | None, config: PruneConfig
) -> RecoveryReport | None:
    if recovered is None or samples is None:
        return None
    return RecoveryReport(
        method=chosen_recovery(samples, config).value,
        samples=len(samples.calibration),
        rounds=config.rounds,
        fits=recovered.solved.fits,
        left=recovered.solved.left,
        added=added,
        history=() if recovered.tuned is None else recovered.tuned.history,
        best_epoch=0 if recovered.tuned is None else recovered.tuned.best_epoch,
    )


def _check_judging(samples: Samples, saliency: SaliencyMap | None, config: PruneConfig) -> None:
    """Refuse what would stop the evaluation, before the long work starts."""
    if not config.judges:
        return
    if not len(samples.validation):
        raise DataError(
            f"'{config.data.path}' holds a single sample, but calibration and validation need one "
            "each: add samples, or use --no-evaluate"
        )
    if saliency is not None and samples.validation.has_masks:
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
    raise BudgetError(
        f"cannot remove {config.ratio:.1%} of the {quantity}: {frozen:.1%} are frozen and each "
        f"layer keeps {config.floor:.0%} of its channels; the most is {possible:.1%} "
        f"(see `wrg-onnx inspect {model.path}{limits}`)",
        wanted=config.ratio,
        possible=possible,
        frozen=frozen,
    )


def _saliency(graph: Graph, samples: Samples, config: PruneConfig) -> SaliencyMap | None:
    if samples.preprocessing is None or not (config.criterion.needs_gradient or config.judges):
        return None
    session = open_session(graph, provider=resolve_provider(config.provider))
    return find_saliency(session, samples.calibration, samples.preprocessing)


def _accuracy(
    graphs: tuple[Graph, Graph, Graph | None],
    samples: Samples,
    saliency: SaliencyMap | None,
    config: PruneConfig,
    progress: Progress,
) -> Accuracy:
    """Judge the original, the result, and what was cut and not recovered, if there is that."""
    provider = resolve_provider(config.provider)
    original, pruned, cut = (
        None if graph is None else open_session(graph, provider=provider) for graph in graphs
    )
    assert original is not None
    assert pruned is not None
    return judge(original, pruned, samples.validation, saliency, cut=cut, progress=progress)


def measure_speed(model: Model, pruned: Graph, config: PruneConfig) -> tuple[Speed, ...]:
    """Time the original and the pruned model on each provider that is there."""
    rng = np.random.default_rng(config.seed)
    feeds = random_feeds(model.graph, model.input_shapes, rng)
    found = []
    for provider in available_providers(config.provider):
        latency = time_models(
            {"before": model.graph, "after": pruned}, feeds, provider, config.timing, rng
        )
        found.append(Speed(provider.value, latency["before"], latency["after"]))
    return tuple(found)


def _describe(samples: Samples | None, config: PruneConfig) -> str:
    if samples is None or not config.criterion.needs_data:
        return "weights alone" if config.criterion is not Criterion.RANDOM else "nothing"
    return samples.calibration.description
