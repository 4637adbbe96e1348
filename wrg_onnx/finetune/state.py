"""What changes while a model is trained: one record, which a checkpoint can hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor

from wrg_onnx.finetune.checkpoint import load_moments, moments_of, of_part, with_part_names
from wrg_onnx.finetune.numerics import copied
from wrg_onnx.finetune.options import EpochResult, FinetuneOptions, is_better
from wrg_onnx.finetune.schedule import average_decay, size_of, weight_groups
from wrg_onnx.twin import Twin


@dataclass(slots=True)
class Course:
    """How far a run is.

    Attributes:
        step: Steps done.
        epoch: Epochs done.
        history: Their results; the first entry is the model before training.
        tuned_epoch: The best of the trained epochs so far; 0 before the first.
        at_once: Samples that go through the model at once, at most.
        notes: What a user should know.
    """

    step: int = 0
    epoch: int = 0
    history: list[EpochResult] = field(default_factory=list)
    tuned_epoch: int = 0
    at_once: int = 1
    notes: list[str] = field(default_factory=list)

    @property
    def without_gain(self) -> int:
        """Epochs since the best one, the model before training included."""
        return self.history[-1].without_gain if self.history else 0

    @property
    def start(self) -> EpochResult:
        """The result of the weights that training starts from."""
        return _best([result for result in self.history if not result.epoch])

    @property
    def tuned(self) -> EpochResult:
        """The best result of the trained epochs, of which there must be one."""
        return _best([result for result in self.history if result.epoch])


@dataclass(slots=True, eq=False)
class TrainingState:
    """All that a step or an epoch changes.

    Attributes:
        twin: The weights that the gradient moves.
        average: The twin with the averaged weights: what is judged and kept.
        start: The weights that training starts from, by name; empty before the first judgement.
        tuned: The averaged weights of the best trained epoch, by name; empty before the first.
        optimizer: AdamW with a group of each weight, which holds the weight's size, too.
        scaler: Scales the loss of a float16 forward pass; does nothing where that is float32.
        generator: Draws the order of the samples and their augmentation.
        course: How far the run is.
    """

    twin: Twin
    average: Twin
    optimizer: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    generator: Generator
    course: Course
    start: dict[str, Tensor] = field(default_factory=dict)
    tuned: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, twin: Twin, average: Twin, options: FinetuneOptions, *, half: bool
    ) -> TrainingState:
        """Return the state before the first step.

        Args:
            twin: The weights to train, where they are trained.
            average: The same weights once more.
            options: How to train.
            half: Whether the forward pass is in float16.
        """
        device = next(iter(twin.parameters_by_name().values())).device
        groups = weight_groups(twin, options.weight_decay)
        scaler = torch.amp.GradScaler(device.type, enabled=half)
        # Makes its scale, which a process without a sample in the first step would lack.
        scaler.scale(torch.zeros((), device=device))
        return cls(
            twin,
            average,
            torch.optim.AdamW(groups, options.learning_rate),
            scaler,
            torch.Generator().manual_seed(options.seed),
            Course(at_once=options.batch),
        )

    def restart_from(self, weights: Mapping[str, Tensor]) -> None:
        """Begin with other weights, before the first step."""
        self.twin.load_state_dict(dict(weights))
        self.average.load_state_dict(dict(weights))

    def measure_sizes(self) -> None:
        """Take the sizes of the weights anew, which their steps are in proportion to."""
        parameters = self.twin.parameters_by_name().values()
        for group, parameter in zip(self.optimizer.param_groups, parameters, strict=True):
            group["size"] = size_of(parameter)

    def follow(self, ema: float) -> None:
        """Move the averaged weights towards those that the gradient moves.

        Args:
            ema: The decay in the long run, in [0, 1).
        """
        decay = average_decay(self.course.step, ema)
        now = self.twin.state_dict()
        with torch.no_grad():
            for name, value in self.average.state_dict().items():
                # `lerp` leaves a value that does not change exactly as it is.
                if value.is_floating_point():
                    value.lerp_(now[name], 1 - decay)

    def record(self, result: EpochResult) -> None:
        """Note an epoch's result, and keep the averaged weights if none of their kind is better.

        Those from before training and those of the best trained epoch are kept side by side: the
        best weights may lie between them.
        """
        course = self.course
        gains = all(is_better(result, done) for done in course.history)
        waited = 0 if gains or not result.epoch else course.without_gain + 1
        alike = [done for done in course.history if bool(done.epoch) == bool(result.epoch)]
        if all(is_better(result, done) for done in alike):
            if result.epoch:
                course.tuned_epoch, self.tuned = result.epoch, copied(self.average)
            else:
                self.start = copied(self.average)
        course.history.append(dataclasses.replace(result, without_gain=waited))

    def go_to(self, share: float) -> None:
        """Set the averaged weights on the line from the start to the best trained epoch.

        Args:
            share: How far along, in [0, 1].
        """
        with torch.no_grad():
            for name, value in self.average.state_dict().items():
                value.copy_(between(self.start[name], self.tuned[name], share))

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights, moments and generator states, by name; not copied."""
        parts = {
            "twin": self.twin.state_dict(),
            "average": self.average.state_dict(),
            "start": self.start,
            "tuned": self.tuned,
            "adamw": moments_of(self.optimizer),
        }
        return {
            "generator": self.generator.get_state(),
            "torch": torch.random.get_rng_state(),
            **with_part_names(parts),
        }

    def values(self) -> dict[str, Any]:
        """Return what else there is, of numbers, lists and texts."""
        return {
            "course": dataclasses.asdict(self.course),
            "scaler": self.scaler.state_dict(),
            "sizes": [group["size"] for group in self.optimizer.param_groups],
        }

    def load(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go to where ``tensors`` and ``values`` were taken, torch's own generator included."""
        device = next(iter(self.twin.parameters_by_name().values())).device
        # Copied into the tensors that are there, which are on their device and known to AdamW.
        self.twin.load_state_dict(of_part(tensors, "twin"))
        self.average.load_state_dict(of_part(tensors, "average"))
        for part in ("start", "tuned"):
            setattr(self, part, {n: t.to(device) for n, t in of_part(tensors, part).items()})
        load_moments(self.optimizer, of_part(tensors, "adamw"))
        for group, size in zip(self.optimizer.param_groups, values["sizes"], strict=True):
            group["size"] = size
        self.scaler.load_state_dict(values["scaler"])
        self.generator.set_state(tensors["generator"])
        torch.random.set_rng_state(tensors["torch"])
        course = dict(values["course"])
        course["history"] = [EpochResult(**result) for result in course["history"]]
        self.course = Course(**course)


def between(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Return what lies between two weights; at 0 and 1 exactly these, and integers from the end."""
    if share in (0, 1) or not start.is_floating_point():
        return start if share == 0 else end
    return start.lerp(end, share)


def _best(results: Sequence[EpochResult]) -> EpochResult:
    best = results[0]
    for result in results[1:]:
        best = result if is_better(result, best) else best
    return best
