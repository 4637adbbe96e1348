"""Prune a model: the stages in order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from wrg_onnx.calibrate.collect import CollectOptions, collect
from wrg_onnx.calibrate.head import SaliencyHead
from wrg_onnx.calibrate.progress import Progress, silent
from wrg_onnx.calibrate.statistics import Statistics
from wrg_onnx.channels import count_parameters
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.evaluate.judge import Accuracy, Speed, available_providers, judge, time_models
from wrg_onnx.evaluate.saliency import metrics_package
from wrg_onnx.graph import (
    BudgetError,
    DataError,
    Graph,
    UsageError,
    check_output,
    open_session,
    other_sizes,
    random_feeds,
    resolve_provider,
    save,
    stored_bytes,
)
from wrg_onnx.pipeline.analyse import Model, analyse, group_reports
from wrg_onnx.pipeline.config import BudgetKind, PruneConfig
from wrg_onnx.pipeline.samples import Samples, gather_samples, read_head
from wrg_onnx.report.records import PruneReport
from wrg_onnx.rewrite import (
    Equivalence,
    Plan,
    Reference,
    apply_plan,
    combine,
    compare_with,
    has_branches,
    plan_slices,
    run_masked,
)
from wrg_onnx.select import (
    Candidates,
    Criterion,
    Scores,
    Selection,
    largest_ratio,
    score,
    select,
)


@dataclass(slots=True)
class _Clock:
    """Times the stages."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.progress(name, 0, 0)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def prune(
    path: Path,
    output: Path | None,
    config: PruneConfig,
    *,
    force: bool = False,
    progress: Progress = silent,
) -> PruneReport:
    """Remove whole channels from a model, prove it, and measure what is left.

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
    clock = _Clock(progress)
    if output is not None:
        _check_output(output, force=force)
    with clock.stage("analyse"):
        model = analyse(path, config.data, config.limits, strict=config.strict)
        candidates = Candidates(model.units.removable, model.units.group, config.floor)
        _check_ratio(model, candidates, config)
        # Now, since the output may take the model's place.
        before = model.cost(model.everything, stored_bytes(path, model.graph))
    samples, head = None, None
    if config.criterion.needs_data or config.judges:
        with clock.stage("data"):
            samples = gather_samples(model.graph, model.input_shapes, config.data, seed=config.seed)
            head = _head(model.graph, samples, config)
            _check_judging(samples, head, config)
    with clock.stage("calibrate"):
        statistics = _statistics(model, samples, head, config, progress)
    with clock.stage("select"):
        rng = np.random.default_rng(config.seed)
        scores = score(config.criterion, statistics, model.units.count, rng)
        selection = select(
            candidates, scores.values, model.budget(config.budget), config.ratio, config.scope
        )
    with clock.stage("rewrite"):
        plan = plan_slices(model.units, selection.alive)
        # The masked original runs first: its weights are gone before the pruned ones are made.
        references = _references(model, plan, config.seed)
        pruned = apply_plan(model.graph, plan)
    with clock.stage("validate"):
        equivalence = combine([compare_with(reference, pruned) for reference in references])
    accuracy: Accuracy | None = None
    speed: tuple[Speed, ...] = ()
    if config.judges and samples is not None:
        with clock.stage("evaluate"):
            accuracy = _accuracy(model.graph, pruned, samples, head, config, progress)
            speed = measure_speed(model, pruned, config)
    # Counted in the graph: readers of one vector may have got vectors of their own.
    after = replace(model.cost(selection.alive, None), parameters=count_parameters(pruned))
    if output is not None:
        with clock.stage("save"):
            after = replace(after, file_bytes=save(pruned, output, force=force))
    return PruneReport(
        model=str(path),
        output=None if output is None else str(output),
        criterion=config.criterion.value,
        budget=config.budget.value,
        scope=config.scope.value,
        ratio=config.ratio,
        reached=_reached(config, selection, before, after),
        calibration=_describe(samples, config),
        units=int(model.units.removable.sum()),
        removed=selection.removed,
        equivalence=equivalence,
        before=before,
        after=after,
        accuracy=accuracy,
        speed=speed,
        groups=group_reports(model, selection.alive),
        notes=(
            *_limits_of_proof(model, equivalence),
            *_notes(model, scores, selection, samples, config),
        ),
        seconds=clock.seconds,
    )


def _reached(config: PruneConfig, selection: Selection, before: Cost, after: Cost) -> float:
    """Return the share of the budget that is really gone."""
    if config.budget is not BudgetKind.PARAMS or not before.parameters:
        return selection.ratio
    return 1 - after.parameters / before.parameters


def _references(model: Model, plan: Plan, seed: int) -> list[Reference]:
    """Run the masked original, also at a second size and in each branch, where it does run."""
    run = partial(run_masked, model.graph, plan, seed=seed)
    references = [run(model.input_shapes)]
    if model.other_shapes is not None:
        with suppress(DataError):  # shapes fit there, but the original itself need not run
            references.append(run(model.other_shapes))
    for branch in (True, False) if has_branches(model.graph) else ():
        with suppress(DataError):  # a branch may be there for other shapes
            references.append(run(model.input_shapes, branch=branch))
    return references


def _check_output(output: Path, *, force: bool) -> None:
    check_output(output, force=force)
    if output.suffix.lower() != ".onnx":
        raise UsageError(
            f"output '{output}' must end in .onnx, such as '{output.with_suffix('.onnx')}'"
        )


def _check_judging(samples: Samples, head: SaliencyHead | None, config: PruneConfig) -> None:
    """Refuse what would stop the evaluation, before the long work starts."""
    if not config.judges:
        return
    if not len(samples.validation):
        raise DataError(
            f"'{config.data.path}' holds a single sample, but calibration and validation need one "
            "each: add samples, or use --no-evaluate"
        )
    if head is not None and samples.validation.has_masks:
        metrics_package()


def _check_ratio(model: Model, candidates: Candidates, config: PruneConfig) -> None:
    """Refuse a ratio that no selection reaches, before any image is read."""
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


def _head(graph: Graph, samples: Samples, config: PruneConfig) -> SaliencyHead | None:
    if samples.preprocessing is None or not (config.criterion.needs_gradient or config.judges):
        return None
    session = open_session(graph, provider=resolve_provider(config.provider))
    return read_head(session, samples.calibration, samples.preprocessing)


def _statistics(
    model: Model,
    samples: Samples | None,
    head: SaliencyHead | None,
    config: PruneConfig,
    progress: Progress,
) -> Statistics:
    parts = config.criterion.parts
    options = CollectOptions(
        weights=bool({"w", "l1"} & set(parts)),
        ranks="r" in parts,
        activations="act" in parts,
        gradients="g" in parts,
        provider=config.provider,
    )
    data = None if samples is None else samples.calibration
    return collect(model.units, data, options, head=head, progress=progress)


def _accuracy(
    original: Graph,
    pruned: Graph,
    samples: Samples,
    head: SaliencyHead | None,
    config: PruneConfig,
    progress: Progress,
) -> Accuracy:
    provider = resolve_provider(config.provider)
    return judge(
        open_session(original, provider=provider),
        open_session(pruned, provider=provider),
        samples.validation,
        head,
        progress=progress,
    )


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


def _limits_of_proof(model: Model, equivalence: Equivalence) -> Iterator[str]:
    is_open = other_sizes(model.graph.inputs, model.input_shapes) is not None
    if is_open and equivalence.sizes == 1:
        yield (
            "the model leaves sizes open but refuses the second ones that were tried, so "
            "the proof covers one size"
        )
    if has_branches(model.graph) and equivalence.branches < 2:
        yield (
            "not every branch runs on the inputs of the proof; one that did not rests on the rules "
            "alone"
        )
    if equivalence.steps:
        yield (
            "rounding alone moves the quantised results, so the proof leaves the rounding between "
            f"layers out ({equivalence.steps} pairs of QuantizeLinear and DequantizeLinear)"
        )
    if equivalence.layers:
        yield (
            "rounding alone grows from layer to layer in this model, so the proof compares each of "
            f"{equivalence.layers} layers by itself, on what the original computes before it"
        )
    if equivalence.silent:
        names = ", ".join(f"'{name}'" for name in equivalence.silent)
        yield (
            f"on the random input of the proof {names} is constant or not finite, so the proof "
            "rests on the layers before it"
        )


def _notes(
    model: Model,
    scores: Scores,
    selection: Selection,
    samples: Samples | None,
    config: PruneConfig,
) -> Iterator[str]:
    missing = int((scores.unmeasured & model.units.removable).sum())
    if missing:
        yield (
            f"{missing} of {int(model.units.removable.sum())} units could not be measured by "
            f"'{config.criterion.value}' and were taken as average"
        )
    if abs(selection.ratio - config.ratio) > 0.005:
        yield (
            f"the units are too coarse to come closer to {config.ratio:.1%} by score than "
            f"{selection.ratio:.1%}"
        )
    if samples is not None and config.data.path is None:
        what = [
            *(["statistics"] if config.criterion.needs_data else []),
            *(["accuracy"] if config.judges else []),
        ]
        origin = "random inputs" if samples.preprocessing is None else "the built-in generator"
        verb = "comes" if what == ["accuracy"] else "come"
        yield f"no --data given, so {' and '.join(what)} {verb} from {origin}"
