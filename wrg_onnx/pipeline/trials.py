"""Many cuts of one model from one calibration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from wrg_onnx.data.dataset import DataSet
from wrg_onnx.evaluate.judge import Judgement, judge_images
from wrg_onnx.evaluate.reference import Reference
from wrg_onnx.files import scratch_folder
from wrg_onnx.graph import open_session, resolve_provider
from wrg_onnx.pipeline.aim import Aim
from wrg_onnx.pipeline.attempts import Attempts
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.convert import convert
from wrg_onnx.pipeline.measuring import Measuring
from wrg_onnx.pipeline.rounds import Rounds, cut_in_rounds
from wrg_onnx.pipeline.samples import KEPT_BYTES, Samples
from wrg_onnx.pipeline.speed import Pair

ANSWER_BYTES = 256 << 20
"""How many bytes of what the original answers are kept for the next cut."""


@contextmanager
def with_cache(config: PruneConfig) -> Iterator[PruneConfig]:
    """Lend a run that keeps nothing a folder for the rows of its factors, to measure them once."""
    if config.cache is not None:
        yield config
        return
    with scratch_folder() as folder:
        yield replace(config, cache=folder)


class Trials:
    """Cuts a model again and again, and judges what is left.

    What its layers read and make is measured for the first cut that asks for it, and held. Rows of
    factors are found again in the cache of each cut's configuration: see ``with_cache``.

    Args:
        aim: The original, and what all cuts have in common: budget, provider, seed, cache, places.
        samples: What the cuts look at.
        clock: Times the stages of all of them.

    Attributes:
        aim: The original, and what all cuts have in common.
        samples: What the cuts look at; the samples for judging are kept once they were read.
        clock: The clock.
        session: The original, ready to run.
    """

    def __init__(self, aim: Aim, samples: Samples, clock: Clock) -> None:
        self.aim, self.clock = aim, clock
        graph, config = aim.model.graph, aim.config
        self.samples = replace(samples, validation=samples.validation.kept(KEPT_BYTES))
        self._provider = resolve_provider(config.provider)
        self._measuring = Measuring(graph, self.samples, config)
        self.session = open_session(graph, provider=self._provider)

    def cut(self, aim: Aim, attempts: Attempts, few: int | None = None) -> Rounds:
        """Cut, prove and recover.

        Args:
            aim: What to cut, from ``aim_at``; in what all cuts have in common it may not differ.
            attempts: Notes errors once the cut is proven.
            few: On how many of the samples for statistics to recover; None for all.

        Raises:
            WrgError: As ``cut_in_rounds``.
        """
        samples = self.samples
        if few is not None and few < len(samples.calibration):
            samples = replace(samples, calibration=samples.calibration.take(range(few)))
        config, clock = aim.config, self.clock
        rounds = cut_in_rounds(aim.model, samples, config, clock, attempts, self._measuring)
        # What is tried in short is not written.
        return rounds if few is not None else convert(rounds, samples, config, clock, attempts)

    def reference(self, data: DataSet) -> Reference:
        """Return the original on some of the samples for judging, to hold cuts against."""
        return Reference(self.session, data, self.samples.saliency, ANSWER_BYTES)

    def judge(self, rounds: Rounds, reference: Reference, *, with_cut: bool = False) -> Judgement:
        """Judge a cut beside the original.

        Args:
            rounds: What the cut left.
            reference: The original, on what to judge.
            with_cut: Whether to judge the model before its recovery, and in float32, too.
        """
        with self.clock.stage("evaluate"):
            cut = float32 = None
            if with_cut and rounds.converted is not None:
                float32 = open_session(rounds.final, provider=self._provider)
            if with_cut and rounds.recovered is not None:
                cut = open_session(rounds.last.graph, provider=self._provider)
            pruned = open_session(rounds.written, provider=self._provider)
            return judge_images(
                reference, pruned, cut=cut, float32=float32, progress=self.clock.progress
            )

    def pair(self, rounds: Rounds) -> Pair:
        """Return the original and what a cut left, ready to be timed."""
        pruned = open_session(rounds.written, provider=self._provider)
        return Pair(self._provider, self.session, pruned)

    def let_go(self) -> None:
        """Hold nothing of the calibration any more: it takes much memory."""
        self._measuring.let_go()
