"""Cut and recover, round by round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from wrg_onnx.channels import BoolArray, count_parameters
from wrg_onnx.graph import Graph
from wrg_onnx.pipeline.analyse import Model, analyse_graph
from wrg_onnx.pipeline.choose import Chosen, choose_units
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import PruneConfig, Recovery
from wrg_onnx.pipeline.cut import Cut, cut_model
from wrg_onnx.pipeline.measuring import Measuring
from wrg_onnx.pipeline.notes import cut_notes
from wrg_onnx.pipeline.recovery import Recovered, recover
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.pipeline.sparsify import sparsify_model
from wrg_onnx.pipeline.which_recovery import chosen_recovery
from wrg_onnx.report.records import SparsifyReport
from wrg_onnx.rewrite import Equivalence, KeptChannels, Survivors, compose


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """What all rounds together gave.

    Attributes:
        last: The last cut.
        alive: (units of the original,) bool, those that are left.
        kept: Which channels of the original are left.
        recovered: What was recovered after the last cut; None if nothing was.
        removed: How many units went in all.
        added: How many parameters the biases have that recovery added.
        equivalence: The proof with the largest error.
        notes: What a user should know about the cuts.
        sparsified: How the original was trained before the cut; None if it was not.
    """

    last: Cut
    alive: BoolArray
    kept: Mapping[str, KeptChannels]
    recovered: Recovered | None
    removed: int
    added: int
    equivalence: Equivalence
    notes: tuple[str, ...]
    sparsified: SparsifyReport | None = None

    @property
    def final(self) -> Graph:
        """The pruned model, recovered if anything was."""
        return self.last.graph if self.recovered is None else self.recovered.graph


def cut_in_rounds(
    model: Model, samples: Samples | None, config: PruneConfig, clock: Clock
) -> Rounds:
    """Cut and recover; each round measures what the last one left.

    Args:
        model: The analysed original.
        samples: What the run looks at; None if it looks at weights alone.
        config: What to prune, and how.
        clock: Times the stages.

    Raises:
        ValidationError: If a cut model does not compute what it did.
        WrgError: Another of its kinds.
    """
    current, removed, said = model, 0, dict[str, None]()
    added = 0
    equivalence: Equivalence | None = None
    kept: Mapping[str, KeptChannels] | None = None
    recovered: Recovered | None = None
    survivors = Survivors.all_of(model.units)
    sparsified: SparsifyReport | None = None
    measuring = None if samples is None else Measuring(model.graph, samples, config)
    if config.sparsify and samples is not None:
        # How certain this choice is nobody asks: it is made again.
        first = replace(config, certainty=None) if config.criterion.repairs else config
        dying = choose_for_round(model, model, 1, measuring, first, clock).selection
        # The same graph with other weights, so that units and their numbers are the same.
        current, sparsified = sparsify_model(model, dying, samples, config, clock)
    for number in range(1, config.rounds + 1):
        chosen = choose_for_round(model, current, number, measuring, config, clock)
        cut = cut_model(current, chosen, config.seed, clock)
        kept = cut.kept if kept is None else compose(kept, cut.kept)
        survivors = survivors.after(cut.chosen.selection.alive)
        removed += cut.chosen.selection.removed
        said |= dict.fromkeys(cut_notes(cut, samples, config))
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
                current = analyse_graph(graph, model.input_shapes, config.limits)
                survivors = survivors.seen_from(current.units, cut.model.units, cut.slices)
    if measuring is not None:
        said |= dict.fromkeys(measuring.notes)
        measuring.let_go()
    assert equivalence is not None
    assert kept is not None
    alive = survivors.alive
    return Rounds(cut, alive, kept, recovered, removed, added, equivalence, tuple(said), sparsified)


def choose_for_round(
    model: Model,
    current: Model,
    number: int,
    measuring: Measuring | None,
    config: PruneConfig,
    clock: Clock,
) -> Chosen:
    """Measure what is left, and choose what dies in one round.

    Args:
        model: The analysed original.
        current: What the round finds: the original, or what the round before it left.
        number: Which round it is, from 1.
        measuring: Of the original, on what the run looks at; None if it looks at weights alone.
        config: What to prune, and how.
        clock: Times the stages.

    Raises:
        WrgError: One of its kinds.
    """
    samples = None if measuring is None else measuring.samples
    step = _step(model, current, number, config)
    return choose_units(current, samples, step, config, clock, measuring=measuring)


def _step(model: Model, current: Model, number: int, config: PruneConfig) -> tuple[float, float]:
    """Return the ratio of one round, and the share of each layer that stays at least.

    Each round leaves the same share of what it finds, so that all of them leave what was asked for.
    """
    left = (1 - config.ratio) ** (number / config.rounds)
    whole, now = (m.budget(config.budget).cost(m.everything) for m in (model, current))
    ratio = max(0.0, 1 - left * whole / now) if now else 0.0
    return ratio, config.floor ** (1 / config.rounds)
