"""Hold ridge reconstruction of VGG16 against the forward passes that it needs at least.

    python tools/bench/bench_recover.py [--samples 128] [--ratio 0.5]

Both run in this process, one after the other: ONNX Runtime over the samples, then the ridge over
the same. The ratio of the two is what counts; 15 is the most that we allow ourselves.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from bench_prune import build_vgg16
from wrg_onnx.graph import open_session
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.choose import choose_units
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery
from wrg_onnx.pipeline.cut import cut_model
from wrg_onnx.pipeline.recovery import recover
from wrg_onnx.pipeline.samples import gather_samples
from wrg_onnx.select import Criterion


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--ratio", type=float, default=0.5)
    options = parser.parse_args()
    config = PruneConfig(
        options.ratio,
        criterion=Criterion.L1,
        data=DataOptions(samples=options.samples),
        recover=Recovery.RIDGE,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vgg16.onnx"
        build_vgg16(path)
        model = analyse(path, config.data)
    samples = gather_samples(model.graph, model.input_shapes, config.data, seed=0)
    step, clock = (config.ratio, config.floor), Clock(lambda *_: None)
    chosen = choose_units(model, samples, step, config, clock)
    cut = cut_model(model, chosen, config, clock)
    session = open_session(model.graph)
    forward = 0.0
    for sample in samples.calibration:
        start = time.perf_counter()
        session.run(sample.feeds)
        forward += time.perf_counter() - start
    del session
    start = time.perf_counter()
    found = recover(model.graph, cut, cut.kept, samples, config, lambda *_: None)
    ridge = time.perf_counter() - start
    assert found is not None
    before, after = (
        float(np.median([getattr(fit, when) for fit in found.solved.fits]))
        for when in ("before", "after")
    )
    print(f"VGG16 at 224 x 224, ratio {options.ratio}, {options.samples} images")
    print(f"forward passes in ONNX Runtime    {forward:8.1f} s")
    print(f"ridge, images and all             {ridge:8.1f} s   {ridge / forward:.1f}x")
    print(f"error of a layer's output (median)  {before:.1%} -> {after:.1%} of its variance")


if __name__ == "__main__":
    main()
