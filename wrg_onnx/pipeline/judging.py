"""How good and how fast a pruned model is, beside its original."""

from __future__ import annotations

from dataclasses import dataclass

from wrg_onnx.evaluate.judge import Accuracy, Judgement, judge_images
from wrg_onnx.evaluate.reference import Reference
from wrg_onnx.graph import Session, open_session
from wrg_onnx.latency import Speed
from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.pipeline.attempts import Attempts
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.rounds import Rounds
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.pipeline.speed import Pair, measure_speed, open_pair
from wrg_onnx.progress import Progress


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """How good the result is, and how fast; empty where that is not known.

    Attributes:
        judgement: How good.
        speed: How fast, by provider.
    """

    judgement: Judgement | None = None
    speed: tuple[Speed, ...] = ()

    @property
    def accuracy(self) -> Accuracy | None:
        """How good over all images."""
        return None if self.judgement is None else self.judgement.accuracy


def judge_result(
    model: Model,
    rounds: Rounds,
    samples: Samples,
    config: PruneConfig,
    progress: Progress,
    attempts: Attempts,
) -> Judged:
    """Judge and time the original and the result, as far as that works.

    What ONNX Runtime runs in other types than the file's is not timed: that would not tell how fast
    the file is where somebody does run it.

    Args:
        model: The analysed original.
        rounds: What became of it.
        samples: What the run looks at.
        config: Where to compute, and how long to time.
        progress: Told how many samples are judged.
        attempts: Notes what fails.
    """
    pair: Pair | None = None
    found: Judgement | None = None
    speed: tuple[Speed, ...] = ()
    with attempts.stage("accuracy", "latency"):
        pair = open_pair(model.graph, rounds.written, config.provider)
    if pair is not None:
        with attempts.stage("accuracy"):
            found = _judge(pair, rounds, samples, progress)
    if pair is not None and not model.graph.widened:
        with attempts.stage("latency"):
            progress("latency", 0, 0)
            speed = measure_speed(
                model, rounds.written, config.provider, config.timing, pair, seed=config.seed,
                float32=None if rounds.converted is None else rounds.final, progress=progress,
            )  # fmt: skip
    return Judged(found, speed)


def _judge(pair: Pair, rounds: Rounds, samples: Samples, progress: Progress) -> Judgement:
    """Judge the original, the result, and what it was on the way: cut, and in float32."""
    cut: Session | None = None
    float32: Session | None = None
    if rounds.recovered is not None:
        cut = open_session(rounds.last.graph, provider=pair.provider)
    if rounds.converted is not None:
        float32 = open_session(rounds.final, provider=pair.provider)
    reference = Reference(pair.original, samples.validation, samples.saliency)
    return judge_images(reference, pair.pruned, cut=cut, float32=float32, progress=progress)
