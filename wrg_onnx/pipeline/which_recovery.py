"""Which recovery a run makes, if none was asked for."""

from __future__ import annotations

from wrg_onnx.pipeline.config import PruneConfig, Recovery
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.recover import FEWEST_SAMPLES


def chosen_recovery(samples: Samples | None, config: PruneConfig) -> Recovery:
    """Return the recovery that was asked for, or the one that suits the samples.

    Without a choice it is ridge on a data set and on generated images, and bias where there is a
    single one. Random inputs do not tell what a layer should make of real ones, and nothing is
    recovered. Nor is it where samples are looked at for another precision alone: the same model is
    written in other numbers.
    """
    if config.recover is not None:
        return config.recover
    if not config.prunes_by_samples:
        return Recovery.NONE
    if samples is None or (config.data.path is None and samples.preprocessing is None):
        return Recovery.NONE
    return Recovery.RIDGE if len(samples.calibration) >= FEWEST_SAMPLES else Recovery.BIAS
