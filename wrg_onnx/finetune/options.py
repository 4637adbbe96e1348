"""What fine-tuning is told, and what it returns; without torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wrg_onnx.choices import BatchNormUse, Device
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.data.preprocess import Preprocessing
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.data.workers import Alone, Workers
from wrg_onnx.errors import UsageError
from wrg_onnx.graph import Array, Graph, Value


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """Where the state of a run is kept.

    Attributes:
        path: The file, written after every epoch.
        resume: Whether to go on from it.
        force: Whether one that is there may be replaced by a new run.
    """

    path: Path
    resume: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """How to fine-tune.

    Attributes:
        epochs: Passes over the training samples, at most.
        batch: Samples per step.
        learning_rate: The largest one, after the warm-up, as a share of each weight's size: the
            root of its mean square before training.
        weight_decay: Of AdamW, on weights of two axes or more.
        warmup: Share of the steps in which the learning rate rises from 0, in [0, 1).
        patience: Epochs without a gain on the held-out samples before training stops.
        ema: Decay per step of the averaged weights, in [0, 1); 0 takes the weights as they are.
        clip: The largest norm of a step's gradient.
        loss: ``module:function`` of the user's own loss, or the name of one that a package brings;
            None for the built-in ones.
        distil: Weight of the teacher's outputs and feature maps in the loss, at least 0.
        augment: Whether image and mask are flipped, cropped and changed in colour.
        batch_norm: What becomes of batch normalisation.
        device: Where torch trains.
        seed: Seed of everything random.
        cache_bytes: How many bytes of decoded samples are kept; the others are read again.
        checkpoint: Where the state of the run is kept; None to keep none.
        workers: The processes that share each step; the first one keeps the state.
    """

    epochs: int = 20
    batch: int = 8
    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    warmup: float = 0.1
    patience: int = 5
    ema: float = 0.99
    clip: float = 1.0
    loss: str | None = None
    distil: float = 1.0
    augment: bool = True
    batch_norm: BatchNormUse = BatchNormUse.FROZEN
    device: Device = Device.AUTO
    seed: int = 0
    cache_bytes: int = 2**30
    checkpoint: CheckpointFile | None = None
    workers: Workers = field(default_factory=Alone)

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch", 1), ("patience", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                shown = name.replace("_", "-")
                raise UsageError(f"{shown} must be a positive number, got {getattr(self, name):g}")
        for name in ("weight_decay", "distil"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                shown = name.replace("_", "-")
                raise UsageError(f"{shown} must be at least 0, got {getattr(self, name):g}")
        if self.workers.count > 1 and self.batch_norm is BatchNormUse.TRAIN:
            raise UsageError(
                "batch-norm 'train' needs the statistics of whole batches: start one process"
            )
        for name in ("warmup", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} must be in [0, 1), got {getattr(self, name):g}")


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What a model is trained on.

    Attributes:
        training: The samples that gradients are taken from.
        held_out: The samples that say which epoch is best.
        saliency: How to read the saliency map; None if the model has none.
        preprocessing: How an image is fed; None if the model does not take one.
    """

    training: DataSet
    held_out: DataSet
    saliency: SaliencyMap | None = None
    preprocessing: Preprocessing | None = None


class Verdict(Protocol):
    """What the held-out samples say of some weights."""

    @property
    def held_out_loss(self) -> float:
        """The mean loss over the samples, without augmentation."""

    @property
    def held_out_max_f(self) -> float | None:
        """The largest F-measure, in [0, 1]; None where there is no mask or no saliency map."""


def is_better(one: Verdict, other: Verdict) -> bool:
    """Tell whether some weights are better than others.

    The F-measure decides where there is one, since it is what the model is judged by in the end and
    the loss need not move with it. Else, and between equals, the loss does.
    """
    mine, theirs = one.held_out_max_f, other.held_out_max_f
    if mine is not None and theirs is not None and mine != theirs:
        return mine > theirs
    return one.held_out_loss < other.held_out_loss


