"""Find the largest cut after which a metric has fallen by no more than is allowed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from wrg_onnx.data.dataset import DataSet, split
from wrg_onnx.errors import BudgetError
from wrg_onnx.evaluate.bootstrap import FEWEST_IMAGES, Change, measure_change
from wrg_onnx.evaluate.judge import Judgement
from wrg_onnx.evaluate.metrics import Metric, suited_metric
from wrg_onnx.evaluate.reference import Reference
from wrg_onnx.pipeline.aim import Aim, aim_at
from wrg_onnx.pipeline.attempts import Attempts
from wrg_onnx.pipeline.commands import prune_command
from wrg_onnx.pipeline.config import MaxDrop, PruneConfig, Recovery
from wrg_onnx.pipeline.judging import Judged
from wrg_onnx.pipeline.prune_report import what_went
from wrg_onnx.pipeline.rounds import Rounds
from wrg_onnx.pipeline.samples import KEPT_BYTES, Samples
from wrg_onnx.pipeline.speed import measure_speed
from wrg_onnx.pipeline.trials import Trials
from wrg_onnx.pipeline.which_recovery import chosen_recovery
from wrg_onnx.report.search import Probe, SearchReport, short, spoken_change

STEP = 0.01
"""How near the bisection comes to the largest ratio; choices are hardly nearer to it."""

FIRST_STEP_BACK = 0.02
"""By how much the ratio is lowered once a check fails; each time by twice as much, or to half."""

MOST_SEARCHED = 100
"""On how many samples a cut of the bisection is judged at most."""

RECOVER_ON = 16
"""On how many samples the cuts of the bisection are recovered."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The largest cut that was found.

    Attributes:
        aim: What it was made by: the ratio is the one that was found.
        rounds: The cut.
        judged: How good and how fast it is.
        search: How it was found.
        attempts: What failed once it was proven.
    """

    aim: Aim
    rounds: Rounds
    judged: Judged
    search: SearchReport
    attempts: Attempts


def find_largest_cut(trials: Trials, config: PruneConfig, most: float) -> Found:
    """Search for the largest ratio by bisection, and check it.

    The cuts of the bisection are recovered on few samples, and judged on others than what it finds,
    which is made once more with all samples (``divide``): the bisection has taken the luckiest of
    several, so its own figures flatter. Where that does not hold, the ratio goes back step by step
    until it does. That a larger cut is a worse one is likely and not certain: the largest ratio of
    all is not promised.

    Args:
        trials: Cuts from one calibration.
        config: What to prune, and how, with ``max_drop``.
        most: The largest ratio that the units allow.

    Raises:
        BudgetError: If no cut that was tried holds.
        DataError: If the metric needs masks, and there are none.
        WrgError: As a single cut.
    """
    allowed = config.max_drop
    assert allowed is not None
    metric = metric_for(trials.samples, allowed)
    search_data, check_data, apart = divide(trials.samples, config.seed)
    search = _Search(trials, config, metric, allowed.most)
    seen = trials.reference(search_data)
    probes: list[Probe] = []
    low, high = 0.0, most
    while high - low > STEP:
        ratio = round((low + high) / 2, 3)
        probes.append(search.probe(ratio, seen))
        low, high = (ratio, high) if probes[-1].holds else (low, ratio)
    unseen = trials.reference(check_data)
    checks: list[Probe] = []
    # Where not even the smallest holds, recovery on few samples may be to blame: it is checked.
    for ratio in _backwards(low or min((one.ratio for one in probes), default=0.0)):
        check, rounds, judgement, attempts = search.check(ratio, unseen)
        checks.append(check)
        # What could not be judged is returned as what it is: proven, and not finished.
        if check.holds or judgement is None:
            trials.let_go()
            asked = replace(config, ratio=ratio)
            report = SearchReport(
                metric.title, allowed.most, tuple(probes), tuple(checks), search.few,
                len(trials.samples.calibration), len(search_data), len(check_data), apart,
                prune_command(trials.aim.model.graph.name, _recovering(trials.samples, asked)),
            )  # fmt: skip
            judged = search.time(rounds, judgement, asked, attempts)
            return Found(aim_at(trials.aim, asked), rounds, judged, report, attempts)
    raise _nothing_holds(trials, metric, allowed, [*probes, *checks])


def metric_for(samples: Samples, allowed: MaxDrop) -> Metric:
    """Return the metric that may fall, on these samples.

    Raises:
        DataError: If it needs masks or a saliency map, and there are none.
    """
    has_masks = samples.saliency is not None and samples.validation.has_masks
    return suited_metric(allowed.metric, has_masks=has_masks)


def divide(samples: Samples, seed: int) -> tuple[DataSet, DataSet, bool]:
    """Return what the search is judged on, and what its checks are.

    A search takes samples that statistics and judging leave over, where there are enough. Else both
    share the held-out ones: half of them each, or where a half would be too few for an interval,
    all of them.

    Returns:
        The two data sets, and whether no sample is in both.
    """
    held_out, spare = samples.validation, samples.spare
    if spare is not None and len(spare) >= min(FEWEST_IMAGES, len(held_out)):
        count = min(MOST_SEARCHED, len(spare))
        spare, _ = spare.take(np.arange(count) * len(spare) // count).without_broken()
        return spare.kept(KEPT_BYTES), held_out, True
    if len(held_out) < 2 * FEWEST_IMAGES:
        return held_out, held_out, False
    first, second = split(len(held_out), 0.5, seed)
    return held_out.take(first), held_out.take(second), True


class _Search:
    """Makes cuts, and says whether they hold."""

    def __init__(self, trials: Trials, config: PruneConfig, metric: Metric, most: float) -> None:
        self._trials, self._config, self._metric, self._most = trials, config, metric, most
        self.few = min(RECOVER_ON, len(trials.samples.calibration))

    def probe(self, ratio: float, reference: Reference) -> Probe:
        """Try a ratio in short."""
        config = self._config
        if config.recover is Recovery.FINETUNE:  # it starts from ridge, and takes far longer
            config = replace(config, recover=Recovery.RIDGE, epochs=None)
        return self._try(replace(config, ratio=ratio), reference, self.few, with_cut=False)[0]

    def check(
        self, ratio: float, reference: Reference
    ) -> tuple[Probe, Rounds, Judgement | None, Attempts]:
        """Make the cut of a ratio as it would be written."""
        return self._try(replace(self._config, ratio=ratio), reference, None, with_cut=True)

    def time(
        self, rounds: Rounds, judgement: Judgement | None, config: PruneConfig, attempts: Attempts
    ) -> Judged:
        """Time a cut that was judged."""
        if judgement is None:
            return Judged()
        trials, judged = self._trials, Judged(judgement)
        if trials.aim.model.graph.widened:
            return judged
        with trials.clock.stage("evaluate"), attempts.stage("latency"):
            pair = trials.pair(rounds)
            speed = measure_speed(
                trials.aim.model,
                rounds.written,
                config.provider,
                config.timing,
                pair,
                seed=config.seed,
                float32=None if rounds.converted is None else rounds.final,
                progress=trials.clock.progress,
            )
            return replace(judged, speed=speed)
        return judged

    def _try(
        self, config: PruneConfig, reference: Reference, few: int | None, *, with_cut: bool
    ) -> tuple[Probe, Rounds, Judgement | None, Attempts]:
        start, attempts = time.perf_counter(), Attempts()
        aim = aim_at(self._trials.aim, config)
        rounds = self._trials.cut(aim, attempts, few)
        judgement: Judgement | None = None
        change: Change | None = None
        if not attempts.failed:  # a model that could not be recovered is not what was asked for
            with attempts.stage("accuracy"):
                judgement = self._trials.judge(rounds, reference, with_cut=with_cut)
                rng = np.random.default_rng(config.seed)
                change = measure_change(judgement.per_image, self._metric, rng)
        holds = change is not None and change.drop <= self._most
        problem = attempts.failed[0].message if attempts.failed else ""
        *_, budget = what_went(aim, rounds)
        seconds = time.perf_counter() - start
        probe = Probe(config.ratio, budget.share, change, holds, seconds, problem)
        return probe, rounds, judgement, attempts


def _recovering(samples: Samples, config: PruneConfig) -> PruneConfig:
    """Write out which recovery is made: without a search it could be another one."""
    return replace(config, recover=chosen_recovery(samples, config), max_drop=None)


def _backwards(ratio: float) -> Iterator[float]:
    """Yield a ratio and smaller and smaller ones, at most halved each time, down to ``STEP``."""
    step = FIRST_STEP_BACK
    while ratio > 0:
        yield ratio
        ratio, step = round(max(ratio - step, ratio / 2), 3), 2 * step
        if ratio < STEP:
            return


def _nothing_holds(
    trials: Trials, metric: Metric, allowed: MaxDrop, tried: list[Probe]
) -> BudgetError:
    """Return the error that says how far the smallest of all cuts lets the metric fall."""
    smallest = min(tried, key=lambda one: one.ratio, default=None)
    frozen = trials.aim.model.frozen_share
    if smallest is None or smallest.change is None:
        why = "nothing can be cut" if smallest is None else smallest.problem
        return BudgetError(
            f"no cut keeps {metric.title} within {short(allowed.most)}: {why}",
            wanted=0.0, possible=0.0, frozen=frozen,
        )  # fmt: skip
    return BudgetError(
        f"no cut keeps {metric.title} within {short(allowed.most)}: the smallest of "
        f"{len(tried)} that were tried removes {smallest.reached:.1%}, and "
        f"{spoken_change(smallest.change)}; allow a larger drop, or recover better (more "
        "--samples, --recover finetune)",
        wanted=smallest.ratio, possible=0.0, frozen=frozen,
    )  # fmt: skip
