"""Fine-tune a model file: the stages in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wrg_onnx.data.dataset import split
from wrg_onnx.errors import DataError, needs_torch
from wrg_onnx.evaluate.judge import Accuracy, judge
from wrg_onnx.evaluate.saliency import metrics_package
from wrg_onnx.files import check_room
from wrg_onnx.finetune import Finetuned, TrainingData, check_checkpoint, check_teacher
from wrg_onnx.finetune.check import allowed_error, check_twin
from wrg_onnx.graph import (
    Graph,
    check_model_output,
    check_run,
    check_sources,
    file_digests,
    open_session,
    resolve_provider,
    save,
)
from wrg_onnx.pipeline.attempts import Attempts
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import FinetuneConfig
from wrg_onnx.pipeline.input_shapes import concrete_shapes
from wrg_onnx.pipeline.memory import TRAINING_COPIES, check_memory
from wrg_onnx.pipeline.result import ModelResult
from wrg_onnx.pipeline.room import needs_of_training
from wrg_onnx.pipeline.samples import Samples, open_samples
from wrg_onnx.pipeline.source import Source, read_for
from wrg_onnx.progress import Progress, silent
from wrg_onnx.report.records import FinetuneReport
from wrg_onnx.rewrite import read_note

HELD_OUT = 0.1
"""Share of the training samples that choose the weights."""


@dataclass(frozen=True, slots=True, eq=False)
class _Models:
    """The graphs of a run, and what both are held against."""

    student: Graph
    teacher: Graph | None

    @property
    def reference(self) -> Graph:
        """The teacher, or the student as it was without one."""
        return self.student if self.teacher is None else self.teacher


def finetune(  # noqa: PLR0913 - the models, the run, and how its file is written
    source: Source,
    teacher: Source | None,
    output: Path | None,
    config: FinetuneConfig,
    *,
    external_data: bool = False,
    force: bool = False,
    progress: Progress = silent,
) -> ModelResult[FinetuneReport] | None:
    """Train the weights of a model, judge them, and write them if ONNX Runtime agrees.

    Args:
        source: The model to train.
        teacher: The model to learn from, usually the original; None for none.
        output: The file to write; None for none.
        config: How to train, on what, and how to judge.
        external_data: Whether the weights go to a file beside the output.
        force: Whether an existing output may be replaced.
        progress: Told how far the run is.

    Returns:
        The model and the report. The file is complete by then. None in a process beside the first,
        which has done its share of the training.

    Raises:
        MissingPackageError: If torch is not installed.
        ValidationError: If ONNX Runtime does not compute what the torch twin does.
        WrgError: Another of its kinds. In each case no file was written. An error in the judging
            ends that alone, and the report says so (``unfinished``).
    """
    train = trainer()
    clock = Clock(progress)
    if output is not None:
        check_model_output(output, external_data=external_data, force=force)
    others = {"the model": source, "the output": output, "the teacher": teacher}
    files = {what: path for what, path in others.items() if isinstance(path, Path)}
    check_checkpoint(config.options.checkpoint, files)
    with clock.stage("load"):
        student = read_for(source, config.data.values)
        other = None if teacher is None else read_for(teacher, config.data.values)
        if other is not None:
            check_teacher(student, other)
        models = _Models(student, other)
        sha256 = file_digests(student, models.reference)
        if output is not None:
            check_sources(student, output, external_data=external_data)
        check_memory(student, TRAINING_COPIES, "training")
        file = config.options.checkpoint if not config.options.workers.index else None
        check_room(needs_of_training(student, output, file, external=external_data))
    with clock.stage("data"):
        shapes = concrete_shapes(student, config.data)
        check_run(student, shapes)
        samples = open_samples(
            student,
            shapes,
            config.data,
            models.reference,
            provider=config.provider,
            seed=config.options.seed,
        )
        _check_enough(samples)
        data = training_data(samples, seed=config.options.seed)
        if config.evaluate and samples.saliency is not None and samples.validation.has_masks:
            metrics_package()
    with clock.stage("train"):
        tuned = train(student, other, data, read_note(student), config.options, progress=progress)
    if config.options.workers.index:
        return None
    with clock.stage("check"):
        error = check_twin(student, tuned, samples.validation[0])
    before, after = None, None
    attempts = Attempts(proven=True)
    if config.evaluate:
        with attempts.stage("accuracy"), clock.stage("evaluate"):
            before, after = _judge(models, tuned.graph, samples, config, progress)
    if output is not None:
        with clock.stage("save"):
            save(tuned.graph, output, force=force, external_data=external_data)
    report = FinetuneReport(
        model=student.name,
        teacher=None if other is None else other.name,
        output=None if output is None else str(output),
        data=samples.calibration.content,
        training=len(data.training),
        held_out=len(data.held_out),
        objective=tuned.objective,
        device=tuned.device,
        planned=config.options.epochs,
        patience=config.options.patience,
        epochs=tuned.epochs,
        best_epoch=tuned.best_epoch,
        loss_before=tuned.loss_before,
        loss_after=tuned.loss_after,
        history=tuned.history,
        between=tuned.between,
        chosen=tuned.chosen,
        error=error,
        before=before,
        after=after,
        notes=(*tuned.notes, *_notes(samples, config, error, allowed_error(tuned))),
        seconds=clock.seconds,
        unfinished=attempts.failed,
        sha256=sha256,
    )
    return ModelResult(report, tuned.graph)


def trainer() -> Callable[..., Finetuned]:
    """Import fine-tuning, which needs torch.

    Raises:
        MissingPackageError: If torch is not installed.
    """
    with needs_torch("fine-tuning"):
        from wrg_onnx.finetune.finetune import finetune as train
    return train


def _check_enough(samples: Samples) -> None:
    found = len(samples.calibration) + len(samples.validation)
    if len(samples.calibration) < 2 or not len(samples.validation):
        raise DataError(
            f"too few samples: {found} of {samples.calibration.content}, expected at least 3: to "
            "train on, to choose the weights, and to judge"
        )


def training_data(samples: Samples, *, seed: int) -> TrainingData:
    """Divide the training part, so that what judges was never looked at.

    Args:
        samples: Both parts.
        seed: The same seed gives the same division.
    """
    whole = samples.calibration
    training, held_out = split(len(whole), HELD_OUT, seed)
    image = samples.preprocessing
    # Archives hold what the model is fed, which need not be an image at all.
    if image is not None and (image.dtype == np.uint8 or not whole.are_images):
        image = None
    return TrainingData(whole.take(training), whole.take(held_out), samples.saliency, image)


def _judge(
    models: _Models,
    tuned: Graph,
    samples: Samples,
    config: FinetuneConfig,
    progress: Progress,
) -> tuple[Accuracy, Accuracy]:
    """Hold the model before and after training against the teacher, or against itself."""
    provider = resolve_provider(config.provider)
    data, saliency = samples.validation, samples.saliency
    reference, end = (open_session(graph, provider=provider) for graph in (models.reference, tuned))
    if models.teacher is None:
        after = judge(reference, end, data, saliency, progress=progress)
        return replace(after, after=after.before), after
    start = open_session(models.student, provider=provider)
    found = judge(reference, end, data, saliency, cut=start, progress=progress)
    assert found.cut is not None
    before = replace(found, after=found.cut.scores, agreement=found.cut.agreement, cut=None)
    return before, replace(found, cut=None)


def _notes(samples: Samples, config: FinetuneConfig, error: float, allowed: float) -> Iterator[str]:
    if error > allowed:
        yield (
            f"rounding alone moves an output by more than {allowed:.1e} of its maximum, so ONNX "
            "Runtime was held to twice that"
        )
    if config.data.path is None:
        origin = "random inputs" if samples.preprocessing is None else "the built-in generator"
        yield f"no --data given, so training and judging are on {origin}"
