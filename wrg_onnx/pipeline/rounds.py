"""Cut and recover, round by round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from wrg_onnx.channels import BoolArray, IdArray, count_parameters
from wrg_onnx.deploy import Converted
from wrg_onnx.errors import ModelError
from wrg_onnx.graph import Graph, checker_problem
from wrg_onnx.pipeline.aim import aim_again
from wrg_onnx.pipeline.analyse import Model, analyse_graph
from wrg_onnx.pipeline.attempts import Attempts
from wrg_onnx.pipeline.choose import Chosen, choose_units
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import PruneConfig, Recovery
from wrg_onnx.pipeline.cut import Cut, cut_model
from wrg_onnx.pipeline.decisions import log_choice, log_recovery
from wrg_onnx.pipeline.measuring import Measuring
from wrg_onnx.pipeline.notes import cut_notes
from wrg_onnx.pipeline.recovery import Recovered, recover
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.pipeline.sparsify import sparsify_model
from wrg_onnx.pipeline.which_recovery import chosen_recovery
from wrg_onnx.report.records import SparsifyReport
from wrg_onnx.rewrite import Equivalence, KeptChannels, Survivors, compose, worst_of


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """What all rounds together gave.

    Attributes:
        last: The last cut.
        alive: (units of the original,) bool, those that are left.
        origin: (units of the last round's model,) int64, which unit of the original each is, or
            negative.
        kept: Which channels of the original are left.
        recovered: What was recovered after the last cut; None if nothing was.
        done: How many rounds were proven.
        removed: How many units went in all.
        added: How many parameters the biases have that recovery added.
        left: The share of the budget that is left, by what was counted or measured of the cuts.
        equivalence: The proof with the largest error; of the normalisations the round counts in
            which most of them, and furthest, went over fewer channels.
        notes: What a user should know about the cuts.
        sparsified: How the original was trained before the cut; None if it was not.
        converted: The pruned model in other numbers; None if it keeps its own.
    """

    last: Cut
    alive: BoolArray
    origin: IdArray
    kept: Mapping[str, KeptChannels]
    recovered: Recovered | None
    done: int
    removed: int
    added: int
    left: float
    equivalence: Equivalence
    notes: tuple[str, ...]
    sparsified: SparsifyReport | None = None
    converted: Converted | None = None

    @property
    def final(self) -> Graph:
        """The pruned model, recovered if anything was, in the original's numbers."""
        return self.last.graph if self.recovered is None else self.recovered.graph

    @property
    def written(self) -> Graph:
        """What the file gets: the final model, in the numbers that were asked for."""
        return self.final if self.converted is None else self.converted.graph


def cut_in_rounds(
    model: Model,
    samples: Samples | None,
    config: PruneConfig,
    clock: Clock,
    attempts: Attempts,
    lent: Measuring | None = None,
) -> Rounds:
    """Cut and recover; each round measures what the last one left.

    An error ends the rounds. Once a cut is proven it is noted, and the last state that is proven is
    returned: a round that fails leaves what those before it left, a recovery the cut before it.

    Args:
        model: The analysed original.
        samples: What the run looks at; None if it looks at weights alone.
        config: What to prune, and how.
        clock: Times the stages.
        attempts: Notes errors once a cut is proven.
        lent: Measures the original for several calls: it still holds what it measured then, and
            what it looks at may be more than ``samples``, which are recovered on. None measures for
            this call.

    Raises:
        ValidationError: If the first cut does not compute what the original did.
        WrgError: Another of its kinds.
    """
    current, removed, added, budget_left = model, 0, 0, 1.0
    said = dict[str, None]()
    equivalence: Equivalence | None = None
    cut: Cut | None = None
    kept: Mapping[str, KeptChannels] = {}
    recovered: Recovered | None = None
    survivors = Survivors.all_of(model.units)
    sparsified: SparsifyReport | None = None
    own = None if samples is None or lent else Measuring(model.graph, samples, config)
    measuring = lent or own
    if config.sparsify and samples is not None:
        # How certain this choice is nobody asks: it is made again.
        first = replace(config, certainty=None) if config.criterion.repairs else config
        dying = choose_for_round(1.0, model, 1, measuring, first, clock).selection
        # The same graph with other weights, so that units and their numbers are the same.
        current, sparsified = sparsify_model(model, dying, samples, config, clock)
    number = 0
    while number < config.rounds and not attempts.failed:
        with attempts.stage(f"round {number + 1}"):
            if cut is not None:
                with clock.stage("analyse"):
                    graph = cut.graph if recovered is None else recovered.graph
                    current = analyse_graph(graph, model.input_shapes, config.limits)
                    current = aim_again(current, model, config)
                    survivors = survivors.seen_from(current.units, cut.model.units, cut.slices)
            chosen = choose_for_round(budget_left, current, number + 1, measuring, config, clock)
            following = cut_model(current, chosen, config, clock)
            left = following.kept if cut is None else compose(kept, following.kept)
            survivors = survivors.after(chosen.selection.alive)
            # From here on this round counts.
            cut, kept, recovered = following, left, None
            number, removed = number + 1, removed + chosen.selection.removed
            budget_left *= 1 - chosen.selection.ratio
            found = cut.equivalence
            equivalence = found if equivalence is None else worst_of(equivalence, found)
            attempts.proven = True
        if attempts.failed:
            break
        assert cut is not None
        with attempts.stage("recover"):
            recovered = _recovered(model, cut, kept, samples, config, clock)
        with attempts.stage("report"):
            said |= dict.fromkeys(cut_notes(cut, samples, config))
            if recovered is not None:
                added += count_parameters(recovered.graph) - count_parameters(cut.graph)
                said |= dict.fromkeys(() if recovered.tuned is None else recovered.tuned.notes)
    if measuring is not None:
        said |= dict.fromkeys(measuring.notes)
        if own is not None:
            own.let_go()
    assert cut is not None
    assert equivalence is not None
    return Rounds(
        cut, survivors.alive, survivors.origin, kept, recovered, number, removed, added,
        budget_left, equivalence, tuple(said), sparsified,
    )  # fmt: skip


def _recovered(
    model: Model,
    cut: Cut,
    kept: Mapping[str, KeptChannels],
    samples: Samples | None,
    config: PruneConfig,
    clock: Clock,
) -> Recovered | None:
    """Recover one cut, if anything is to be recovered, to a model that can be written."""
    if samples is None or chosen_recovery(samples, config) is Recovery.NONE:
        return None
    with clock.stage("recover"):
        recovered = recover(model.graph, cut, kept, samples, config, clock.progress)
        if recovered is not None:
            log_recovery(recovered.solved, len(samples.calibration))
        problem = None if recovered is None else checker_problem(recovered.graph)
        if problem is not None and checker_problem(cut.graph) is None:
            raise ModelError(f"the ONNX checker refuses the recovered model: {problem}")
    return recovered


def choose_for_round(
    left: float,
    current: Model,
    number: int,
    measuring: Measuring | None,
    config: PruneConfig,
    clock: Clock,
) -> Chosen:
    """Measure what is left, and choose what dies in one round.

    Args:
        left: The share of the budget that the rounds before have left.
        current: What the round finds: the original, or what the round before it left.
        number: Which round it is, from 1.
        measuring: Of the original, on what the run looks at; None if it looks at weights alone.
        config: What to prune, and how.
        clock: Times the stages.

    Raises:
        WrgError: One of its kinds.
    """
    samples = None if measuring is None else measuring.samples
    step = _step(left, number, config)
    chosen = choose_units(current, samples, step, config, clock, measuring=measuring)
    log_choice(chosen.collected, 0 if samples is None else len(samples.calibration))
    return chosen


def _step(left: float, number: int, config: PruneConfig) -> tuple[float, float]:
    """Return the ratio of one round, and the share of each layer that stays at least.

    Each round leaves the same share of what it finds, so that all of them leave what was asked for.
    What an earlier one missed, as it was counted or measured, the next one makes up for.
    """
    wanted = (1 - config.ratio) ** (number / config.rounds)
    return max(0.0, 1 - wanted / left) if left else 0.0, config.floor ** (1 / config.rounds)
