"""Compare model files: latency side by side, and a pruned model against its original."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wrg_onnx.channels import random_feeds
from wrg_onnx.errors import UsageError
from wrg_onnx.evaluate.judge import Timing, available_providers, judge, time_models
from wrg_onnx.graph import (
    Graph,
    Provider,
    Value,
    file_problem,
    fill_inputs,
    flatten,
    load,
    open_session,
    resolve_provider,
    stored_bytes,
    without_additions,
)
from wrg_onnx.pipeline.analyse import analyse, concrete_shapes
from wrg_onnx.pipeline.config import DataOptions, PruneConfig
from wrg_onnx.pipeline.prune import measure_speed
from wrg_onnx.pipeline.samples import find_saliency, gather_samples
from wrg_onnx.progress import Progress, silent
from wrg_onnx.report.records import BenchReport, ValidateReport


def bench(
    paths: Sequence[Path],
    options: DataOptions,
    *,
    provider: Provider = Provider.AUTO,
    timing: Timing | None = None,
    seed: int = 0,
) -> tuple[BenchReport, ...]:
    """Time models side by side on the same random input.

    Args:
        paths: The files. All must have the same inputs.
        options: Tells the size of an image input that leaves it open.
        provider: Where; ``AUTO`` measures on the CPU and, where it is there, on CUDA.
        timing: How long.
        seed: Seed of the input and of the order in each round.

    Returns:
        One report per provider.

    Raises:
        UsageError: If the models' inputs differ, or a file is named twice.
        ModelError: If a file is not a valid model.
    """
    if len({*paths}) != len(paths):
        raise UsageError("bench: a model is named twice")
    graphs = {str(path): fill_inputs(load(path), options.values) for path in paths}
    first, *others = graphs.values()
    for other in others:
        if other.inputs != first.inputs:
            raise UsageError(
                f"'{other.name}' has other inputs than '{first.name}': only models with the same "
                "inputs can be timed side by side"
            )
    shapes = concrete_shapes(first, options)
    feeds = random_feeds(first, shapes, np.random.default_rng(seed))
    return tuple(
        BenchReport(
            place.value,
            time_models(graphs, feeds, place, timing or Timing(), np.random.default_rng(seed)),
            shapes,
        )
        for place in available_providers(provider)
    )


def validate(
    original: Path, pruned: Path, config: PruneConfig, *, progress: Progress = silent
) -> ValidateReport:
    """Hold a pruned model, possibly recovered or fine-tuned, against its original.

    Args:
        original: The original file.
        pruned: The pruned file.
        config: Where samples come from and where to compute; its ratio is not used.
        progress: Told how far the run is.

    Returns:
        The report. With structural problems nothing is run, and accuracy and speed are empty.

    Raises:
        ModelError: If a file is not a valid model.
        DataError: If the data set does not fit.
    """
    progress("analyse", 0, 0)
    first = analyse(original, config.data)
    second = analyse(pruned, config.data)
    problems = structural_problems(first.graph, second.graph)
    refused = file_problem(pruned, second.graph)
    # What the checker refuses of the original, pruning has not done.
    if refused is not None and refused != file_problem(original, first.graph):
        problems += (f"the ONNX checker refuses it: {refused}",)
    before = first.cost(first.everything, stored_bytes(original, first.graph))
    after = second.cost(second.everything, stored_bytes(pruned, second.graph))
    if problems:
        names = (str(original), str(pruned))
        return ValidateReport(*names, problems, before, after, accuracy=None, speed=())
    samples = gather_samples(first.graph, first.input_shapes, config.data, seed=config.seed)
    provider = resolve_provider(config.provider)
    before_session = open_session(first.graph, provider=provider)
    after_session = open_session(second.graph, provider=provider)
    saliency = find_saliency(before_session, samples.calibration, samples.preprocessing)
    # A single sample was calibrated on by nobody here, so it may judge.
    data = samples.validation if len(samples.validation) else samples.calibration
    accuracy = judge(before_session, after_session, data, saliency, progress=progress)
    speed = measure_speed(first, second.graph, config)
    return ValidateReport(
        str(original), str(pruned), (), before, after, accuracy=accuracy, speed=speed
    )


def structural_problems(original: Graph, pruned: Graph) -> tuple[str, ...]:
    """Say what a pruned model must have in common with its original and has not."""
    problems = []
    for what, before, after in (
        ("inputs", original.inputs, pruned.inputs),
        ("outputs", original.outputs, pruned.outputs),
    ):
        if before != after:
            problems.append(f"its {what} are {_listed(after)} instead of {_listed(before)}")
    # Constants are compared by name alone, so those of bodies need the unique ones.
    original, pruned = flatten(original).graph, flatten(pruned).graph
    before_ops = [node.op for node in without_additions(original)]
    after_ops = [node.op for node in without_additions(pruned)]
    if before_ops != after_ops:
        problems.append(_other_operators(before_ops, after_ops))
    for name, array in pruned.constants.items():
        reference = original.constants.get(name)
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
