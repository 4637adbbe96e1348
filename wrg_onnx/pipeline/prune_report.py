"""The report of a pruning, from what its rounds gave."""

from __future__ import annotations

from dataclasses import replace

from wrg_onnx.channels import count_parameters
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.factors import Statistics
from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.pipeline.attempts import Attempts
from wrg_onnx.pipeline.config import BudgetKind, PruneConfig
from wrg_onnx.pipeline.notes import notes, strain_notes
from wrg_onnx.pipeline.rounds import Rounds
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.pipeline.which_recovery import chosen_recovery
from wrg_onnx.report.records import GroupReport, PruneReport, RecoveryReport
from wrg_onnx.report.widths import group_reports
from wrg_onnx.select import Criterion


def prune_report(
    model: Model,
    rounds: Rounds,
    samples: Samples | None,
    config: PruneConfig,
    attempts: Attempts,
) -> PruneReport:
    """Say what was done; where it was written and how good it is, the caller adds.

    Args:
        model: The analysed original.
        rounds: What became of it.
        samples: What the run looked at, if it did.
        config: What was asked for.
        attempts: What failed, and notes what fails here.
    """
    last = rounds.last
    before = model.cost(model.everything, model.file_bytes)
    # Counted in the graph: readers of one vector may have got vectors of their own, and layers
    # without a bias one.
    cost = last.model.cost(last.chosen.selection.alive, None)
    after = replace(cost, parameters=count_parameters(rounds.final))
    reached = _reached(config, before, after)
    recovery: RecoveryReport | None = None
    groups: tuple[GroupReport, ...] = ()
    said = rounds.notes
    with attempts.stage("report"):
        recovery = _recovery_report(rounds, samples, config)
        groups = group_reports(model.units, model.parameters, rounds.alive)
        asked = reached if rounds.done < config.rounds else config.ratio
        said += tuple(strain_notes(groups, model.frozen_share, config))
        said += tuple(notes(reached, asked, samples, recovery, config))
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
        notes=said,
        sparsified=rounds.sparsified,
        unfinished=attempts.failed,
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
        rounds=rounds.done,
        fits=recovered.solved.fits,
        left=recovered.solved.left,
        added=rounds.added,
        history=() if tuned is None else tuned.history,
        best_epoch=0 if tuned is None else tuned.best_epoch,
        between=() if tuned is None else tuned.between,
        chosen=None if tuned is None else tuned.chosen,
        walked=recovered.solved.walked,
    )


def _describe(samples: Samples | None, config: PruneConfig) -> str:
    if samples is None or not config.criterion.needs_data:
        return "weights alone" if config.criterion is not Criterion.RANDOM else "nothing"
    return samples.calibration.description
