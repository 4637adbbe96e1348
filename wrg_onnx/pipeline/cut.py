"""One cut: measure, select, slice, and prove it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np

from wrg_onnx.calibrate.collect import Collected, CollectOptions, collect
from wrg_onnx.calibrate.head import SaliencyHead
from wrg_onnx.calibrate.instruments import Wanted
from wrg_onnx.calibrate.statistics import BoolArray, Float64Array, Statistics
from wrg_onnx.channels import IdArray
from wrg_onnx.graph import DataError, Graph
from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.recover import KeptChannels, kept_channels
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
from wrg_onnx.select import Candidates, Scores, Selection, expected_jaccard, score, select


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The result of one cut.

    Attributes:
        model: What was cut, analysed.
        collected: What was measured of it.
        scores: What each of its units is worth.
        selection: Which of them died.
        graph: The smaller model.
        slices: The kept positions per axis of each sliced constant.
        kept: Which channels of ``model`` it still has.
        equivalence: The proof.
    """

    model: Model
    collected: Collected
    scores: Scores
    selection: Selection
    graph: Graph
    slices: Mapping[str, tuple[IdArray | None, ...]]
    kept: Mapping[str, KeptChannels]
    equivalence: Equivalence


def cut_model(
    model: Model,
    samples: Samples | None,
    head: SaliencyHead | None,
    step: tuple[float, float],
    config: PruneConfig,
    clock: Clock,
) -> Cut:
    """Measure a model, remove channels, and prove that the rest computes what it did.

    Args:
        model: The analysed model.
        samples: Where statistics come from; None if only weights are looked at.
        head: How to read the saliency map, None if the model has none.
        step: The ratio to remove of this model, and the share of each of its layers that stays.
        config: What to prune, and how.
        clock: Times the stages.

    Raises:
        WrgError: One of its kinds.
    """
    ratio, floor = step
    candidates = Candidates(model.units.removable, model.units.group, floor)
    budget = model.budget(config.budget)

    def choose(statistics: Statistics) -> tuple[Scores, Selection]:
        rng = np.random.default_rng(config.seed)
        scores = score(config.criterion, statistics, model.units.count, rng)
        return scores, select(candidates, scores.values, budget, ratio, config.scope)

    with clock.stage("calibrate"):
        collected = _collect(model, samples, head, lambda s: choose(s)[1].alive, config, clock)
    with clock.stage("select"):
        scores, selection = choose(collected.statistics)
    with clock.stage("rewrite"):
        plan = plan_slices(model.units, selection.alive)
        # The masked original runs first: its weights are gone before the pruned ones are made.
        references = _references(model, plan, config.seed)
        pruned = apply_plan(model.graph, plan)
    with clock.stage("validate"):
        equivalence = combine([compare_with(reference, pruned) for reference in references])
    kept = kept_channels(model.units, selection.alive)
    return Cut(model, collected, scores, selection, pruned, plan.kept, kept, equivalence)


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


def _collect(
    model: Model,
    samples: Samples | None,
    head: SaliencyHead | None,
    select_from: Callable[[Statistics], BoolArray],
    config: PruneConfig,
    clock: Clock,
) -> Collected:
    """Measure as many images as it takes for the selection to be certain."""
    parts = config.criterion.parts
    options = CollectOptions(
        weights=bool({"w", "l1"} & set(parts)),
        wanted=Wanted(
            ranks="r" in parts,
            activations="act" in parts,
            gradients="g" in parts,
            provider=config.provider,
            cache=config.cache,
        ),
        enough=config.certainty,
        workers=config.workers,
    )
    data = None
    if samples is not None:
        # The first images must be a fair choice: files in order of their names often are not.
        order = np.random.default_rng(config.seed).permutation(len(samples.calibration))
        data = samples.calibration.take(order)

    def certainty(statistics: Statistics, weighted: Callable[[Float64Array], Statistics]) -> float:
        def choose(times: Float64Array | None) -> BoolArray:
            return select_from(statistics if times is None else weighted(times))

        rng = np.random.default_rng(config.seed)
        return expected_jaccard(choose, statistics.images, rng)

    return collect(
        model.units, data, options, head=head, certainty=certainty, progress=clock.progress
    )