@dataclass(frozen=True, slots=True)
class EpochResult:
    """One pass over the training samples.

    Attributes:
        epoch: Counted from 1; 0 is the model before training.
        training_loss: Mean over the steps, with augmentation; None before training.
        held_out_loss: Of the averaged weights, without augmentation.
        held_out_max_f: Their largest F-measure; None where there is no mask or no saliency map.
        without_gain: Epochs since the best one so far, the model before training included; 0 for
            one that is better than all before.
    """

    epoch: int
    training_loss: float | None
    held_out_loss: float
    held_out_max_f: float | None = None
    without_gain: int = 0


@dataclass(frozen=True, slots=True)
class Between:
    """Weights on the straight line from those before training to those of the best epoch.

    Attributes:
        share: How far along, in [0, 1]; 0 is before training.
        held_out_loss: Their mean loss over the held-out samples.
        held_out_max_f: Their largest F-measure; None where there is no mask or no saliency map.
    """

    share: float
    held_out_loss: float
    held_out_max_f: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Finetuned:
    """A fine-tuned model.

    Attributes:
        graph: The student with the new weights.
        history: Every epoch; the first is the model before training.
        best_epoch: The epoch that the new weights are of, or lie on the way to; 0 for those from
            before training.
        between: What was tried on the way from the weights before training to those of the best
            trained epoch, in this order.
        chosen: The best of these, whose weights are in ``graph``.
        objective: What the loss was made of, in words.
        device: Where it was trained.
        notes: What a user should know about this run.
        start: What the torch twin of the untrained model computes, by output.
        run: What it computes with the new weights.
        is_half: Whether the file holds weights in float16; ``start`` and ``run`` are in float32.
    """

    graph: Graph
    history: tuple[EpochResult, ...]
    best_epoch: int
    between: tuple[Between, ...]
    chosen: Between
    objective: str
    device: str
    notes: tuple[str, ...]
    start: Callable[[Mapping[str, Array]], dict[str, Array]]
    run: Callable[[Mapping[str, Array]], dict[str, Array]]
    is_half: bool = False

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return self.history[-1].epoch

    @property
    def loss_before(self) -> float:
        """The held-out loss before training."""
        return self.history[0].held_out_loss

    @property
    def loss_after(self) -> float:
        """The held-out loss of the weights that are returned."""
        return self.chosen.held_out_loss


def check_teacher(student: Graph, teacher: Graph) -> None:
    """Refuse a teacher that is fed otherwise, or answers otherwise.

    Raises:
        UsageError: If its inputs or outputs differ; it names the first difference.
    """
    for what, own, other in (
        ("input", student.inputs, teacher.inputs),
        ("output", student.outputs, teacher.outputs),
    ):
        if len(own) != len(other):
            raise UsageError(
                f"the teacher '{teacher.name}' has {len(other)} {what}s, '{student.name}' has "
                f"{len(own)}: take the model that was pruned"
            )
        for mine, theirs in zip(own, other, strict=True):
            if not _alike(mine, theirs):
                raise UsageError(
                    f"the teacher '{teacher.name}' has {what} {_shown(theirs)}, '{student.name}' "
                    f"has {_shown(mine)}: take the model that was pruned"
                )


def _alike(mine: Value, theirs: Value) -> bool:
    if (mine.name, mine.dtype) != (theirs.name, theirs.dtype):
        return False
    if mine.shape is None or theirs.shape is None:
        return True
    return len(mine.shape) == len(theirs.shape) and all(
        a == b
        for a, b in zip(mine.shape, theirs.shape, strict=True)
        if isinstance(a, int) and isinstance(b, int)
    )


def _shown(value: Value) -> str:
    shape = "of unknown rank" if value.shape is None else list(value.shape)
    return f"'{value.name}' {value.dtype} {shape}"
