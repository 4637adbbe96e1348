"""The training loop: the order of an epoch, the judgement after it, and early stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from wrg_onnx.choices import BatchNormUse
from wrg_onnx.data.dataset import Sample
from wrg_onnx.data.workers import of_first
from wrg_onnx.evaluate.f_measure import LargestF
from wrg_onnx.finetune.feeding import SampleReader, augment
from wrg_onnx.finetune.numerics import as_written
from wrg_onnx.finetune.options import Between, EpochResult, is_better
from wrg_onnx.finetune.prepare import Setting, batches_of, samples_to_measure
from wrg_onnx.finetune.state import TrainingState
from wrg_onnx.finetune.step import judge_batch, take_step
from wrg_onnx.graph import Array
from wrg_onnx.logs import logger_of
from wrg_onnx.progress import Progress
from wrg_onnx.twin.batches import Batch, join

_LOG = logger_of(__name__)

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far from the start to the best epoch weights are judged; each costs a held-out pass."""

SETTLING = 32
"""Batches that running statistics follow to fit other weights: of the old ones 0.9^32 is left."""


class Trainer:
    """Trains a state, an epoch at a time.

    An epoch: draw an order of the training samples; for each group of them read, join, augment,
    and take a step; then judge the averaged weights on the held-out samples, and keep the best.
    In the end the weights on the way from the start to the best epoch are judged, too.

    Attributes:
        setting: What is trained, and how.
        state: What a step changes, and how far the run is.

    Args:
        after_step: Called when a step is done.
    """

    def __init__(
        self,
        setting: Setting,
        state: TrainingState,
        *,
        after_step: Callable[[], None] = lambda: None,
    ) -> None:
        self.setting, self.state, self._after_step = setting, state, after_step
        data, room = setting.data, setting.options.cache_bytes
        self._training = SampleReader(data.training, room)
        self._held_out_samples = SampleReader(data.held_out, room // 8)

    @property
    def is_done(self) -> bool:
        """Whether all epochs are done, or the last ones gained nothing for long enough."""
        options, course = self.setting.options, self.state.course
        return course.epoch >= options.epochs or course.without_gain >= options.patience

    def train_epoch(self, progress: Progress) -> None:
        """Go through the training samples once, in a new order, and judge the result.

        Raises:
            StatisticsError: If the loss or a gradient is not finite; it names the layer.
            DataError: If a sample cannot be read.
        """
        setting, course = self.setting, self.state.course
        number = course.epoch + 1
        groups = self._shuffled_groups()
        losses = 0.0
        for done, samples in enumerate(self._training.read_groups(groups), start=1):
            losses += take_step(setting, self.state, self._augmented_batches(samples))
            self._after_step()
            stage = f"epoch {number}/{setting.options.epochs} loss {losses / done:.4f}"
            progress(stage, course.step, setting.steps)
        course.epoch = number
        self.judge(losses / len(groups))

    def judge(self, training_loss: float | None = None) -> EpochResult:
        """Judge the averaged weights on the held-out samples, and keep them if they are the best.

        Args:
            training_loss: Mean over the steps of the epoch; None before training.

        Raises:
            StatisticsError: If the loss is not finite.
        """
        loss, max_f = self._judged()
        result = EpochResult(self.state.course.epoch, training_loss, loss, max_f)
        _LOG.info("after epoch %d the held-out loss is %.4f", result.epoch, loss)
        self.state.record(result)
        return result

    def try_between(self) -> tuple[tuple[Between, ...], Between]:
        """Judge weights between those before training and those of the best epoch.

        Returns:
            What each of them is worth, in order, and the best of them, which the averaged weights
            are set to; of equal ones that nearest to the start.

        Raises:
            StatisticsError: If a loss is not finite.

        Source: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022,
        arXiv:2109.01903.
        """
        course = self.state.course
        known = {0.0: course.start, 1.0: course.tuned}
        tried = []
        for share in SHARES:
            if share in known:
                end = known[share]
                tried.append(Between(share, end.held_out_loss, end.held_out_max_f))
                continue
            self._go_to(share)
            tried.append(Between(share, *self._judged()))
        best = tried[0]
        for one in tried[1:]:
            best = one if is_better(one, best) else best
        self._go_to(best.share)
        return tuple(tried), best

    def describe_samples(self) -> Iterator[tuple[str, bool]]:
        """Yield the name of each sample, and whether it has a mask; reads all of them.

        Raises:
            DataError: If a sample cannot be read.
        """
        for reader in (self._training, self._held_out_samples):
            yield from reader.describe()

    def close(self) -> None:
        """End the threads that read."""
        self._training.close()
        self._held_out_samples.close()

    def _shuffled_groups(self) -> list[list[int]]:
        """Draw which training samples make up each step of an epoch."""
        size, count = self.setting.options.batch, len(self.setting.data.training)
        order: list[int] = torch.randperm(count, generator=self.state.generator).tolist()
        return [order[k : k + size] for k in range(0, count, size)]

    def _augmented_batches(self, samples: Sequence[Sample]) -> list[Batch]:
        """Join samples, where the model takes several at once, and change them at random."""
        batches = join(samples, joins=self.setting.joins)
        preprocessing = self.setting.data.preprocessing
        if not self.setting.options.augment or preprocessing is None:
            return batches
        return [augment(batch, preprocessing, self.state.generator) for batch in batches]

    def _judged(self) -> tuple[float, float | None]:
        """Return the held-out loss and the largest F of the averaged weights, as written."""
        workers = self.setting.options.workers
        with as_written(self.state.average, self.setting.half_weights):
            loss, max_f = self._held_out()
        # The first process's word counts: all must end after the same epoch.
        loss = of_first(loss, workers)
        return loss, None if max_f is None else of_first(max_f, workers)

    def _held_out(self) -> tuple[float, float | None]:
        setting = self.setting
        size, count = setting.options.batch, len(setting.data.held_out)
        groups = [range(k, min(k + size, count)) for k in range(0, count, size)]
        total, totals = 0.0, LargestF()
        with torch.no_grad():
            for samples in self._held_out_samples.read_groups(groups):
                maps: list[Array] = []
                for batch in join(samples, joins=setting.joins):
                    loss, found = judge_batch(setting, self.state, batch)
                    total += loss * batch.size
                    maps += found
                for sample, one in zip(samples if maps else (), maps, strict=True):
                    if sample.mask is not None:
                        totals.add(one, sample.mask)
        return total / count, totals.value() if totals.images else None

    def _go_to(self, share: float) -> None:
        """Set the averaged weights between start and end, with statistics that fit them."""
        self.state.go_to(share)
        if self.setting.options.batch_norm is not BatchNormUse.TRAIN or share in (0, 1):
            return
        # The variance of a layer in between is not in between: it is measured anew, by the means
        # that follow the batches in training.
        twin = self.state.average.train()
        batches = batches_of(
            samples_to_measure(self.setting.data.training),
            self.setting.options.batch,
            joins=self.setting.joins,
        )
        with torch.no_grad():
            for number in range(max(SETTLING, len(batches))):
                twin(batches[number % len(batches)].to(self.setting.device).feeds)
        twin.eval()
