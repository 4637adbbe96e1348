"""What must be known before the first step: twins, loss, device, and whether samples join."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from wrg_onnx.choices import BatchNormUse, Device
from wrg_onnx.data.dataset import DataSet, Sample
from wrg_onnx.errors import ModelError, UnsupportedOperatorError, UsageError
from wrg_onnx.finetune.distil import choose_features, fitting_channels, measure_targets
from wrg_onnx.finetune.objective import Objective, load_loss
from wrg_onnx.finetune.options import (
    FinetuneOptions,
    TrainingData,
    check_teacher,
)
from wrg_onnx.graph import Graph, flatten, is_bfloat16
from wrg_onnx.rewrite.kept_channels import KeptChannels
from wrg_onnx.twin import BatchNorm, Twin, build_twin, widened
from wrg_onnx.twin.batches import Batch, has_open_batch, join, joins_alike

SAMPLES_TO_MEASURE = 32
"""How many training samples tell the teacher's variances and levels, at most."""

_MOST_BYTES = 2**25
"""How large they may be together: levels are measured on all at once."""

_TRAINABLE = (torch.float32, torch.float64)


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

    @property
    def steps(self) -> int:
        """How many steps all epochs have."""
        return self.options.epochs * -(-len(self.data.training) // self.options.batch)


def prepare(
    student: Graph,
    teacher: Graph | None,
    data: TrainingData,
    kept: Mapping[str, KeptChannels],
    options: FinetuneOptions,
) -> tuple[Setting, Twin, list[str]]:
    """Check what training is given, and make what it needs.

    Returns:
        The setting, the student's twin with weights that train, and notes for the user.

    Raises:
        UsageError: If there is nothing to learn from, the teacher does not fit, or a device or loss
            is not there.
        UnsupportedOperatorError: If an operator has no twin.
        ModelError: If no weight can be trained.
    """
    check_sources(student, teacher, data, options)
    own = None if options.loss is None else load_loss(options.loss)
    device = resolve_device(options.device)
    # Its running statistics must not move before training does.
    twin = trainable_twin(student, options).to(device).eval()
    # A few samples, read once, tell whether samples join, what fits the teacher, and its variances.
    samples = samples_to_measure(data.training)
    notes = list(_notes(student, teacher, data, kept, options))
    known = None
    fitting: dict[str, KeptChannels] = {}
    joins = has_open_batch(student)
    if teacher is not None:
        joins = joins and has_open_batch(teacher)
        reference = _build(teacher, trainable=False).to(device).eval()
        fitting = fitting_channels(
            twin, reference, kept, join(samples[:1], joins=False)[0].to(device)
        )
        notes += _unlike(student, teacher, kept, fitting)
        features = {name: fitting[name] for name in choose_features(student, fitting)}
        joins = joins and _joins(reference, samples, device)
        measured = [b.to(device) for b in batches_of(samples, options.batch, joins=joins)]
        known = measure_targets(reference, twin.output_names, features, measured)
    else:
        joins = joins and _joins(twin, samples, device)
    if not joins and options.batch > 1:
        notes.append(
            "the model takes one sample at a time, so gradients are added up over the "
            f"{options.batch} of a batch"
        )
    objective = Objective(
        outputs=twin.output_names,
        saliency=data.saliency if data.training.has_masks else None,
        own=own,
        teacher=known,
        distil=options.distil,
    )
    half = device.type == "cuda" and _computes_in_half(twin, samples, device)
    if device.type == "cuda" and not half:
        notes.append("the model does not compute in float16, so it was trained in float32")
    setting = Setting(student, data, options, objective, device, joins, half, fitting,
                      half_weights(student))  # fmt: skip
    return setting, twin.train(), notes


def check_sources(
    student: Graph, teacher: Graph | None, data: TrainingData, options: FinetuneOptions
) -> None:
    """Refuse a run that has nothing to learn from, or a teacher that does not fit.

    Raises:
        UsageError: If that is so.
    """
    if teacher is not None:
        check_teacher(student, teacher)
    if options.loss is not None or (teacher is not None and options.distil):
        return
    if not data.training.has_masks:
        raise UsageError(
            f"nothing to learn from: {data.training.description} have no masks, and there is no "
            f"teacher{' that counts (--distil 0)' if teacher else ''}; give --teacher with the "
            "original, a folder with masks/, or --loss module:function"
        )
    if data.saliency is None:
        outputs = ", ".join(f"'{v.name}' {list(v.shape or ())}" for v in student.outputs)
        raise UsageError(
            f"no output of '{student.name}' has the shape of a mask: {outputs}, expected one or "
            "two channels in the proportions of the image; give --teacher with the original, or "
            "--loss module:function"
        )


def resolve_device(device: Device) -> torch.device:
    """Return where torch computes.

    Raises:
        UsageError: If CUDA is asked for and this torch does not have it.
    """
    has_cuda = torch.cuda.is_available()
    if device is Device.CUDA and not has_cuda:
        raise UsageError("device cuda: this torch sees no NVIDIA GPU; use --device cpu")
    return torch.device("cpu" if device is Device.CPU or not has_cuda else "cuda")


def trainable_twin(student: Graph, options: FinetuneOptions) -> Twin:
    """Build the twin whose weights train, on the CPU; what is float16 computes in float32.

    Raises:
        UnsupportedOperatorError: If an operator has no twin.
        ModelError: If no weight can be trained, or one is of a type that cannot.
    """
    twin = _build(student, trainable=True, batch_norm=BatchNorm(options.batch_norm.value))
    parameters = twin.parameters_by_name()
    if not parameters:
        raise ModelError(f"'{student.name}' has no weight of floats that could be trained")
    forms = flatten(student).graph.constants.forms
    for name, parameter in parameters.items():
        # In a twin of float32, too: every rounding to so few digits would lose what was learnt.
        if parameter.dtype not in _TRAINABLE or is_bfloat16(forms[name].dtype):
            raise ModelError(
                f"weight '{name}' is {forms[name].dtype}, in which steps "
                "of training get lost: fine-tune the float32 model and convert it afterwards"
            )
    return twin


def check_trainable(graph: Graph, options: FinetuneOptions) -> None:
    """Refuse a model that cannot be trained, before other work; it costs a copy of the weights.

    Raises:
        UnsupportedOperatorError: If an operator has no twin.
        ModelError: If no weight can be trained, or one is of a type that cannot.
    """
    trainable_twin(graph, options)


def half_weights(graph: Graph) -> frozenset[str]:
    """Return the names of a model's float16 constants, bodies included."""
    constants = flatten(graph).graph.constants
    return frozenset(name for name, array in constants.items() if array.dtype == np.float16)


def samples_to_measure(data: DataSet) -> list[Sample]:
    """Return samples spread over a data set, whose names may come in an order that tells."""
    size = sum(array.nbytes for array in data[0].feeds.values())
    count = min(SAMPLES_TO_MEASURE, len(data), max(2, _MOST_BYTES // max(size, 1)))
    return [data[k * len(data) // count] for k in range(count)]


def batches_of(samples: Sequence[Sample], size: int, *, joins: bool) -> list[Batch]:
    """Return samples as batches of at most a size."""
    groups = [samples[k : k + size] for k in range(0, len(samples), size)]
    return [batch for group in groups for batch in join(group, joins=joins)]


def _build(graph: Graph, *, trainable: bool, batch_norm: BatchNorm = BatchNorm.FROZEN) -> Twin:
    try:
        return build_twin(widened(graph), trainable=trainable, batch_norm=batch_norm)
    except UnsupportedOperatorError as error:
        raise UnsupportedOperatorError(
            f"'{graph.name}' cannot be fine-tuned: there is no differentiable twin for "
            f"'{error.op}' at node '{error.node}'; use a recovery that needs no gradient (see "
            "`wrg-onnx prune --help`), or fine-tune a form of the model without that operator",
            op=error.op,
            node=error.node,
        ) from error


def _joins(twin: Twin, samples: Sequence[Sample], device: torch.device) -> bool:
    if len(samples) < 2:
        return False
    with torch.no_grad():
        return joins_alike(
            lambda feeds: twin({name: tensor.to(device) for name, tensor in feeds.items()}),
            samples[:2],
        )


def _computes_in_half(twin: Twin, samples: Sequence[Sample], device: torch.device) -> bool:
    """Try it: an operator may refuse mixed types, or overflow."""
    batch = join(samples[:1], joins=False)[0].to(device)
    try:
        with torch.no_grad(), torch.autocast(device.type, torch.float16):
            values = twin(batch.feeds)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        return False
    return all(bool(v.isfinite().all()) for v in values.values() if v.is_floating_point())


def _unlike(
    student: Graph,
    teacher: Graph,
    kept: Mapping[str, KeptChannels],
    fitting: Mapping[str, KeptChannels],
) -> Iterator[str]:
    made = [name for name in kept if name in student.producers]
    gone = sum(name not in fitting for name in made)
    if gone:
        yield (
            f"{gone} of the {len(made)} feature maps that '{student.name}' has kept channels of "
            f"{'are' if gone > 1 else 'is'} not there, or not of the same shape, in the teacher "
            f"'{teacher.name}', so {'they are' if gone > 1 else 'it is'} not compared (the first "
            "original has all of them)"
        )


def _notes(
    student: Graph,
    teacher: Graph | None,
    data: TrainingData,
    kept: Mapping[str, KeptChannels],
    options: FinetuneOptions,
) -> Iterator[str]:
    if teacher is not None and options.distil and not kept:
        yield (
            f"'{student.name}' does not say which channels of the teacher it still has, so feature "
            "maps are not compared"
        )
    if half_weights(student):
        yield (
            "weights of float16 were trained in float32; after every epoch they were judged, and "
            "in the end written, rounded to float16"
        )
    if data.training.has_masks and data.saliency is None and options.loss is None:
        yield "no output has the shape of a mask, so the masks are not used"
    if options.augment and data.preprocessing is None:
        yield "only images of floats are augmented, so the samples are fed as they are"
    if options.batch_norm is BatchNormUse.TRAIN and not any(
        node.op == "BatchNormalization" for node in student.nodes
    ):
        yield "the model has no batch normalisation to train; it may be folded into its Convs"
