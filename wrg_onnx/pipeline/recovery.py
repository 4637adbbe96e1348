"""The recovery stage: what is done to the surviving weights, if anything."""

from __future__ import annotations

from collections.abc import Mapping

from wrg_onnx.calibrate.progress import Progress
from wrg_onnx.graph import Graph, resolve_provider
from wrg_onnx.pipeline.config import PruneConfig, Recovery
from wrg_onnx.pipeline.cut import Cut
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.recover import (
    FEWEST_SAMPLES,
    KeptChannels,
    Reconstruction,
    ReconstructOptions,
    Removal,
    compensate,
    reconstruct,
)


def chosen_recovery(samples: Samples | None, config: PruneConfig) -> Recovery:
    """Return the recovery that was asked for, or the one that suits the samples.

    Without a choice it is ridge on a data set and on generated images, and bias where there is a
    single one. Random inputs do not tell what a layer should make of real ones, and nothing is
    recovered.
    """
    if config.recover is not None:
        return config.recover
    if samples is None or (config.data.path is None and samples.preprocessing is None):
        return Recovery.NONE
    return Recovery.RIDGE if len(samples.calibration) >= FEWEST_SAMPLES else Recovery.BIAS


def recover(
    original: Graph,
    cut: Cut,
    kept: Mapping[str, KeptChannels],
    samples: Samples,
    config: PruneConfig,
    progress: Progress,
) -> Reconstruction | None:
    """Change the weights of a pruned model on the calibration samples.

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
    """
    chosen = chosen_recovery(samples, config)
    options = ReconstructOptions(resolve_provider(config.provider), seed=config.seed)
    data = samples.calibration
    if chosen is Recovery.BIAS:
        removal = Removal(cut.model.graph, cut.graph, cut.slices, cut.kept)
        return compensate(removal, data, options, progress=progress)
    if chosen is Recovery.RIDGE:
        return reconstruct(original, cut.graph, kept, data, options, progress=progress)
    return None
