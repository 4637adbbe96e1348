"""The training loop: steps, the averaged weights, the best epoch, early stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from wrg_onnx.data.workers import of_first
from wrg_onnx.errors import StatisticsError, UsageError
from wrg_onnx.finetune.feeding import Reader, augment
from wrg_onnx.finetune.numerics import (
    as_written,
    copied,
    diverged,
    diverged_gradient,
    lacks_determinism,
)
from wrg_onnx.finetune.objective import Objective
from wrg_onnx.finetune.options import EpochResult, FinetuneOptions, TrainingData
from wrg_onnx.finetune.schedule import average_decay, rate_factor, size_of, weight_groups
from wrg_onnx.finetune.sharing import add_up, check_alike, shares
from wrg_onnx.graph import Graph
from wrg_onnx.progress import Progress
from wrg_onnx.rewrite.kept import KeptChannels
from wrg_onnx.twin import Twin
from wrg_onnx.twin.batches import Batch, join

Result = TypeVar("Result")

_LEAST_SCALE = 1.0
"""Where float16 still overflows with gradients scaled by this, the model has diverged."""


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """What does not change while a model is trained.

    Attributes:
        graph: The student.
        data: What it is trained on.
        options: How.
        objective: What is made small.
        device: Where.
        joins: Whether the model takes several samples at once.
        half: Whether the forward pass is in float16 where torch thinks it safe.
        kept: The channels that the student still has of the teacher's tensors, by tensor, where
            the two fit.
        half_weights: The constants that the file holds in float16; they train in float32.
    """

    graph: Graph
    data: TrainingData
    options: FinetuneOptions
    objective: Objective
    device: torch.device
    joins: bool
    half: bool = False
    kept: Mapping[str, KeptChannels] = field(default_factory=dict)
    half_weights: frozenset[str] = frozenset()


@dataclass(slots=True)
class Course:
    """How far a run is.

    Attributes:
        step: Steps done.
        epoch: Epochs done.
        history: Their results; the first entry is the model before training.
        best_epoch: The epoch with the lowest held-out loss so far.
        waiting: Epochs since then.
        at_once: Samples that go through the model at once, at most.
        notes: What a user should know.
    """

    step: int = 0
    epoch: int = 0
    history: list[EpochResult] = field(default_factory=list)
    best_epoch: int = 0
    waiting: int = 0
    at_once: int = 1
    notes: list[str] = field(default_factory=list)


class Trainer:
    """Holds what changes while a model is trained.

    Attributes:
        twin: The weights that the gradient moves.
        average: The twin with the averaged weights: what is judged and kept.
        best: The averaged weights of the best epoch.
        course: How far the run is.
    """

    def __init__(self, setting: Setting, twin: Twin, average: Twin) -> None:
        self.setting = setting
        self.twin, self.average = twin, average
        self.best: dict[str, Tensor] = {}
        options = setting.options
        self.course = Course(at_once=options.batch)
        self.optimizer = torch.optim.AdamW(
            weight_groups(twin, options.weight_decay), options.learning_rate
        )
        check_alike(setting.device, options.workers, half=setting.half)
        self.scaler = torch.amp.GradScaler(setting.device.type, enabled=setting.half)
        # Makes its scale, which a process without a sample in the first step would lack.
        self.scaler.scale(torch.zeros((), device=setting.device))
        self.generator = torch.Generator().manual_seed(options.seed)
        self._training = Reader(setting.data.training, options.cache_bytes)
        self._held_out = Reader(setting.data.held_out, options.cache_bytes // 8)

    @property
    def sizes(self) -> list[float]:
        """The size of each weight, which its steps are in proportion to."""
        return [group["size"] for group in self.optimizer.param_groups]

    @sizes.setter
    def sizes(self, sizes: Sequence[float]) -> None:
        for group, size in zip(self.optimizer.param_groups, sizes, strict=True):
            group["size"] = size

    def measure_sizes(self) -> None:
        """Take the sizes of the weights anew."""
        self.sizes = [size_of(parameter) for parameter in self.twin.parameters_by_name().values()]

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

    @property
    def steps(self) -> int:
        """How many steps all epochs have."""
        options = self.setting.options
        return options.epochs * -(-len(self.setting.data.training) // options.batch)

    @property
    def is_done(self) -> bool:
        """Whether all epochs are done, or the held-out loss has not fallen for long enough."""
        options = self.setting.options
        return self.course.epoch >= options.epochs or self.course.waiting >= options.patience

    def judge(self, training_loss: float | None = None) -> EpochResult:
        """Measure the held-out loss of the averaged weights, and keep them if it is the lowest.

        Raises:
            StatisticsError: If the loss is not finite.
        """
        course = self.course
        with as_written(self.average, self.setting.half_weights):
            # The first process's word counts: all must end after the same epoch.
            held_out = of_first(self.held_out_loss(), self.setting.options.workers)
            result = EpochResult(course.epoch, training_loss, held_out)
            if not course.history or result.held_out_loss < min(
                done.held_out_loss for done in course.history
            ):
                course.best_epoch, course.waiting = result.epoch, 0
                self.best = copied(self.average)
            elif course.epoch:
                course.waiting += 1
        course.history.append(result)
        return result

    def epoch(self, progress: Progress) -> None:
        """Go through the training samples once, in a new order.

        Raises:
            StatisticsError: If the loss or a gradient is not finite; it names the layer.
            DataError: If a sample cannot be read.
        """
        options = self.setting.options
        number, size = self.course.epoch + 1, options.batch
        order = torch.randperm(len(self.setting.data.training), generator=self.generator).tolist()
        groups = [order[k : k + size] for k in range(0, len(order), size)]
        losses = 0.0
        for done, samples in enumerate(self._training.groups(groups), start=1):
            batches = [self._augmented(b) for b in join(samples, joins=self.setting.joins)]
            losses += self._step(batches)
            stage = f"epoch {number}/{options.epochs} loss {losses / done:.4f}"
            progress(stage, self.course.step, self.steps)
        self.course.epoch = number
        self.judge(losses / len(groups))

    def held_out_loss(self) -> float:
        """Return the loss of the averaged weights over the held-out samples.

        Raises:
            StatisticsError: If it is not finite; it names the layer.
        """
        size, count = self.setting.options.batch, len(self.setting.data.held_out)
        groups = [range(k, min(k + size, count)) for k in range(0, count, size)]
        total = 0.0
        with torch.no_grad():
            for samples in self._held_out.groups(groups):
                for batch in join(samples, joins=self.setting.joins):
                    total += self._persist(lambda b=batch: self._mean_loss(b)) * batch.size  # type: ignore[misc]
        return total / count

    def _mean_loss(self, batch: Batch) -> float:
        total = 0.0
        for part in batch.split(self.course.at_once):
            total += self._checked_loss(self.average, part)[1] * part.size
        return total / batch.size

    def _augmented(self, batch: Batch) -> Batch:
        preprocessing = self.setting.data.preprocessing
        if not self.setting.options.augment or preprocessing is None:
            return batch
        return augment(batch, preprocessing, self.generator)

    def _step(self, batches: Sequence[Batch]) -> float:
        """Move the weights once; return the loss."""
        options, course = self.setting.options, self.course
        factor = rate_factor(course.step, self.steps, options.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = options.learning_rate * factor * group["size"]
        loss = self._persist(lambda: self._gradients(batches))
        loss = add_up(self.twin, loss, options.workers)
        self.scaler.unscale_(self.optimizer)
        parameters = self.twin.parameters_by_name()
        gradients = [p.grad for p in parameters.values() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if norm.isfinite():
            nn.utils.clip_grads_with_norm_(parameters.values(), options.clip, norm)
        elif not self.scaler.is_enabled() or self.scaler.get_scale() <= _LEAST_SCALE:
            raise diverged_gradient({name: p.grad for name, p in parameters.items()})
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._average()
        course.step += 1
        return loss

    def _gradients(self, batches: Sequence[Batch]) -> float:
        """Add up the gradient over this process's samples of a step; return their mean loss."""
        options = self.setting.options
        self.optimizer.zero_grad(set_to_none=True)
        count = sum(batch.size for batch in batches)
        total = 0.0
        for batch in shares(batches, options.workers):
            for part in batch.split(self.course.at_once):
                loss, value = self._checked_loss(self.twin, part)
                self.scaler.scale(loss * (part.size / count)).backward()  # type: ignore[no-untyped-call]
                total += value * part.size / count
        return total

    def _checked_loss(self, twin: Twin, batch: Batch) -> tuple[Tensor, float]:
        setting = self.setting
        batch = batch.to(setting.device)
        objective = setting.objective
        with torch.autocast(setting.device.type, torch.float16, enabled=setting.half):
            taught = None if objective.teacher is None else objective.teacher.answer(batch)
            values = twin(batch.feeds, objective.taps)
        loss = objective(values, taught, batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise diverged(setting.graph, twin, batch)
        if torch.is_grad_enabled() and not loss.requires_grad:
            raise UsageError(
                f"'{setting.graph.name}': the loss does not depend on any weight that can be "
                "trained"
            )
        return loss, value

    def _average(self) -> None:
        decay = average_decay(self.course.step, self.setting.options.ema)
        now = self.twin.state_dict()
        with torch.no_grad():
            for name, value in self.average.state_dict().items():
                # `lerp` leaves a value that does not change exactly as it is.
                if value.is_floating_point():
                    value.lerp_(now[name], 1 - decay)

    def _persist(self, work: Callable[[], Result]) -> Result:
        """Do a piece of work; with fewer samples at once, or without determinism, if need be."""
        while True:
            try:
                return work()
            except torch.OutOfMemoryError as error:
                if self.course.at_once == 1:
                    raise StatisticsError(
                        "CUDA is out of memory at a single sample: use --device cpu, or a smaller "
                        "--size where the model leaves it open"
                    ) from error
            except RuntimeError as error:
                if "t allocate memory" in str(error):
                    raise MemoryError from error
                if not (lacks_determinism(error) and torch.are_deterministic_algorithms_enabled()):
                    raise
                torch.use_deterministic_algorithms(False)
                self.course.notes.append(
                    "torch has no deterministic form of an operator of this model on this device, "
                    "so another run with the same seed may differ a little"
                )
                continue
            # Outside of the handler, since its traceback holds the tensors.
            self._take_fewer()

    def _take_fewer(self) -> None:
        course, batch = self.course, self.setting.options.batch
        course.at_once = max(1, min(course.at_once, batch) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        course.notes[:] = [note for note in course.notes if not note.startswith("CUDA")]
        course.notes.append(
            f"CUDA was out of memory at {2 * course.at_once} samples at once, so gradients are "
            f"added up over {course.at_once} at a time; the batch is still {batch}"
        )
