"""Half precision or int8, once a model is pruned and recovered."""

from __future__ import annotations

from dataclasses import replace

from wrg_onnx.deploy import to_half, to_int8
from wrg_onnx.pipeline.attempts import Attempts
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import Precision, PruneConfig
from wrg_onnx.pipeline.rounds import Rounds
from wrg_onnx.pipeline.samples import Samples


def convert(
    rounds: Rounds, samples: Samples | None, config: PruneConfig, clock: Clock, attempts: Attempts
) -> Rounds:
    """Write the final model in the numbers that were asked for.

    It comes last: the choice of channels and the recovery measure and solve in float32, and what
    they write would have to be rounded again. An error leaves the final model as it is.

    Args:
        rounds: What became of the original.
        samples: What the run looks at; the calibration set tells int8 its ranges.
        config: What was asked for.
        clock: Times it.
        attempts: Notes what fails.

    Returns:
        The same, with what was converted if anything was.
    """
    if config.precision is None:
        return rounds
    assert samples is not None
    with attempts.stage("convert"), clock.stage("convert"):
        if config.precision is Precision.HALF:
            return replace(rounds, converted=to_half(rounds.final, samples.calibration))
        found = to_int8(rounds.final, samples.calibration, progress=clock.progress)
        return replace(rounds, converted=found)
    return rounds
