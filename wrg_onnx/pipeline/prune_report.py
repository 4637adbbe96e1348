"""The report of a pruning, from what its rounds gave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from wrg_onnx.channels import count_parameters
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.factors import Statistics
from wrg_onnx.graph import resolve_provider
from wrg_onnx.latency import ChannelSteps, measure_steps
from wrg_onnx.pipeline.aim import Aim
from wrg_onnx.pipeline.alignment import layers_off, rounding_note
from wrg_onnx.pipeline.attempts import Attempts
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.conversion_notes import conversion_notes
from wrg_onnx.pipeline.decisions import log_kernels
from wrg_onnx.pipeline.notes import notes, strain_notes
from wrg_onnx.pipeline.quantities import QUANTITIES
from wrg_onnx.pipeline.rounds import Rounds
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.pipeline.which_recovery import chosen_recovery
from wrg_onnx.report.budget import BudgetReport
from wrg_onnx.report.records import ConversionReport, GroupReport, PruneReport, RecoveryReport
from wrg_onnx.report.widths import group_reports
from wrg_onnx.select import Criterion


def time_kernels(aim: Aim, clock: Clock, attempts: Attempts) -> ChannelSteps | None:
    """Find how this machine's kernels count channels, where somebody looks at the time.

    Args:
        aim: What was asked for.
        clock: Times the stage.
        attempts: Notes an error.

    Returns:
        None where nobody looks, or channels were kept in steps anyway.
    """
    if aim.align is None and aim.config.judges:
        with attempts.stage("report"), clock.stage("kernels"):
            log_kernels()
            return measure_steps(resolve_provider(aim.config.provider), clock.progress)
    return None


def prune_report(
    aim: Aim,
    rounds: Rounds,
    samples: Samples | None,
    steps: ChannelSteps | None,
    attempts: Attempts,
) -> PruneReport:
    """Say what was done; where it was written and how good it is, the caller adds.

    Args:
        aim: The analysed original, and what was asked for.
        rounds: What became of it.
        samples: What the run looked at, if it did.
        steps: How this machine's kernels count channels, if that was measured.
        attempts: What failed, and notes what fails here.
    """
    model, config, last = aim.model, aim.config, rounds.last
    before, after, budget = what_went(aim, rounds)
    reached = budget.share
    recovery: RecoveryReport | None = None
    groups: tuple[GroupReport, ...] = ()
    said = aim.notes + rounds.notes
    with attempts.stage("report"):
        recovery = _recovery_report(rounds, samples, config)
        groups = group_reports(model.units, model.parameters, rounds.alive)
        asked = reached if rounds.done < config.rounds else config.ratio
        said += tuple(strain_notes(groups, model.frozen_share, config))
        said += tuple(notes(reached, asked, samples, recovery, config))
        said += tuple(_alignment(aim, rounds, steps))
        if rounds.converted is not None and samples is not None:
            said += tuple(conversion_notes(rounds.converted, samples, config))
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
        target=budget,
        conversion=_conversion_report(rounds),
    )


def what_went(aim: Aim, rounds: Rounds) -> tuple[Cost, Cost, BudgetReport]:
    """Return the cost before and after, and what was to be reduced."""
    model, last = aim.model, rounds.last
    before = model.cost(model.everything, model.file_bytes)
    # Counted in the graph: readers of one vector may have got vectors of their own, and layers
    # without a bias one.
    cost = last.model.cost(last.chosen.selection.alive, None)
    after = replace(cost, parameters=count_parameters(rounds.final))
    return before, after, _budget(aim, rounds, after)


def _alignment(aim: Aim, rounds: Rounds, steps: ChannelSteps | None) -> Iterator[str]:
    """Say what it costs that layers are not kept in steps, where somebody looks at the time."""
    if aim.align is not None:
        odd = layers_off(aim.model.units, rounds.alive, aim.align)
        if odd:
            yield (
                f"{odd} {'layer has' if odd == 1 else 'layers have'} another number of channels "
                f"than a multiple of {aim.align}, since some are narrower, or belong to several "
                "groups of channels that are each kept so"
            )
    elif steps is not None:
        note = rounding_note(aim.model, rounds.alive, steps)
        yield from () if note is None else (note,)


def _budget(aim: Aim, rounds: Rounds, after: Cost) -> BudgetReport:
    """Say what was to be reduced, and what is left of it."""
    kind = aim.config.budget
    quantity = QUANTITIES[kind]
    before = aim.model.budget(kind).cost(aim.model.everything)
    # What is written may have more than the terms say, such as biases that recovery adds.
    left = before * rounds.left if quantity.at_hand is None else quantity.at_hand(after)
    return BudgetReport(kind.value, before, left, aim.config.limit, aim.align)


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


def _conversion_report(rounds: Rounds) -> ConversionReport | None:
    found = rounds.converted
    if found is None:
        return None
    left = {op: len(nodes) for op, nodes in found.left_by_operator.items()}
    return ConversionReport(found.precision.value, found.samples, found.bytes_before, left)


def _describe(samples: Samples | None, config: PruneConfig) -> str:
    if samples is None or not config.criterion.needs_data:
        return "weights alone" if config.criterion is not Criterion.RANDOM else "nothing"
    return samples.calibration.description
