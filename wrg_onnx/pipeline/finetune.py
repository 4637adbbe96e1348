"""Fine-tune a model file: the stages in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wrg_onnx.calibrate.data import DataSet, Sample, split
from wrg_onnx.calibrate.head import SaliencyHead
from wrg_onnx.evaluate.judge import Accuracy, judge
from wrg_onnx.evaluate.saliency import metrics_package
from wrg_onnx.graph import (
    Array,
    DataError,
    Graph,
    MissingPackageError,
    ValidationError,
    check_model_output,
    fill_inputs,
    load,
    open_session,
    resolve_provider,
    save,
)
from wrg_onnx.graph.progress import Progress, silent
from wrg_onnx.pipeline.analyse import concrete_shapes
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import FinetuneConfig
from wrg_onnx.pipeline.samples import Samples, gather_samples, read_head
from wrg_onnx.recover import Finetuned, TrainingData, check_checkpoint, check_teacher, read_note
from wrg_onnx.report.records import FinetuneReport

HELD_OUT = 0.1
"""Share of the training samples that choose the epoch."""

TOLERANCE = 1e-3
"""How far ONNX Runtime may be from the torch twin, relative to the largest value."""

HALF_TOLERANCE = 10 * float(np.finfo(np.float16).eps)
"""The same for float16, 9.8e-3: ten of its steps, as in the proof of the surgery.

