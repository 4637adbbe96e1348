"""Which measure of a feature map serves best as R: the tables of ADR 0009.

    python tools/experiments/rank_table.py [--samples 24] [--ratio 0.3] [--no-ridge] [--spread-only]

Needs the images and models of ../shared/data, which may not be redistributed. Four measures are
taken from the singular values s of each map, each over min(H, W):

- rank: how many are above s_max max(H, W) eps(float32), as numpy and HRank count;
- rank at 1e-3: how many are above s_max / 1000;
- effective: exp of the entropy of s / sum(s) (Roy and Vetterli, EUSIPCO 2007);
- stable: sum(s^2) / s_max^2.

The first table shows how much each differs between the channels of a layer, on each set of images
and, over all sets, on objects above and below 5 % of the area; the second what a pruning by it is
worth, alone and times W.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from recovery_table import SALIENCY, SETS, Bench
from shared_pairs import ALL_SETS, DATA, link
from wrg_onnx.calibrate import Measurements, Tap, channels_first, measure_weights, plan_taps
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.factors import RANK, WEIGHT, Float64Array, Statistics
from wrg_onnx.graph import Graph, open_session
from wrg_onnx.pipeline.config import DataOptions, PruneConfig
from wrg_onnx.recover import ReconstructOptions, Removal, reconstruct
from wrg_onnx.rewrite import apply_plan, find_kept_channels, plan_slices
from wrg_onnx.select import Candidates, Criterion, score, select

TINY = 0.05
"""Share of the area below which an object is tiny."""


def numerical(values: Float64Array, longer: int) -> Float64Array:
    """Count those that float32 can tell from zero."""
    return _above(values, longer * float(np.finfo(np.float32).eps))


def coarse(values: Float64Array, longer: int) -> Float64Array:  # noqa: ARG001 - one signature
    """Count those above a thousandth of the largest."""
    return _above(values, 1e-3)


def effective(values: Float64Array, longer: int) -> Float64Array:  # noqa: ARG001
    """Return exp of the entropy."""
    total = values.sum(-1, keepdims=True)
    share = values / np.where(total, total, 1)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(-1)
    return np.asarray(np.where(total[..., 0] > 0, np.exp(entropy), 0))


def stable(values: Float64Array, longer: int) -> Float64Array:  # noqa: ARG001
    """Return the squared Frobenius norm over the squared spectral norm."""
    largest = values[..., 0] ** 2
    return np.asarray((values**2).sum(-1) / np.where(largest, largest, 1))


def _above(values: Float64Array, tolerance: float) -> Float64Array:
    above = values > values[..., :1] * tolerance
    return np.asarray((above & (values > 0)).sum(-1), np.float64)


MEASURES: Mapping[str, Callable[[Float64Array, int], Float64Array]] = {
    "rank": numerical, "rank at 1e-3": coarse, "effective": effective, "stable": stable,
}  # fmt: skip


def measure(graph: Graph, taps: Sequence[Tap], data: DataSet) -> dict[str, Measurements]:
    """Take every measure of every map, as mean over the images."""
    session = open_session(graph, outputs=[tap.tensor for tap in taps])
    rows: dict[str, list[Float64Array]] = {name: [] for name in MEASURES}
    for number, sample in enumerate(data, start=1):
        arrays = session.run(sample.feeds)
        found: dict[str, list[Float64Array]] = {name: [] for name in MEASURES}
        for tap in taps:
            maps = channels_first(tap, arrays[tap.tensor])[0].astype(np.float64)
            values = np.linalg.svd(maps, compute_uv=False)
            for name, of in MEASURES.items():
                found[name].append(of(values, max(maps.shape[1:])) / min(maps.shape[1:]))
        for name, parts in found.items():
            rows[name].append(np.concatenate(parts))
        print(f"  {number} of {len(data)} images", file=sys.stderr, flush=True)
    return {
        name: Measurements(tuple(taps), {RANK: np.stack(found)}, len(data))
        for name, found in rows.items()
    }


def spread(found: Measurements) -> str:
    """Show the mean, and the spread within a layer."""
    layers = found.layers(RANK)
    mean = np.mean([layer.values.mean() for layer in layers])
    within = [layer.values.std() / layer.values.mean() for layer in layers if layer.values.any()]
    return f"{mean:.3f}, {np.median(within):.3f}"


def print_spreads(bench: Bench, taps: Sequence[Tap], samples: int, scratch: Path) -> None:
    """Print a row for each set of images."""
    rows = {name: link("train", (name,), scratch / f"spread-{name}") for name in ALL_SETS}
    rows[f"all, objects above {TINY:.0%}"] = link("train", ALL_SETS, scratch / "large", (TINY, 1.0))
    rows[f"all, objects up to {TINY:.0%}"] = link("train", ALL_SETS, scratch / "tiny", (0.0, TINY))
    print(f"mean, spread | {' | '.join(MEASURES)} | rank: full")
    print("|---|" + "---|" * (len(MEASURES) + 1))
    for name, folder in rows.items():
        data = bench.all_of(folder)
        order = np.random.default_rng(0).permutation(len(data))[:samples]
        found = measure(bench.model.graph, taps, data.take(order))
        ranks = np.concatenate([layer.values for layer in found["rank"].layers(RANK)])
        shown = " | ".join(spread(found[measure]) for measure in MEASURES)
        print(f"| {name} | {shown} | {np.mean(ranks > 0.995):.0%} |", flush=True)


def pruned(bench: Bench, criterion: Criterion, found: Measurements, *, ridge: bool) -> Graph:
    """Prune by one measure."""
    units, config = bench.model.units, bench.config
    factors = {WEIGHT: measure_weights(WEIGHT, units), RANK: found.layers(RANK)}
    statistics = Statistics(factors, found.images)
    scores = score(criterion, statistics, units.count, np.random.default_rng(0))
    candidates = Candidates(units.removable, units.group, config.floor)
    budget = bench.model.budget(config.budget)
    alive = select(candidates, scores.values, budget, config.ratio, config.scope).alive
    plan = plan_slices(units, alive)
    graph = apply_plan(bench.model.graph, plan)
    if not ridge:
        return graph
    original, data = bench.model.graph, bench.samples.calibration
    removal = Removal(original, graph, plan.kept, find_kept_channels(units, alive))
    return reconstruct(original, removal, data, ReconstructOptions()).graph


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--ratio", type=float, default=0.3)
    parser.add_argument("--no-ridge", action="store_true", help="judge without recovery alone")
    parser.add_argument("--spread-only", action="store_true", help="the first table alone")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"{DATA} is not there; nothing was measured")
    with tempfile.TemporaryDirectory() as scratch:
        train = link("train", SETS, Path(scratch, "train"))
        judges = {name: link("val", (name,), Path(scratch, name)) for name in SETS}
        data = DataOptions(path=train, samples=options.samples)
        bench = Bench.of(SALIENCY, PruneConfig(options.ratio, data=data))
        taps = plan_taps(bench.model.units)
        print_spreads(bench, taps, options.samples, Path(scratch))
        if options.spread_only:
            return
        found = measure(bench.model.graph, taps, bench.samples.calibration)
        print(f"\n| R | criterion | recovery | {' | '.join(f'{s} MAE | max F' for s in SETS)} |")
        print("|---|---|---|" + "---|" * 2 * len(SETS))
        for name in MEASURES:
            for criterion in (Criterion.R, Criterion.WR):
                for ridge in (False, True)[: 1 if options.no_ridge else 2]:
                    result = pruned(bench, criterion, found[name], ridge=ridge)
                    scores = [bench.judge(result, bench.all_of(j)).after for j in judges.values()]
                    shown = " | ".join(f"{s.mae:.4f} | {s.max_f:.4f}" for s in scores if s)
                    recovery = "ridge" if ridge else "none"
                    print(f"| {name} | {criterion.name} | {recovery} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
