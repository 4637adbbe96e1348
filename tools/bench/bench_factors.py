"""What the factors cost per image, and how much each adds to the uncertainty of a choice.

    python tools/bench/bench_factors.py [--model NAME ...] [--images 32] [--ratio 0.6] [--data DIR]

A model is a name of bench_default.py, or an ONNX file. The first line of each is CPU time per image
of one image after another: of a plain forward pass, then in such passes of the run that gives the
feature maps, of their ranks, and of the gradients.

Then, by images: how certain the choice by `sel` is if the images of the ranks alone are drawn anew,
of the gradients alone, and of both.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from bench_default import MODELS, let_waiting_threads_sleep, model_file
from wrg_onnx.calibrate import (
    CollectOptions,
    Measurements,
    Tap,
    channels_first,
    measure_weights,
    plan_taps,
)
from wrg_onnx.calibrate.gradient.probe import GradientProbe
from wrg_onnx.calibrate.image_pass import ImagePass
from wrg_onnx.calibrate.probes import probes_for
from wrg_onnx.calibrate.rank.maps import MapSource
from wrg_onnx.calibrate.rank.ranks import rank_shares
from wrg_onnx.data.dataset import Sample
from wrg_onnx.factors import (
    GRADIENT,
    RANK,
    WEIGHT,
    BoolArray,
    Factor,
    Float64Array,
    Statistics,
)
from wrg_onnx.graph import Provider, open_session
from wrg_onnx.pipeline.analyse import Model, analyse
from wrg_onnx.pipeline.config import DataOptions, PruneConfig
from wrg_onnx.pipeline.samples import Samples, open_samples
from wrg_onnx.select import Candidates, Criterion, expected_jaccard, score, select

TIMED = 3
"""Images that are timed; one before them warms up."""

FEWEST = 8
"""Images from which the bootstrap is asked; then twice as many each time."""


def costs(model: Model, taps: tuple[Tap, ...], samples: Samples) -> str:
    """Time each factor on a few images."""
    session, source = open_session(model.graph), MapSource(model.graph, taps)
    gradients = GradientProbe(model.graph, taps, samples.saliency)
    spent = dict.fromkeys(("plain", "maps", "ranks", "gradients"), 0.0)

    def time_one(sample: Sample) -> Iterator[str]:
        """Yield what was done, right after it."""
        session.run(sample.feeds)
        yield "plain"
        for part in source.parts:
            (arrays,) = source.run([sample], part)
            yield "maps"
            for tap in part:
                rank_shares(channels_first(tap, arrays[tap.tensor]))
            yield "ranks"
        gradients.measure([sample])
        yield "gradients"

    data = samples.calibration
    for number in range(min(TIMED, len(data) - 1) + 1):
        sample = data[number]
        before = time.process_time()
        for name in time_one(sample):
            now = time.process_time()
            if number:
                spent[name] += now - before
            before = now
    plain = spent.pop("plain")
    shares = ", ".join(f"{name} {seconds / plain:.1f}" for name, seconds in spent.items())
    return f"plain {plain / number:.3f} s; in such passes: {shares}"


def certainties(
    model: Model, taps: tuple[Tap, ...], samples: Samples, config: PruneConfig
) -> Iterator[str]:
    """Yield the certainty by images and by factor."""
    options = CollectOptions(frozenset({RANK, GRADIENT}), provider=Provider.CPU)
    probes = probes_for(model.graph, taps, samples.saliency, options)
    images = ImagePass(probes, taps, samples.calibration, options, lambda *_: None)
    weights = measure_weights(WEIGHT, model.units)
    candidates = Candidates(model.units.removable, model.units.group, config.floor)
    budget = model.budget(config.budget)

    def certainty(found: Measurements, drawn: Collection[Factor]) -> float:
        def choose(times: Float64Array | None) -> BoolArray:
            layers = {f: found.layers(f, times if f in drawn else None) for f in (RANK, GRADIENT)}
            statistics = Statistics({WEIGHT: weights, **layers}, found.images)
            rng = np.random.default_rng(config.seed)
            scores = score(Criterion.SEL, statistics, model.units.count, rng)
            return select(candidates, scores.values, budget, config.ratio, config.scope).alive

        return expected_jaccard(choose, found.images, np.random.default_rng(config.seed))

    count = min(FEWEST, images.total)
    while count <= images.total:
        images.go_on(count)
        alone, other, both = (
            certainty(images.found, drawn) for drawn in ({RANK}, {GRADIENT}, {RANK, GRADIENT})
        )
        yield f"{count:>6} images: ranks {alone:.3f}, gradients {other:.3f}, both {both:.3f}"
        count *= 2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", action="append", help="a name or a file; may be repeated")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--ratio", type=float, default=0.6)
    parser.add_argument("--data", type=Path, help="a folder of images instead of generated ones")
    options = parser.parse_args()
    let_waiting_threads_sleep()
    data = DataOptions(path=options.data, samples=options.images)
    config = PruneConfig(options.ratio, data=data)
    with tempfile.TemporaryDirectory() as folder:
        for name in options.model or MODELS:
            path = model_file(name, Path(folder))
            if path is None:
                continue
            model = analyse(path, data)
            samples = open_samples(
                model.graph, model.input_shapes, data, model.graph, provider=Provider.CPU, seed=0
            )
            taps = plan_taps(model.units)
            print(f"{Path(name).stem}: {costs(model, taps, samples)}", flush=True)
            for row in certainties(model, taps, samples, config):
                print(row, flush=True)


if __name__ == "__main__":
    main()