Of 74 networks that were written in float16 the median was off by 3.6e-4, the farthest by 1.1e-3.
"""

SMALLEST = 1e-3
"""What the largest value is taken for at least: a map of nothing holds rounding alone."""


@dataclass(frozen=True, slots=True, eq=False)
class _Models:
    """The graphs of a run, and what both are held against."""

    student: Graph
    teacher: Graph | None

    @property
    def reference(self) -> Graph:
        """The teacher, or the student as it was without one."""
        return self.student if self.teacher is None else self.teacher


def finetune(
    path: Path,
    teacher: Path | None,
    output: Path,
    config: FinetuneConfig,
    *,
    force: bool = False,
    progress: Progress = silent,
) -> FinetuneReport | None:
    """Train the weights of a model file, judge them, and write them if ONNX Runtime agrees.

    Args:
        path: The model to train.
        teacher: The model to learn from, usually the original; None for none.
        output: The file to write.
        config: How to train, on what, and how to judge.
        force: Whether an existing output may be replaced.
        progress: Told how far the run is.

    Returns:
        The report. The file is complete by then. None in a process beside the first, which has done
        its share of the training.

    Raises:
        MissingPackageError: If torch is not installed.
        ValidationError: If ONNX Runtime does not compute what the torch twin does.
        WrgError: Another of its kinds. In each case no file was written.
    """
    train = trainer()
    clock = Clock(progress)
    check_model_output(output, force=force)
    others = {"the model": path, "the output": output}
    others |= {} if teacher is None else {"the teacher": teacher}
    check_checkpoint(config.options.checkpoint, others)
    with clock.stage("load"):
        student = fill_inputs(load(path), config.data.values)
        other = None if teacher is None else fill_inputs(load(teacher), config.data.values)
        if other is not None:
            check_teacher(student, other)
        models = _Models(student, other)
    with clock.stage("data"):
        samples = _samples(student, config)
        session = open_session(models.reference, provider=resolve_provider(config.provider))
        head = read_head(session, samples.calibration, samples.preprocessing)
        data = training_data(samples, head, seed=config.options.seed)
        if config.evaluate and head is not None and samples.validation.has_masks:
            metrics_package()
    with clock.stage("train"):
        tuned = train(student, other, data, read_note(student), config.options, progress=progress)
    if config.options.workers.index:
        return None
    with clock.stage("check"):
        error = check_twin(student, tuned, samples.validation[0])
    before, after = None, None
    if config.evaluate:
        with clock.stage("evaluate"):
            before, after = _judge(models, tuned.graph, samples.validation, head, config, progress)
    with clock.stage("save"):
        save(tuned.graph, output, force=force)
    return FinetuneReport(
        model=str(path),
        teacher=None if teacher is None else str(teacher),
        output=str(output),
        data=samples.calibration.content,
        training=len(data.training),
        held_out=len(data.held_out),
        objective=tuned.objective,
        device=tuned.device,
        planned=config.options.epochs,
        epochs=tuned.epochs,
        best_epoch=tuned.best_epoch,
        loss_before=tuned.loss_before,
        loss_after=tuned.loss_after,
        history=tuned.history,
        error=error,
        before=before,
        after=after,
        notes=(*tuned.notes, *_notes(samples, config, error, _allowed(tuned))),
        seconds=clock.seconds,
    )


def check_twin(student: Graph, tuned: Finetuned, sample: Sample) -> float:
    """Hold ONNX Runtime against the torch twin on one sample.

    Args:
        student: The model before training.
        tuned: What training made of it.
        sample: What both are fed.

    Returns:
        The largest difference in any output, relative to its largest value.

    Raises:
        ValidationError: If it is above 1e-3, in float16 9.8e-3, and above twice what rounding does:
            what ONNX Runtime's own optimiser changes, or how far the twin was from it before
            training. That is much in a quantised model, and where an output is of nearly nothing.
    """
    wanted = tuned.run(sample.feeds)
    found = open_session(tuned.graph).run(sample.feeds)
    errors = {name: _difference(found[name], values) for name, values in wanted.items()}
    allowed = _allowed(tuned)
    suspects = [name for name, error in errors.items() if not error <= allowed]
    if suspects:
        plain = open_session(tuned.graph, exact=True).run(sample.feeds)
        untrained = open_session(student).run(sample.feeds)
        start = tuned.start(sample.feeds)
    for name in suspects:
        rounding = max(
            _difference(found[name], plain[name]), _difference(untrained[name], start[name])
        )
        tolerance = max(allowed, 2 * rounding)
        if not errors[name] <= tolerance:
            raise ValidationError(
                f"output '{name}' of the fine-tuned model differs from what was trained by "
                f"{errors[name]:.1e} of its maximum in ONNX Runtime, expected at most "
                f"{tolerance:.0e}; nothing was written",
                error=errors[name],
                tolerance=tolerance,
            )
    return max(errors.values(), default=0.0)


def _allowed(tuned: Finetuned) -> float:
    return HALF_TOLERANCE if tuned.is_half else TOLERANCE


def _difference(found: Array, wanted: Array) -> float:
    if found.shape != wanted.shape:
        return float("inf")
    if not wanted.size:
        return 0.0
    apart = float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max())
    largest = float(np.abs(wanted.astype(np.float64)).max())
    return apart / max(largest, SMALLEST)


def trainer() -> Callable[..., Finetuned]:
    """Import fine-tuning, which needs torch.

    Raises:
        MissingPackageError: If torch is not installed.
    """
    try:
        from wrg_onnx.recover.training.finetune import finetune as train
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "torch":
            raise
        raise MissingPackageError("torch", purpose="fine-tuning", extra="torch") from error
    return train


def _samples(student: Graph, config: FinetuneConfig) -> Samples:
    shapes = concrete_shapes(student, config.data)
    samples = gather_samples(student, shapes, config.data, seed=config.options.seed)
    found = len(samples.calibration) + len(samples.validation)
    if len(samples.calibration) < 2 or not len(samples.validation):
        raise DataError(
            f"too few samples: {found} of {samples.calibration.content}, expected at least 3: to "
            "train on, to choose the epoch, and to judge"
        )
    return samples


def training_data(samples: Samples, head: SaliencyHead | None, *, seed: int) -> TrainingData:
    """Divide the training part, so that what judges was never looked at.

    Args:
        samples: Both parts.
        head: How to read the saliency map; None if the model has none.
        seed: The same seed gives the same division.
    """
    whole = samples.calibration
    training, held_out = split(len(whole), HELD_OUT, seed)
    image = samples.preprocessing
    # Archives hold what the model is fed, which need not be an image at all.
    if image is not None and (image.dtype == np.uint8 or not _are_images(whole)):
        image = None
    return TrainingData(whole.take(training), whole.take(held_out), head, image)


def _are_images(data: DataSet) -> bool:
    return not data[0].name.endswith(".npz")


def _judge(
    models: _Models,
    tuned: Graph,
    data: DataSet,
    head: SaliencyHead | None,
    config: FinetuneConfig,
    progress: Progress,
) -> tuple[Accuracy, Accuracy]:
    """Hold the model before and after training against the teacher, or against itself."""
    provider = resolve_provider(config.provider)
    reference, end = (open_session(graph, provider=provider) for graph in (models.reference, tuned))
    if models.teacher is None:
        after = judge(reference, end, data, head, progress=progress)
        return replace(after, after=after.before), after
    start = open_session(models.student, provider=provider)
    found = judge(reference, end, data, head, cut=start, progress=progress)
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
