"""Bench, prune and validate one net where ONNX Runtime computes, in float32 and float16.

What is timed has lost its channels of the smallest weights, so that it is there at once; then
comes a default `prune`, whose seconds are a figure of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import wrg_onnx
from gpu.nets import RATIO, original, pruned, size
from gpu.task import Stopwatch, Task, run
from wrg_onnx.graph import Provider, load, open_session

BATCHES, SMALL_BATCHES = (1, 16), (1, 2)


def work(task: Task, keep: Callable[..., None]) -> None:
    """Measure; each figure is kept as soon as it is there, what takes longest comes last."""
    watch = Stopwatch()
    first = original(task, task.net)
    smaller = pruned(task, task.net)
    names = ("original", "pruned", "original, float16", "pruned, float16")
    paths = [first, smaller, *(halved(path) for path in (first, smaller))]
    keep(write_s=watch.lap(), half_difference=half_difference(task, paths))
    for batch in SMALL_BATCHES if task.small else BATCHES:
        keep(**{f"bench_{batch}": timed(task, dict(zip(names, paths, strict=True)), batch)})
    watch.lap()
    second = task.folder / f"{task.net}.pruned.onnx"
    report = wrg_onnx.prune(
        first, second, ratio=RATIO, samples=task.pick(16, 2), provider=task.device, cache=False,
        evaluate=False, force=True,
    ).report  # fmt: skip
    keep(
        prune_s=watch.lap(),
        stages_s=dict(report.seconds),
        reached=report.reached,
        proof_error=report.equivalence.error,
        parameters=[report.before.parameters, report.after.parameters],
        macs=[report.before.macs, report.after.macs],
    )
    said = wrg_onnx.validate(first, second, samples=1, provider=task.device).report
    assert said.accuracy is not None
    assert not said.problems, said.problems
    keep(
        validate_s=watch.lap(),
        relative_error={one.output: one.relative_error for one in said.accuracy.agreement},
    )


def halved(path: Path) -> Path:
    """Write a model in float16 whose inputs and outputs stay float32, to be fed the same."""
    # Once the package is there, which forbids ONNX Runtime to tell its vendor of it.
    from onnxruntime.transformers.float16 import convert_float_to_float16

    target = path.with_suffix(".half.onnx")
    onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True), target)
    return target


def half_difference(task: Task, paths: Sequence[Path]) -> dict[str, float]:
    """Return how far float16 is from float32, relative to the largest number, of both models."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal((1, 3, size(task), size(task))).astype(np.float32)
    found = []
    for path in paths:
        session = open_session(load(path), provider=Provider(task.device))
        (output,) = session.run({"image": image}).values()
        found.append(output)
    return {
        name: float(np.abs(half - full).max() / np.abs(full).max())
        for name, full, half in zip(("original", "pruned"), found[:2], found[2:], strict=True)
    }


def timed(task: Task, models: Mapping[str, Path], batch: int) -> dict[str, Any]:
    """Return the latency of the models, turn by turn, by name."""
    side = size(task)
    rounds, warmup = task.pick(50, 3), task.pick(10, 1)
    found = wrg_onnx.bench(
        *models.values(), shape={"image": (batch, 3, side, side)}, rounds=rounds, warmup=warmup,
        provider=task.device,
    )  # fmt: skip
    (report,) = found.report.providers
    return {
        name: {"median_ms": one.median_ms, "p95_ms": one.p95_ms}
        for name, one in zip(models, report.latency.values(), strict=True)
    }


if __name__ == "__main__":
    run(work)
