"""What a run aims at: the terms of its budget, a limit as a ratio, and the steps of its layers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from wrg_onnx.calibrate import Cache, cache_limit
from wrg_onnx.channels import CostTerm, byte_terms, total_cost
from wrg_onnx.choices import BudgetKind
from wrg_onnx.errors import UsageError
from wrg_onnx.graph import Provider, file_bytes, resolve_provider
from wrg_onnx.latency import (
    ChannelSteps,
    CostTable,
    TableOptions,
    find_or_measure_table,
    measure_steps,
)
from wrg_onnx.pipeline.alignment import group_steps
from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.pipeline.config import AUTO_ALIGN, PruneConfig
from wrg_onnx.pipeline.quantities import QUANTITIES
from wrg_onnx.progress import Progress, silent
from wrg_onnx.select import largest_ratio


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """What a run aims at.

    Attributes:
        model: The model with the terms of the budget, and the steps of its layers.
        config: With the ratio that its limit asks for.
        align: In which multiples of channels layers are kept; None where each counts.
        notes: What a user should know.
    """

    model: Model
    config: PruneConfig
    align: int | None = None
    notes: tuple[str, ...] = ()


def take_aim(model: Model, config: PruneConfig, progress: Progress) -> Aim:
    """Prepare a model for the budget of a run.

    Args:
        model: The analysed model.
        config: What to prune, and how.
        progress: Told how far the measuring of a cost table is.

    Raises:
        UsageError: If several processes are to share what one has to measure, or ONNX Runtime
            runs the model in other types than its own.
        WrgError: Another of its kinds, if the cost table cannot be measured.
    """
    notes: list[str] = []
    table: CostTable | None = None
    from_table = QUANTITIES[config.budget].from_table
    if from_table and config.workers.count > 1:
        raise UsageError(f"{config.budget.value} is measured by one process: start one")
    if from_table and model.graph.widened:
        raise UsageError(
            f"{config.budget.value} cannot be measured: ONNX Runtime does not run this model's "
            "bfloat16, and its float32 takes another time; give another budget, such as macs"
        )
    if from_table and model.units.removable.any():
        table, notes = _cost_table(model, config, progress)
    aimed = with_terms(model, table)
    whole = aimed.budget(config.budget).cost(aimed.everything)
    limit = config.limit
    if limit is not None:
        config = replace(config, ratio=max(0.0, 1 - limit / whole) if whole else 0.0)
        if limit >= whole:
            show = QUANTITIES[config.budget].show
            notes.append(
                f"nothing had to go: the model has {show(whole)}, and {show(limit)} are allowed"
            )
    steps = _machine_steps(config, progress)
    if steps is not None:
        aimed, steps, said = _aligned(aimed, config, steps)
        notes += said
    return Aim(aimed, config, None if steps is None else steps.block, tuple(notes))


def asks_machine(config: PruneConfig) -> bool:
    """Tell whether what this machine takes, or likes, is measured before anything is chosen."""
    return QUANTITIES[config.budget].from_table or config.align == AUTO_ALIGN


def aim_at(aim: Aim, config: PruneConfig) -> Aim:
    """Aim at another ratio with what was measured for one, as ``take_aim`` would.

    Args:
        aim: Of another ratio.
        config: With this one, and no limit.
    """
    steps = _machine_steps(config)
    if steps is None:
        return replace(aim, config=config)
    model, steps, said = _aligned(aim.model, config, steps)
    return Aim(model, config, steps.block, (*aim.notes, *said))


def aim_again(model: Model, original: Model, config: PruneConfig) -> Model:
    """Prepare what a round has left of a model for the next one.

    Args:
        model: What is left, analysed.
        original: The original, prepared.
        config: What to prune, and how.
    """
    aimed = with_terms(model, original.table)
    steps = _machine_steps(config)
    return aimed if steps is None else _aligned(aimed, config, steps)[0]


def with_terms(model: Model, table: CostTable | None) -> Model:
    """Add the terms of the quantities that the analysis alone does not know."""
    weights = byte_terms(model.units)
    size = file_bytes(model.graph) if model.file_bytes is None else model.file_bytes
    rest = max(0.0, size - total_cost(weights, model.everything))
    further: dict[BudgetKind, tuple[CostTerm, ...]] = {
        BudgetKind.BYTES: (CostTerm(rest, ()), *weights),
        BudgetKind.LATENCY: () if table is None else table.terms(model.units),
    }
    return replace(model, further=further, table=table)


def _cost_table(
    model: Model, config: PruneConfig, progress: Progress
) -> tuple[CostTable, list[str]]:
    provider = resolve_provider(config.provider)
    found = find_or_measure_table(
        model.graph,
        model.units,
        model.input_shapes,
        measure_steps(provider, progress),
        TableOptions(provider),
        None if config.cache is None else Cache(config.cache, cache_limit()),
        progress=progress,
    )
    table = found.table
    when = "once took" if found.kept else "took"
    note = (
        f"the cost table of this machine {when} {table.seconds:.0f} s: {table.widths} widths of "
        f"the model, which it tells to {table.error:.1%}"
    )
    notes = [note, *([found.problem] if found.problem else [])]
    if table.is_noisy:
        notes.append(
            "this machine was busy while the cost table was measured (its pace varied by "
            f"{table.spread:.0%}, and the table is off by {table.error:.0%}), so that what is cut "
            "may not be what takes most time: close other programs and run this again"
        )
    if provider is Provider.CUDA:
        notes.append(
            "on CUDA ONNX Runtime tells when kernels start, not how long they take: the table "
            "says little of single layers, and the time that is met is measured"
        )
    return table, notes


def _machine_steps(config: PruneConfig, progress: Progress = silent) -> ChannelSteps | None:
    """Return in which steps layers are kept; None where each channel counts."""
    if config.align is None and not QUANTITIES[config.budget].from_table:
        return None
    if config.align is None or config.align == AUTO_ALIGN:
        return measure_steps(resolve_provider(config.provider), progress)
    return None if config.align == 1 else ChannelSteps(int(config.align), int(config.align))


def _aligned(
    model: Model, config: PruneConfig, steps: ChannelSteps
) -> tuple[Model, ChannelSteps, list[str]]:
    """Give each layer the steps that it is kept in, coarse ones if the ratio allows that."""
    tried = [steps]
    if steps.fine < steps.block:  # those of the machine: a number that was asked for is kept
        tried += [ChannelSteps(b, steps.fine) for b in _halves(steps.block, steps.fine)]
    best = model
    for each in tried:
        best = replace(model, steps=group_steps(model.units, each))
        budget = best.budget(config.budget)
        if largest_ratio(best.candidates(config.floor), budget) >= config.ratio:
            note = (
                f"layers are kept in steps of {each.block} channels, since steps of {steps.block} "
                f"do not allow {config.ratio:.1%}"
            )
            return best, each, [] if each is steps else [note]
    return best, tried[-1], []


def _halves(block: int, least: int) -> Iterable[int]:
    while block // 2 >= least:
        block //= 2
        yield block
