"""Hold what a default `prune` costs against plain forward passes of the original.

    python tools/bench/bench_default.py [--model NAME ...] [--images 32] [--criterion repair]

A model is one of a few names (below), or an ONNX file.

A default prune takes statistics, chooses, cuts, proves and recovers; judging and timing are left
out (``--no-evaluate``), and nothing is kept from earlier runs. Plain is ONNX Runtime over as many
images, read beforehand: half of the passes come before the pruning and half after it. The target is
that the whole costs at most 15 forward passes.

All of that is CPU time of one process, of its threads together, so that others on the same machine
hardly matter. Threads of OpenMP, which torch computes with, sleep while they wait for each other:
by default they turn in circles, which counts as CPU time, and on a busy machine made gradients of
CSNet 16 times as dear. What is imported is imported before.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import wrg_onnx
from wrg_onnx.calibrate.gradient import probe as _torch_first  # noqa: F401 - not part of a run
from wrg_onnx.data.dataset import Sample
from wrg_onnx.graph import open_session
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.config import DataOptions
from wrg_onnx.pipeline.samples import gather_samples
from wrg_onnx.report.records import PruneReport
from wrg_onnx.report.unfinished import check_finished
from wrg_onnx.select import criterion_names

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data" / "models"

MODELS: Mapping[str, Path | tuple[str, int]] = {
    "csnet": SHARED / "csnet_L_x2_224.onnx",
    "u2netp": ("models.u2netp:u2netp", 320),
    "vgg16": ("models.vgg16_sod:vgg16", 224),
    "yolox_nano": SHARED / "yolox_nano.onnx",
}
"""A file, or a factory of this repository and the size of its images."""

TARGET = 15.0
"""Forward passes of an image that a default prune may cost per image."""

COLUMNS = {
    "data": ("analyse", "data"),
    "measure": ("calibrate", "measure"),
    "choose": ("select",),
    "cut": ("rewrite", "validate"),
    "recover": ("recover",),
}
"""The stages that a column of the table adds up; the rest is what no stage counts, and saving."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one model cost, in CPU seconds.

    Attributes:
        forwards: As many plain forward passes as there are images.
        whole: The pruning.
        report: What it reports.
    """

    forwards: float
    whole: float
    report: PruneReport

    @property
    def ratio(self) -> float:
        """How many forward passes of the original an image costs."""
        return self.whole / self.forwards

    def passes(self, column: str) -> float:
        """Return what the stages of one column cost, in forward passes."""
        stages = self.report.cpu_seconds
        return sum(stages.get(stage, 0.0) for stage in COLUMNS[column]) / self.forwards


def cpu_seconds(run: Callable[[], object]) -> float:
    """Return the CPU time that a call takes in all threads of this process."""
    start = time.process_time()
    run()
    return time.process_time() - start


def measure(path: Path, images: int, criterion: str, ratio: float) -> Cost:
    """Prune a model, and run it plainly before and after.

    Args:
        path: The model.
        images: How many images statistics and recovery may look at.
        criterion: The formula of the scores.
        ratio: The share of the parameters to remove.
    """
    found: list[PruneReport] = []

    def prune() -> None:
        with tempfile.TemporaryDirectory() as folder:
            result = wrg_onnx.prune(
                path, Path(folder, "pruned.onnx"), ratio=ratio, criterion=criterion,
                samples=images, evaluate=False, cache=False,
            )  # fmt: skip
            check_finished(result.report)
            found.append(result.report)

    options = DataOptions(samples=images)
    model = analyse(path, options)
    samples = list(gather_samples(model.graph, model.input_shapes, options, seed=0).calibration)
    half = -(-images // 2)
    before = forwards(path, samples[:half])
    whole = cpu_seconds(prune)
    after = forwards(path, samples[half:])
    return Cost(before + after, whole, found[0])


def forwards(path: Path, samples: Sequence[Sample]) -> float:
    """Return the CPU seconds that plain passes over some samples take."""
    if not samples:
        return 0.0
    session = open_session(analyse(path, DataOptions()).graph)
    session.run(samples[0].feeds)  # the first one makes room for the feature maps
    return cpu_seconds(lambda: [session.run(sample.feeds) for sample in samples])


def let_waiting_threads_sleep() -> None:
    """Start this program anew where OpenMP was told otherwise; it asks once, when it is loaded."""
    if os.environ.get("OMP_WAIT_POLICY") != "PASSIVE":
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - this very program


def model_file(name: str, folder: Path) -> Path | None:
    """Return the file of a model, exported into a folder if need be; None if it is not here.

    Args:
        name: Of ``MODELS``, or an ONNX file.
        folder: Where to export to.
    """
    source = MODELS.get(name, Path(name))
    if isinstance(source, Path):
        if source.is_file():
            return source.resolve()
        print(f"{name} skipped: there is no {source}", file=sys.stderr)
        return None
    factory, size = source
    path = folder / f"{name}.onnx"
    os.chdir(ROOT)  # a factory is imported from the current folder
    wrg_onnx.export(factory, path, input=(1, 3, size, size))
    return path


def head() -> str:
    """Return the first line of the table."""
    stages = "".join(f"{column:>9}" for column in COLUMNS)
    return f"{'':<11}{'plain s':>8}{'prune s':>9}{stages}{'all':>7}"


def row(name: str, cost: Cost) -> str:
    """Return a line of the table: seconds, then forward passes."""
    stages = "".join(f"{cost.passes(column):>9.1f}" for column in COLUMNS)
    return f"{name:<11}{cost.forwards:>8.1f}{cost.whole:>9.1f}{stages}{cost.ratio:>7.1f}"


def verdict(costs: Mapping[str, Cost]) -> str:
    """Say which models are within the target."""
    above = [name for name, cost in costs.items() if cost.ratio > TARGET]
    said = f"{', '.join(above)} above it" if above else "all within it"
    return f"target: at most {TARGET:g} forward passes in all; {said}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", action="append", help="a name or a file; may be repeated")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--criterion", default="repair", choices=criterion_names())
    parser.add_argument("--ratio", type=float, default=0.6)
    options = parser.parse_args()
    let_waiting_threads_sleep()
    print(
        f"{options.criterion}, ratio {options.ratio}, {options.images} generated images: CPU "
        "seconds, and what each\npart costs in plain forward passes of as many images"
    )
    print(head(), flush=True)
    costs: dict[str, Cost] = {}
    # Each model has a process of its own, as a user's run has: what a large one leaves behind in
    # memory makes a small one slower.
    executor = ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1)
    with executor, tempfile.TemporaryDirectory() as folder:
        for name in options.model or MODELS:
            path = model_file(name, Path(folder))
            if path is None:
                continue
            made = executor.submit(measure, path, options.images, options.criterion, options.ratio)
            costs[name] = made.result()
            print(row(Path(name).stem, costs[name]), flush=True)
    print(verdict(costs))


if __name__ == "__main__":
    main()
