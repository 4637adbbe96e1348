"""The training loop: the order of an epoch, the judgement after it, and early stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from wrg_onnx.data.dataset import Sample
from wrg_onnx.data.workers import of_first
from wrg_onnx.finetune.feeding import SampleReader, augment
from wrg_onnx.finetune.numerics import as_written
from wrg_onnx.finetune.options import EpochResult
from wrg_onnx.finetune.prepare import Setting
from wrg_onnx.finetune.state import TrainingState
from wrg_onnx.finetune.step import mean_loss, take_step
from wrg_onnx.progress import Progress
from wrg_onnx.twin.batches import Batch, join


class Trainer:
    """Trains a state, an epoch at a time.

    An epoch: draw an order of the training samples; for each group of them read, join, augment,
    and take a step; then judge the averaged weights on the held-out samples, and keep the best.

    Attributes:
        setting: What is trained, and how.
        state: What a step changes, and how far the run is.
    """

    def __init__(self, setting: Setting, state: TrainingState) -> None:
        self.setting, self.state = setting, state
        data, room = setting.data, setting.options.cache_bytes
        self._training = SampleReader(data.training, room)
        self._held_out = SampleReader(data.held_out, room // 8)

    @property
    def is_done(self) -> bool:
        """Whether all epochs are done, or the held-out loss has not fallen for long enough."""
        options, course = self.setting.options, self.state.course
        return course.epoch >= options.epochs or course.waiting >= options.patience

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
            stage = f"epoch {number}/{setting.options.epochs} loss {losses / done:.4f}"
            progress(stage, course.step, setting.steps)
        course.epoch = number
        self.judge(losses / len(groups))

    def judge(self, training_loss: float | None = None) -> EpochResult:
        """Measure the held-out loss of the averaged weights, and keep them if it is the lowest.

        Args:
            training_loss: Mean over the steps of the epoch; None before training.

        Raises:
            StatisticsError: If the loss is not finite.
        """
        with as_written(self.state.average, self.setting.half_weights):
            # The first process's word counts: all must end after the same epoch.
            held_out = of_first(self._held_out_loss(), self.setting.options.workers)
            result = EpochResult(self.state.course.epoch, training_loss, held_out)
            self.state.record(result)
        return result

    def describe_samples(self) -> Iterator[tuple[str, bool]]:
        """Yield the name of each sample, and whether it has a mask; reads all of them.

        Raises:
            DataError: If a sample cannot be read.
        """
        for reader in (self._training, self._held_out):
            yield from reader.describe()

    def close(self) -> None:
        """End the threads that read."""
        self._training.close()
        self._held_out.close()

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

    def _held_out_loss(self) -> float:
        size, count = self.setting.options.batch, len(self.setting.data.held_out)
        groups = [range(k, min(k + size, count)) for k in range(0, count, size)]
        total = 0.0
        with torch.no_grad():
            for samples in self._held_out.read_groups(groups):
                for batch in join(samples, joins=self.setting.joins):
                    total += mean_loss(self.setting, self.state, batch) * batch.size
        return total / count
