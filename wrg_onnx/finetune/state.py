"""What changes while a model is trained: one record, which a checkpoint can hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor

from wrg_onnx.finetune.checkpoint import load_moments, moments_of, of_part, with_part_names
from wrg_onnx.finetune.numerics import copied
from wrg_onnx.finetune.options import EpochResult, FinetuneOptions
from wrg_onnx.finetune.schedule import average_decay, size_of, weight_groups
from wrg_onnx.twin import Twin


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


@dataclass(slots=True, eq=False)
class TrainingState:
    """All that a step or an epoch changes.

    Attributes:
        twin: The weights that the gradient moves.
        average: The twin with the averaged weights: what is judged and kept.
        best: The averaged weights of the best epoch, by name; empty before the first judgement.
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
    best: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def start(
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
        """Note an epoch's result, and keep the averaged weights if it is the best so far."""
        course = self.course
        lowest = min((done.held_out_loss for done in course.history), default=None)
        if lowest is None or result.held_out_loss < lowest:
            course.best_epoch, course.waiting = result.epoch, 0
            self.best = copied(self.average)
        elif course.epoch:
            course.waiting += 1
        course.history.append(result)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights, moments and generator states, by name; not copied."""
        parts = {
            "twin": self.twin.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best,
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
        self.best = {name: t.to(device) for name, t in of_part(tensors, "best").items()}
        load_moments(self.optimizer, of_part(tensors, "adamw"))
        for group, size in zip(self.optimizer.param_groups, values["sizes"], strict=True):
            group["size"] = size
        self.scaler.load_state_dict(values["scaler"])
        self.generator.set_state(tensors["generator"])
        torch.random.set_rng_state(tensors["torch"])
        course = dict(values["course"])
        course["history"] = [EpochResult(**result) for result in course["history"]]
        self.course = Course(**course)
