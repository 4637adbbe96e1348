"""From how many images ranks are taken, and whether ranks of less than a map would do.

    python tools/bench/bench_ranks.py [--model NAME ...] [--images 32] [--ratio 0.6] [--data DIR]
    python tools/bench/bench_ranks.py --less [--model NAME ...] [--images 2] ...

The first table chooses by `sel` as `prune` does, where ranks stop before gradients, and once more
with ranks of all images, which go on from there: so what the second choice costs is what the first
one spared. The overlap is the Jaccard index of what both remove.

The second table takes the rank of each map of at least 100 x 100 from random projections P A Q to
k x k at most, and from every second or fourth row and column. Within each such layer it compares
the order of the channels with that by true ranks (Spearman), and the units that `r` and `sel`
remove. What counts is CPU time of one BLAS thread. Nothing of this is part of the package.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from bench_default import MODELS, let_waiting_threads_sleep, model_file
from wrg_onnx.calibrate import CollectOptions, Tap, channels_first, collect, plan_taps
from wrg_onnx.calibrate.rank.maps import MapSource
from wrg_onnx.calibrate.rank.ranks import numerical_ranks, rank_shares
from wrg_onnx.factors import (
    GRADIENT,
    RANK,
    WEIGHT,
    BoolArray,
    Float64Array,
    LayerValues,
    Statistics,
)
from wrg_onnx.graph import Array
from wrg_onnx.pipeline.analyse import Model, analyse
from wrg_onnx.pipeline.choose import Chosen, choose_units
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import DataOptions, PruneConfig
from wrg_onnx.pipeline.samples import Samples, open_samples
from wrg_onnx.select import Candidates, Criterion, jaccard, score, select

LARGE = 100
"""The smallest side of maps that are worth a shortcut."""

MeasureMaps = Callable[[Array], Float64Array]


@cache
def drawn(rows: int, columns: int) -> Array:
    """Return the same random matrix for each map of one size."""
    rng = np.random.default_rng([rows, columns])
    return rng.standard_normal((rows, columns)).astype(np.float32)


def projected(maps: Array, size: int) -> Float64Array:
    """Take rank shares of P A Q, of ``size`` at most in each direction, (C,)."""
    height, width = maps.shape[2:]
    low, narrow = min(size, height), min(size, width)
    small = (drawn(low, height) @ maps) @ drawn(width, narrow)
    return np.asarray(numerical_ranks(small).mean(0) / min(low, narrow), np.float64)


def strided(maps: Array, step: int) -> Float64Array:
    """Take rank shares of every ``step``-th row and column, (C,)."""
    return np.asarray(rank_shares(maps[:, :, ::step, ::step]), np.float64)


WAYS: Mapping[str, MeasureMaps] = {
    "whole": partial(strided, step=1),
    **{f"P A Q, {size}": partial(projected, size=size) for size in (48, 64, 96, 128, 192)},
    **{f"each {step}.": partial(strided, step=step) for step in (2, 4)},
}


class Ranks:
    """Rank shares by one way, summed up over images.

    Attributes:
        seconds: The CPU time that maps of at least ``LARGE`` took.
    """

    def __init__(self, taps: tuple[Tap, ...]) -> None:
        self._sums = {tap.tensor: np.zeros(len(tap.units)) for tap in taps}
        self._taps, self._images = taps, 0
        self.seconds = 0.0

    def add(self, tap: Tap, values: Float64Array) -> None:
        """Add those of one image and tap."""
        self._sums[tap.tensor] += values

    def layers(self, images: int) -> list[LayerValues]:
        """Return the means, by layer."""
        return [LayerValues(t.tensor, t.units, self._sums[t.tensor] / images) for t in self._taps]


def take(model: Model, samples: Samples) -> tuple[dict[str, Ranks], set[str]]:
    """Take ranks by every way, and tell which layers have large maps."""
    taps = plan_taps(model.units)
    source = MapSource(model.graph, taps)
    found = {way: Ranks(taps) for way in WAYS}
    large: set[str] = set()
    for sample in samples.calibration:
        for part in source.parts:
            (arrays,) = source.run([sample], part)
            for tap in part:
                maps = np.ascontiguousarray(channels_first(tap, arrays[tap.tensor]), np.float32)
                if min(maps.shape[2:]) < LARGE:
                    whole = WAYS["whole"](maps)
                    for ranks in found.values():
                        ranks.add(tap, whole)
                    continue
                large.add(tap.tensor)
                for way, ranks in found.items():
                    start = time.process_time()
                    values = WAYS[way](maps)
                    ranks.seconds += time.process_time() - start
                    ranks.add(tap, values)
    return found, large


def orders(true: list[LayerValues], other: list[LayerValues], large: set[str]) -> Iterator[float]:
    """Yield the rank correlation in each layer of large maps whose channels differ."""
    for one, two in zip(true, other, strict=True):
        if one.layer in large and np.ptp(one.values):
            is_flat = not np.ptp(two.values)
            yield 0.0 if is_flat else float(spearmanr(one.values, two.values).statistic)


def removed_by(
    model: Model, statistics: Statistics, criterion: Criterion, config: PruneConfig
) -> BoolArray:
    """Return which units go."""
    scores = score(criterion, statistics, model.units.count, np.random.default_rng(0))
    candidates = Candidates(model.units.removable, model.units.group, config.floor)
    budget = model.budget(config.budget)
    return ~select(candidates, scores.values, budget, config.ratio, config.scope).alive


def of_less(name: str, model: Model, samples: Samples, config: PruneConfig) -> Iterator[str]:
    """Yield the rows of the second table."""
    others = CollectOptions(frozenset({WEIGHT, GRADIENT}))
    known = collect(model.units, samples.calibration, others, saliency=samples.saliency).statistics
    with threadpool_limits(1, "blas"):
        found, large = take(model, samples)
    images = len(samples.calibration)
    true = found["whole"]

    def removed(ranks: Ranks, criterion: Criterion) -> BoolArray:
        statistics = Statistics({**known.factors, RANK: ranks.layers(images)}, images)
        return removed_by(model, statistics, criterion, config)

    for way, ranks in found.items():
        likeness = list(orders(true.layers(images), ranks.layers(images), large)) or [1.0]
        overlaps = [
            jaccard(removed(true, criterion), removed(ranks, criterion))
            for criterion in (Criterion.R, Criterion.SEL)
        ]
        yield (
            f"{name:<11}{way:<12}{ranks.seconds / images:>7.3f}"
            f"{ranks.seconds / true.seconds if true.seconds else 1:>7.2f}"
            f"{np.median(likeness):>9.3f}{min(likeness):>9.3f}"
            f"{overlaps[0]:>9.3f}{overlaps[1]:>9.3f}"
        )


def choose(
    model: Model, samples: Samples, config: PruneConfig, certainty: float, cache_folder: Path
) -> tuple[Chosen, float]:
    """Choose as `prune` does, and return the CPU seconds that measuring took."""
    clock = Clock(lambda *_: None)
    asked = PruneConfig(
        config.ratio, criterion=Criterion.SEL, data=config.data, certainty=certainty,
        cache=cache_folder, evaluate=False,
    )  # fmt: skip
    step = (config.ratio, config.floor)
    chosen = choose_units(model, samples, step, asked, clock)
    return chosen, clock.cpu_seconds["calibrate"]


def of_images(name: str, model: Model, samples: Samples, config: PruneConfig) -> Iterator[str]:
    """Yield the row of the first table."""
    with tempfile.TemporaryDirectory() as folder:
        early, seconds = choose(model, samples, config, config.enough, Path(folder))
        whole, more = choose(model, samples, config, 1.0, Path(folder))
    used = early.collected.statistics
    overlap = jaccard(~early.selection.alive, ~whole.selection.alive)
    yield (
        f"{name:<11}{used.images:>8}{used.images_of[RANK]:>7}{seconds:>10.1f}{more:>10.1f}"
        f"{overlap:>10.3f}{early.collected.certainty or 1:>11.3f}"
        f"{whole.collected.certainty or 1:>11.3f}"
    )


HEADS = {
    of_images: f"{'':<11}{'images':>8}{'ranks':>7}{'CPU s':>10}{'spared':>10}{'overlap':>10}"
    f"{'certainty':>11}{'of all':>11}",
    of_less: f"{'':<11}{'rank of':<12}{'CPU s':>7}{'':>7}{'order':>9}{'lowest':>9}"
    f"{'r':>9}{'sel':>9}",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", action="append", help="a name or a file; may be repeated")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--ratio", type=float, default=0.6)
    parser.add_argument("--data", type=Path, help="a folder of images instead of generated ones")
    parser.add_argument("--less", action="store_true", help="ranks of less than a map")
    options = parser.parse_args()
    let_waiting_threads_sleep()
    table = of_less if options.less else of_images
    data = DataOptions(path=options.data, samples=options.images)
    config = PruneConfig(options.ratio, data=data)
    print(HEADS[table], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in options.model or MODELS:
            path = model_file(name, Path(folder))
            if path is None:
                continue
            model = analyse(path, data)
            samples = open_samples(
                model.graph, model.input_shapes, data, model.graph, provider=config.provider, seed=0
            )
            for row in table(Path(name).stem, model, samples, config):
                print(row, flush=True)


if __name__ == "__main__":
    main()
