"""Hold a pruned model against its original."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from wrg_onnx.deploy import narrow_numbers
from wrg_onnx.evaluate.bootstrap import Change, measure_changes
from wrg_onnx.evaluate.judge import Accuracy, judge_images
from wrg_onnx.evaluate.polygraphy import Exported, check_export, export
from wrg_onnx.evaluate.reference import Reference
from wrg_onnx.graph import (
    Graph,
    Value,
    as_written,
    check_run,
    checker_problem,
    file_digests,
    flatten,
    without_additions,
)
from wrg_onnx.latency import Speed
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.config import ValidateConfig
from wrg_onnx.pipeline.notes import measured_widened
from wrg_onnx.pipeline.result import Result
from wrg_onnx.pipeline.samples import open_samples
from wrg_onnx.pipeline.source import Source
from wrg_onnx.pipeline.speed import measure_speed, open_pair
from wrg_onnx.progress import Progress, silent
from wrg_onnx.report.records import ValidateReport


def validate(
    original: Source,
    pruned: Source,
    config: ValidateConfig,
    *,
    export_inputs: Path | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> Result[ValidateReport]:
    """Hold a pruned model, possibly recovered or fine-tuned, against its original.

    Args:
        original: The original.
        pruned: The pruned model.
        config: Where samples come from, where to compute, and how long to time.
        export_inputs: Where to write what the pruned model is fed, and beside it what it gives.
        force: Whether files that are there may be replaced.
        progress: Told how far the run is.

    Returns:
        The report. With structural problems nothing is run, and accuracy and speed are empty. An
        output of the original that is always the same is noted, or a problem of a strict run.

    Raises:
        ModelError: If one is not a valid model.
        DataError: If the data set does not fit, or cannot be exported.
        OutputError: If the files to export cannot be written.
        UsageError: If their name is wrong.
    """
    if export_inputs is not None:
        check_export(export_inputs, force=force)
    progress("analyse", 0, 0)
    first = analyse(original, config.data, progress=progress)
    second = analyse(pruned, config.data, progress=progress)
    original_file, pruned_file = as_written(first.graph), as_written(second.graph)
    narrowed = "" if narrow_numbers(original_file) else narrow_numbers(pruned_file)
    problems = structural_problems(original_file, pruned_file, inside=not narrowed)
    refused = checker_problem(second.graph, as_read=True)
    # What the checker refuses of the original, pruning has not done.
    if refused is not None and refused != checker_problem(first.graph, as_read=True):
        problems += (f"the ONNX checker refuses it: {refused}",)
    accuracy: Accuracy | None = None
    changes: tuple[Change, ...] = ()
    speed: tuple[Speed, ...] = ()
    exported: Exported | None = None
    is_widened = first.graph.widened or second.graph.widened
    if not problems:
        for model in (first, second):
            check_run(model.graph, model.input_shapes)
        samples = open_samples(
            first.graph,
            first.input_shapes,
            config.data,
            first.graph,
            provider=config.provider,
            seed=config.seed,
        )
        # A single sample was calibrated on by nobody here, so it may judge.
        data = samples.validation if len(samples.validation) else samples.calibration
        pair = open_pair(first.graph, second.graph, config.provider)
        reference = Reference(pair.original, data, samples.saliency)
        judged = judge_images(reference, pair.pruned, progress=progress)
        accuracy = judged.accuracy
        changes = measure_changes(judged.per_image, config.seed)
        if export_inputs is not None:
            exported = export(pair.pruned, data, export_inputs, force=force, progress=progress)
        if not is_widened:
            progress("latency", 0, 0)
            speed = measure_speed(
                first, second.graph, config.provider, config.timing, pair, seed=config.seed,
                progress=progress,
            )  # fmt: skip
    notes = [measured_widened(judges=True)] if is_widened and not problems else []
    constant = () if accuracy is None else tuple(_constant_outputs(accuracy))
    if config.strict:
        problems += constant
    else:
        notes += constant
    return Result(
        ValidateReport(
            original=first.graph.name,
            pruned=second.graph.name,
            problems=problems,
            before=first.cost(first.everything, first.file_bytes),
            after=second.cost(second.everything, second.file_bytes),
            accuracy=accuracy,
            speed=speed,
            notes=tuple(notes),
            exported=exported,
            narrowed=narrowed,
            sha256=file_digests(first.graph, second.graph),
            changes=changes,
        )
    )


def _constant_outputs(accuracy: Accuracy) -> Iterator[str]:
    """Say which outputs of the original are always the same, so that they tell nothing."""
    for one in accuracy.agreement:
        if not one.varies:
            yield (
                f"output '{one.output}' of the original is the same everywhere, on all of "
                f"{one.samples} samples, so that it does not tell whether the pruned model is right"
            )


def structural_problems(original: Graph, pruned: Graph, *, inside: bool = True) -> tuple[str, ...]:
    """Say what a pruned model must have in common with its original and has not.

    Args:
        original: The original.
        pruned: The pruned model.
        inside: Whether operators and weights are compared, too. Of a model that was written in
            other numbers they are others.
    """
    problems = []
    for what, before, after in (
        ("inputs", original.inputs, pruned.inputs),
        ("outputs", original.outputs, pruned.outputs),
    ):
        if before != after:
            problems.append(f"its {what} are {_listed(after)} instead of {_listed(before)}")
    if not inside:
        return tuple(problems)
    # Constants are compared by name alone, so those of bodies need the unique ones.
    original, pruned = flatten(original).graph, flatten(pruned).graph
    before_ops = [node.op for node in without_additions(original)]
    after_ops = [node.op for node in without_additions(pruned)]
    if before_ops != after_ops:
        problems.append(_other_operators(before_ops, after_ops))
    for name, array in pruned.constants.forms.items():
        reference = original.constants.forms.get(name)
        if reference is not None and (
            reference.ndim != array.ndim
            or any(n > m for n, m in zip(array.shape, reference.shape, strict=True))
        ):
            problems.append(
                f"constant '{name}' is {_shape(array.shape)}, which does not fit into the "
                f"original's {_shape(reference.shape)}"
            )
    return tuple(problems)


def _other_operators(before: Sequence[str], after: Sequence[str]) -> str:
    if len(before) != len(after):
        return f"it has {len(after)} operators instead of {len(before)}"
    place = next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
    return f"operator {place + 1} is {after[place]} instead of {before[place]}"


def _listed(values: Sequence[Value]) -> str:
    return ", ".join(f"'{v.name}' {v.dtype} {_shape(v.shape)}" for v in values)


def _shape(shape: Sequence[int | str | None] | None) -> str:
    if shape is None:
        return "[unknown rank]"
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in shape) + "]"
