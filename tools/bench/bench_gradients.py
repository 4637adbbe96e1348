"""What the gradients of calibration cost, and what bfloat16 does to the choice by them.

    python tools/bench/bench_gradients.py [MODEL.onnx ...] [--images 8] [--ratio 0.5]

Without models: VGG16 with random weights, the committed net, and those of ../shared/data that are
there. The passes over an image take turns, so what counts are their ratios:

- channels first: weights as they lie in the file;
- float32: as calibration does it, channels last;
- parts: with a quarter of what the feature maps take, so that they are computed twice;
- bfloat16: as with ``--amp``.

The overlap is the Jaccard index of the units that the criterion ``g`` removes by bfloat16 and by
float32.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from bench_prune import build_vgg16
from wrg_onnx.calibrate import Measurements, plan_taps
from wrg_onnx.calibrate.gradient.probe import GradientProbe
from wrg_onnx.calibrate.measurements import Row
from wrg_onnx.errors import WrgError
from wrg_onnx.factors import GRADIENT, BoolArray, Statistics
from wrg_onnx.graph import open_session
from wrg_onnx.pipeline.analyse import Model, analyse
from wrg_onnx.pipeline.config import BudgetKind, DataOptions
from wrg_onnx.pipeline.samples import find_saliency, gather_samples
from wrg_onnx.select import Candidates, Criterion, Scope, jaccard, score, select

ROOT = Path(__file__).parents[2]
MODELS = ROOT.parent / "shared" / "data" / "models"
NAMES = ("csnet_L_x2_224", "yolox_nano", "PP_OCR_v2_det", "agllnet_256x256", "rdian_256")
FLOOR = 0.1


def removed_by(model: Model, found: Measurements, ratio: float) -> BoolArray:
    """Return which units the gradients remove."""
    statistics = Statistics({GRADIENT: found.layers(GRADIENT)}, found.images)
    scores = score(Criterion.G, statistics, model.units.count, np.random.default_rng(0))
    candidates = Candidates(model.units.removable, model.units.group, FLOOR)
    budget = model.budget(BudgetKind.PARAMS)
    return ~select(candidates, scores.values, budget, ratio, Scope.GLOBAL).alive


def compare(path: Path, images: int, ratio: float) -> str:
    """Return a row of the table."""
    data = DataOptions(samples=images)
    model = analyse(path, data)
    samples = gather_samples(model.graph, model.input_shapes, data, seed=0)
    session = open_session(model.graph)
    saliency = find_saliency(session, samples.calibration, samples.preprocessing)
    taps = plan_taps(model.units)
    feeds = {k: torch.from_numpy(np.array(v)) for k, v in samples.calibration[0].feeds.items()}
    plain = GradientProbe(model.graph, taps, saliency, bound_bytes=sys.maxsize)
    made = sum(plain._twin.bytes_made(feeds))  # noqa: SLF001 - what the parts are measured by
    first = GradientProbe(model.graph, taps, saliency, bound_bytes=sys.maxsize)
    first._twin.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload] # noqa: SLF001
    probes = {
        "channels first": first,
        "float32": plain,
        "parts": GradientProbe(model.graph, taps, saliency, bound_bytes=made // 4),
        "bfloat16": GradientProbe(model.graph, taps, saliency, mixed=True, bound_bytes=sys.maxsize),
    }
    seconds: dict[str, list[float]] = {name: [] for name in probes}
    rows: dict[str, list[Row]] = {name: [] for name in probes}
    for number, sample in enumerate([samples.calibration[0], *samples.calibration]):
        for name, probe in probes.items():
            start = time.perf_counter()
            found = probe.measure([sample])
            if number:  # the first image warms up
                seconds[name].append(time.perf_counter() - start)
                rows[name] += found
    took = {name: float(np.median(values)) for name, values in seconds.items()}
    removed = {}
    for name in ("float32", "bfloat16"):
        table = {GRADIENT: np.stack([row[GRADIENT] for row in rows[name]])}
        removed[name] = removed_by(model, Measurements(taps, table, len(rows[name])), ratio)
    times = " | ".join(
        f"{took[name] / took['float32']:.2f}" for name in ("channels first", "parts", "bfloat16")
    )
    overlap = jaccard(removed["float32"], removed["bfloat16"])
    measured = f"{made / 2**20:.0f} | {1000 * took['float32']:.0f} | {times} | {overlap:.3f}"
    return f"| {path.stem} | {measured} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--ratio", type=float, default=0.5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = options.models
        if not models:
            vgg16 = Path(folder) / "vgg16.onnx"
            build_vgg16(vgg16)
            there = [MODELS / f"{name}.onnx" for name in NAMES]
            models = [vgg16, ROOT / "models" / "tiny_unet.onnx", *(p for p in there if p.exists())]
        print("| model | maps, MiB | ms | channels first | parts | bfloat16 | overlap |")
        print("|---|---|---|---|---|---|---|")
        for path in models:
            try:
                print(compare(path, options.images, options.ratio), flush=True)
            except WrgError as error:
                sys.exit(f"{path}: {error}")


if __name__ == "__main__":
    main()
