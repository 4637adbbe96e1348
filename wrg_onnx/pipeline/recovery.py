"""The recovery stage: what is done to the surviving weights, if anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from wrg_onnx.finetune import Finetuned, FinetuneOptions
from wrg_onnx.finetune.check import check_twin
from wrg_onnx.graph import Graph, resolve_provider
from wrg_onnx.pipeline.config import PruneConfig, Recovery
from wrg_onnx.pipeline.cut import Cut
from wrg_onnx.pipeline.finetune import trainer, training_data
from wrg_onnx.pipeline.measuring import row_options
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.pipeline.which_recovery import chosen_recovery
from wrg_onnx.progress import Progress
from wrg_onnx.recover import (
    Reconstruction,
    ReconstructOptions,
    Removal,
    check_samples,
    compensate,
    reconstruct,
)
from wrg_onnx.rewrite import KeptChannels


def check_recovery(original: Graph, samples: Samples, config: PruneConfig) -> None:
    """Refuse what would stop the recovery, before the long work starts.

    Raises:
        StatisticsError: If it solves for weights, and there are too few samples.
        MissingPackageError: If it is fine-tuning, and torch is not installed.
        UnsupportedOperatorError: If it is, and an operator of the original has no twin.
        ModelError: If it is, and no weight can be trained.
    """
    chosen = chosen_recovery(samples, config)
    if chosen in (Recovery.RIDGE, Recovery.FINETUNE):
        check_samples(samples.calibration)
    if chosen is not Recovery.FINETUNE:
        return
    trainer()
    from wrg_onnx.finetune.prepare import check_trainable

    check_trainable(original, FinetuneOptions())


@dataclass(frozen=True, slots=True, eq=False)
class Recovered:
    """A recovered model.

    Attributes:
        graph: The model.
        solved: What was solved for.
        tuned: What was trained after that; None if nothing was.
    """

    graph: Graph
    solved: Reconstruction
    tuned: Finetuned | None = None


def recover(
    original: Graph,
    cut: Cut,
    kept: Mapping[str, KeptChannels],
    samples: Samples,
    config: PruneConfig,
    progress: Progress,
) -> Recovered | None:
    """Change the weights of a pruned model on the calibration samples.

    Fine-tuning starts from what ridge gives.

    Args:
        original: The original model.
        cut: The last cut.
        kept: Which channels of the original are left after all cuts.
        samples: What the run looks at.
        config: What to do, where to compute, and the seed.
        progress: Told how much is done.

    Returns:
        The recovered model; None if nothing is to be recovered.

    Raises:
        StatisticsError: As ``recover.reconstruct`` and ``recover.compensate``.
        WrgError: Another of its kinds, as ``recover.finetune``.
        ValidationError: If ONNX Runtime does not compute what was trained.
    """
    chosen = chosen_recovery(samples, config)
    rows = row_options(samples, config)
    options = ReconstructOptions(resolve_provider(config.provider), rows=rows)
    data = samples.calibration
    if chosen is Recovery.NONE:
        return None
    removal = Removal(cut.model.graph, cut.graph, cut.slices, cut.kept)
    if chosen is Recovery.BIAS:
        solved = compensate(removal, data, options, progress=progress)
        return Recovered(solved.graph, solved)
    measuring = cut.chosen.measuring
    measured = None if measuring is None else measuring.layers_of(original, progress)
    removal = replace(removal, kept=kept)
    solved = reconstruct(original, removal, data, options, measured=measured, progress=progress)
    if chosen is Recovery.RIDGE:
        return Recovered(solved.graph, solved)
    tuned = _tune(original, solved.graph, kept, samples, config, progress)
    return Recovered(tuned.graph, solved, tuned)


def _tune(
    original: Graph,
    start: Graph,
    kept: Mapping[str, KeptChannels],
    samples: Samples,
    config: PruneConfig,
    progress: Progress,
) -> Finetuned:
    train = trainer()
    data = training_data(samples, seed=config.seed)
    options = FinetuneOptions(seed=config.seed)
    if config.epochs is not None:
        options = replace(options, epochs=config.epochs)
    tuned = train(start, original, data, kept, options, progress=progress)
    check_twin(start, tuned, data.held_out[0])
    return tuned
