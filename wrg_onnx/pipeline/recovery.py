"""The recovery stage: what is done to the surviving weights, if anything."""

from __future__ import annotations

from collections.abc import Mapping

from wrg_onnx.calibrate.progress import Progress
from wrg_onnx.graph import Graph, resolve_provider
from wrg_onnx.pipeline.config import PruneConfig, Recovery
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.recover import (
    KeptChannels,
    Method,
    Reconstruction,
    ReconstructOptions,
    reconstruct,
)


def chosen_recovery(samples: Samples | None, config: PruneConfig) -> Recovery:
    """Return the recovery that was asked for, or the one that suits the samples.

    Without a choice it is ridge on a data set and on generated images. Random inputs do not tell
    what a layer should make of real ones, and nothing is recovered.
    """
    if config.recover is not None:
        return config.recover
    if samples is None or (config.data.path is None and samples.preprocessing is None):
        return Recovery.NONE
    return Recovery.RIDGE


def recover(
    graphs: tuple[Graph, Graph],
    kept: Mapping[str, KeptChannels],
    samples: Samples,
    recovery: Recovery,
    config: PruneConfig,
    progress: Progress,
) -> Reconstruction:
    """Change the weights of a pruned model on the calibration samples.

    Args:
        graphs: The original model, and the pruned one.
        kept: Which channels of the original the pruned one still has.
        samples: What the run looks at.
        recovery: What is done; not ``Recovery.NONE``.
        config: Where to compute, and the seed.
        progress: Told how many layers are done.

    Raises:
        StatisticsError: As ``recover.reconstruct``.
    """
    options = ReconstructOptions(
        Method(recovery.value), resolve_provider(config.provider), seed=config.seed
    )
    return reconstruct(*graphs, kept, samples.calibration, options, progress=progress)
