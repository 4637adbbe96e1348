"""Hold calibration of VGG16 against plain inference, and against HRank's way to take ranks.

    python tools/bench/bench_calibration.py [--images 64] [--ratio 0.5] [--data DIR]

All run in this process on the same images, read beforehand, one after the other:

- plain: ONNX Runtime over the images;
- W+R+G: all statistics of the default criterion, over all images;
- HRank: the protocol of Lin et al., CVPR 2020, written down as it is: for each layer a pass of the
  whole network over all images, and one ``matrix_rank`` a feature map;
- R: our ranks over all images, and once more as `prune` takes them, which stops when the choice is
  certain.

What counts are the ratios, and that the same units are removed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench_prune import build_vgg16
from wrg_onnx.calibrate import CollectOptions, Tap, channels_first, collect, plan_taps
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.factors import RANK, BoolArray, LayerValues, Statistics
from wrg_onnx.graph import open_session
from wrg_onnx.pipeline.analyse import Model, analyse
from wrg_onnx.pipeline.choose import choose_units
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import BudgetKind, DataOptions, PruneConfig
from wrg_onnx.pipeline.samples import Samples, gather_samples
from wrg_onnx.select import Candidates, Criterion, Scope, jaccard, score, select

T = TypeVar("T")
FLOOR = 0.1


def timed(run: Callable[[], T]) -> tuple[T, float]:
    """Return what a call gives, and the seconds it took."""
    start = time.perf_counter()
    found = run()
    return found, time.perf_counter() - start


def in_memory(data: DataSet) -> DataSet:
    """Read all samples now."""
    samples = list(data)
    readers = tuple(partial(lambda sample: sample, sample) for sample in samples)
    return DataSet(readers, data.content, len(samples), data.has_masks)


def plain(model: Model, data: DataSet) -> None:
    """Run the model on each image."""
    session = open_session(model.graph)
    for sample in data:
        session.run(sample.feeds)


def as_hrank(model: Model, taps: tuple[Tap, ...], data: DataSet) -> Statistics:
    """Take ranks layer by layer, map by map."""
    layers = []
    for tap in taps:
        outputs = [*(value.name for value in model.graph.outputs), tap.tensor]
        session = open_session(model.graph, outputs=outputs)
        total = np.zeros(len(tap.units))
        for sample in data:
            maps = channels_first(tap, session.run(sample.feeds)[tap.tensor])[0]
            total += [np.linalg.matrix_rank(one) for one in maps]
        print(f"  HRank: {tap.tensor} done", file=sys.stderr, flush=True)
        side = max(1, min(maps.shape[1:]))
        layers.append(LayerValues(tap.tensor, tap.units, total / len(data) / side))
    return Statistics({RANK: layers}, len(data))


def removed_by(model: Model, statistics: Statistics, ratio: float) -> BoolArray:
    """Return which units the ranks remove."""
    scores = score(Criterion.R, statistics, model.units.count, np.random.default_rng(0))
    candidates = Candidates(model.units.removable, model.units.group, FLOOR)
    budget = model.budget(BudgetKind.PARAMS)
    return ~select(candidates, scores.values, budget, ratio, Scope.GLOBAL).alive


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--ratio", type=float, default=0.5)
    parser.add_argument("--data", type=Path, help="a folder of images instead of generated ones")
    options = parser.parse_args()
    config = PruneConfig(
        options.ratio,
        criterion=Criterion.R,
        data=DataOptions(path=options.data, samples=options.images),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vgg16.onnx"
        build_vgg16(path)
        model = analyse(path, config.data)
    gathered = gather_samples(model.graph, model.input_shapes, config.data, seed=0)
    data = in_memory(gathered.calibration)
    taps = plan_taps(model.units)

    plain(model, data.take(range(2)))
    _, forward = timed(lambda: plain(model, data))
    wrg = CollectOptions(frozenset(Criterion.SEL.factors))
    _, whole = timed(lambda: collect(model.units, data, wrg))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    ranks = CollectOptions(frozenset({RANK}))
    ours, ours_seconds = timed(lambda: collect(model.units, data, ranks))
    step = (config.ratio, config.floor)
    samples = Samples(data, gathered.validation, gathered.preprocessing)
    stopped, stopped_seconds = timed(
        lambda: choose_units(model, samples, step, config, Clock(lambda *_: None))
    )
    theirs, theirs_seconds = timed(lambda: as_hrank(model, taps, data))

    reference = removed_by(model, theirs, options.ratio)
    same = jaccard(removed_by(model, ours.statistics, options.ratio), reference)
    early = jaccard(~stopped.selection.alive, reference)
    used = stopped.collected.statistics.images
    count = len(data)
    print(f"VGG16 at 224 x 224, {data.description}, ratio {options.ratio}")
    print(f"plain forwards, {count} images      {forward:8.1f} s")
    print(
        f"W+R+G, {count} images               {whole:8.1f} s   {whole / forward:.1f}x the forwards"
    )
    print(f"HRank's protocol, {count} images    {theirs_seconds:8.1f} s")
    print(
        f"R, {count} images                   {ours_seconds:8.1f} s   "
        f"{theirs_seconds / ours_seconds:.1f}x as fast as HRank, Jaccard {same:.3f}"
    )
    print(
        f"R, stopped after {used} images       {stopped_seconds:8.1f} s   "
        f"{theirs_seconds / stopped_seconds:.1f}x as fast as HRank, Jaccard {early:.3f}"
    )
    print(f"peak memory of the process, up to W+R+G: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
