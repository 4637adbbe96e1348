"""Measure a model, and choose which of its units die."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wrg_onnx.calibrate import Cache, Collected, CollectOptions, cache_limit, collect
from wrg_onnx.factors import BoolArray, Consumer, Float64Array, Statistics
from wrg_onnx.graph import one_blas_thread
from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import PruneConfig, Recovery
from wrg_onnx.pipeline.goal import Goal
from wrg_onnx.pipeline.measuring import Measuring
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.pipeline.which_recovery import chosen_recovery
from wrg_onnx.recover import consumers_of
from wrg_onnx.select import (
    RepairOrder,
    Scores,
    Selection,
    expected_jaccard,
    halves_jaccard,
    repair_order,
    score,
)

FEWEST_TO_HALVE = 4
"""From how many samples on a half of them can choose."""


@dataclass(frozen=True, slots=True, eq=False)
class Repair:
    """Who was asked to make up for units.

    Attributes:
        consumers: The layers that consume units.
        unmeasured: (units,) bool, units that no layer consumes whose input was measured.
    """

    consumers: tuple[Consumer, ...]
    unmeasured: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """What was measured, and what follows from it.

    Attributes:
        collected: What was measured.
        scores: What each unit is worth.
        selection: Which of them die.
        repair: What was asked of the layers that consume units; None if nothing was.
        measuring: What layers make of the samples, which recovery goes on from; None without any.
        doubt: Why it is not sure how much of the budget is left; empty if it is.
    """

    collected: Collected
    scores: Scores
    selection: Selection
    repair: Repair | None = None
    measuring: Measuring | None = None
    doubt: str = ""


def choose_units(
    model: Model,
    samples: Samples | None,
    step: tuple[float, float],
    config: PruneConfig,
    clock: Clock,
    *,
    measuring: Measuring | None = None,
) -> Chosen:
    """Measure a model on as many images as it takes, and choose what dies.

    Args:
        model: The analysed model.
        samples: Where statistics come from; None if only weights are looked at.
        step: The ratio to remove of this model, and the share of each of its layers that stays.
        config: What to prune, and how.
        clock: Times the stages.
        measuring: What layers make of the samples, where the model is not the run's original.

    Raises:
        WrgError: One of its kinds.
    """
    if measuring is None and samples is not None:
        measuring = Measuring(model.graph, samples, config)
    ratio, floor = step
    goal = Goal(model, model.candidates(floor), ratio, config)

    def scored(statistics: Statistics) -> Scores:
        rng = np.random.default_rng(config.seed)
        return score(config.criterion, statistics, model.units.count, rng)

    def select_from(statistics: Statistics) -> BoolArray:
        found = scored(statistics)
        return goal.estimate(found.values, found.unmeasured).alive

    recovers = chosen_recovery(samples, config) is not Recovery.NONE
    nothing = np.zeros(model.units.count, bool)
    with clock.stage("calibrate"):
        collected = _collect(model, samples, select_from, config, clock)
    if not config.criterion.repairs:
        with clock.stage("select"):
            scores = scored(collected.statistics)
            selection = goal.meet(scores, recovers=recovers)
            return Chosen(collected, scores, selection, measuring=measuring, doubt=goal.doubt)
    assert samples is not None  # the criterion needs data
    assert measuring is not None
    images = len(samples.calibration)
    asks = config.certainty is not None and images >= FEWEST_TO_HALVE
    with clock.stage("measure"):
        measured = measuring.layers_of(model.graph, clock.progress, halves=asks)
    with clock.stage("select"):
        consumers = tuple(consumers_of(model.units, measured))
        scores = scored(collected.statistics)
        savings = goal.budget.savings(model.units.count)

        def ordered_by(readers: Sequence[Consumer]) -> RepairOrder:
            # Many small products: threads would wait for each other, and use the cores up for it.
            with one_blas_thread():
                return repair_order(readers, goal.candidates, scores.values, savings)

        order = ordered_by(consumers)
        selection = goal.meet(Scores(order.values, nothing), recovers=recovers)
        certainty = None
        if asks:
            halves = (consumers_of(model.units, measured, half=half) for half in range(2))
            others = (goal.estimate(ordered_by(readers).values).alive for readers in halves)
            certainty = halves_jaccard(selection.alive, others)
    collected = replace(
        collected,
        statistics=replace(collected.statistics, images=images),
        certainty=certainty,
    )
    ordered = Scores(order.values, scores.unmeasured)
    repair = Repair(consumers, order.unmeasured)
    return Chosen(collected, ordered, selection, repair, measuring, goal.doubt)


def _collect(
    model: Model,
    samples: Samples | None,
    select_from: Callable[[Statistics], BoolArray],
    config: PruneConfig,
    clock: Clock,
) -> Collected:
    """Measure as many images as it takes for the selection to be certain."""
    options = CollectOptions(
        frozenset(config.criterion.factors),
        provider=config.provider,
        mixed=config.amp,
        cache=None if config.cache is None else Cache(config.cache, cache_limit()),
        enough=config.enough,
        workers=config.workers,
    )
    data, saliency = None, None
    if samples is not None:
        saliency = samples.saliency
        # The first images must be a fair choice: files in order of their names often are not.
        order = np.random.default_rng(config.seed).permutation(len(samples.calibration))
        data = samples.calibration.take(order)

    def certainty(statistics: Statistics, weighted: Callable[[Float64Array], Statistics]) -> float:
        def choose(times: Float64Array | None) -> BoolArray:
            return select_from(statistics if times is None else weighted(times))

        rng = np.random.default_rng(config.seed)
        with one_blas_thread():  # it draws means anew, by products
            return expected_jaccard(choose, statistics.images, rng)

    # An order by what can be repaired takes seconds: it is made once, of all images.
    asked = None if config.criterion.repairs else certainty
    return collect(
        model.units, data, options, saliency=saliency, certainty=asked, progress=clock.progress
    )
