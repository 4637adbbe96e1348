"""Train a net for salient object detection, and export it to ONNX.

    python tools/experiments/train_sod.py --net small_unet --out models/tiny_unet.onnx
    python tools/experiments/train_sod.py --data DUTS-TR --weights vgg16.pth --amp --out sod.onnx

Without --data the images come from the generator that the package falls back on when it is given
none; nothing is downloaded. On the CPU the same seed and thread count give the same weights. A run
that was stopped goes on from its checkpoint when the same command is given again.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import get_args

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.vgg16_sod import VGG16SOD  # noqa: E402 - needs the root on the path
from sod.folders import check_folders, read_pools  # noqa: E402
from sod.judging import saliency_maps  # noqa: E402
from sod.nets import LOADED, NetName, NetOptions, build, load_backbone  # noqa: E402
from sod.pool import HELD_OUT, TRAINING, Pool, make_pool  # noqa: E402
from sod.training import Checkpoints, Recipe, train  # noqa: E402
from wrg_onnx.data.preprocess import SMALLEST_SIDE  # noqa: E402
from wrg_onnx.errors import UsageError, WrgError  # noqa: E402
from wrg_onnx.evaluate.saliency import score_saliency  # noqa: E402
from wrg_onnx.export.options import ExportOptions  # noqa: E402
from wrg_onnx.export.write import export_module  # noqa: E402
from wrg_onnx.files import check_output  # noqa: E402
from wrg_onnx.finetune import Device  # noqa: E402
from wrg_onnx.finetune.prepare import resolve_device  # noqa: E402
from wrg_onnx.graph import load  # noqa: E402

NORMALISED, PLAIN = 2e-3, 1e-4
"""The learning rate unless another is asked for, with and without batch normalisation.

VGG16 without it, from random weights, forgets all objects at 0.0004 already.
"""

HELD_OUT_SHARE = 0.1


def main() -> None:
    """Train, export, judge and print a summary."""
    options = parse()
    try:
        run(options)
    except WrgError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the checkpoint", file=sys.stderr)
        sys.exit(130)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--net", choices=get_args(NetName), default="vgg16_sod", help="which net (%(default)s)")
    add("--width", type=float, default=1.0, help="multiplies all channels (%(default)s)")
    add("--batch-norm", action="store_true", help="batch normalisation in VGG16")
    add("--weights", type=Path, help="a state dict of torchvision's vgg16 or vgg16_bn")
    add(
        "--data", type=Path, action="append", default=[],
        help="a folder with images/ and masks/; may be given several times",
    )  # fmt: skip
    add(
        "--judge", type=Path, action="append", default=[],
        help="a folder to judge the net on; by default a tenth of the training pairs is held out",
    )  # fmt: skip
    add("--images", type=int, default=3000, help="generated images (%(default)s)")
    add("--held-out", type=int, default=500, help="generated images to judge on (%(default)s)")
    add("--size", type=int, default=160, help="side of the images in pixels (%(default)s)")
    add("--export-size", type=int, help="side of the file's input, and of held-out images [--size]")
    add("--steps", type=int, default=3000, help="optimiser steps (%(default)s)")
    add("--batch", type=int, default=8, help="images a step (%(default)s)")
    add(
        "--rate",
        type=float,
        help="the largest learning rate (2e-3, without batch normalisation 1e-4)",
    )
    add("--seed", type=int, default=0, help="decides everything (%(default)s)")
    add("--amp", action="store_true", help="mixed precision: float16 on CUDA, bfloat16 on the CPU")
    devices = [device.value for device in Device]
    add("--device", choices=devices, default="auto", help="where (%(default)s)")
    add("--threads", type=int, default=1, help="torch threads on the CPU (%(default)s)")
    add("--checkpoint", type=Path, help="the state of the run (build/NET.safetensors)")
    add("--checkpoint-steps", type=int, default=200, help="how often (every %(default)s steps)")
    add("--out", type=Path, required=True, help="the ONNX file to write")
    return parser.parse_args()


def run(options: argparse.Namespace) -> None:
    """Do what the command line says.

    Raises:
        WrgError: One of its kinds; then no ONNX file was written.
    """
    check(options)
    torch.set_num_threads(options.threads)
    start = time.perf_counter()
    net = build(NetOptions(options.net, options.width, options.batch_norm), options.seed)
    if options.weights is not None:
        assert isinstance(net, VGG16SOD)
        load_backbone(net, options.weights)
    recipe, device = recipe_for(options), resolve_device(Device(options.device))
    training, held_out = pools(options)
    print(f"{training.content} to train on, {held_out.content} to judge on, "
          f"{time.perf_counter() - start:.0f} s")  # fmt: skip
    for remark in dict.fromkeys((*training.remarks, *held_out.remarks)):
        print(remark, file=sys.stderr)
    path = checkpoint_of(options)
    if path.exists():
        print(f"going on from {path}")
    clock = Log(options.steps)
    kept = Checkpoints(path, options.checkpoint_steps)
    train(net, training, recipe, device=device, checkpoints=kept, log=clock)
    side = side_of(options)
    result = export_module(net, options.out, ExportOptions(((1, 3, side, side),)), force=True)
    print(f"file        {result.path}  {options.out.stat().st_size} bytes")
    print(f"sha256      {hashlib.sha256(options.out.read_bytes()).hexdigest()}")
    print(f"parameters  {result.parameters}")
    error = f"largest error against torch {result.max_relative_error:.1e}"
    print(f"opset       {result.opset}, {error}")
    scores = score_saliency(saliency_maps(load(options.out), held_out))
    print(f"held out    {held_out.content}, seen at {side}x{side}")
    for field in fields(scores):
        if field.name != "images":
            print(f"  {field.name:24} {getattr(scores, field.name):.4f}")
    print(f"wall time   {time.perf_counter() - start:.0f} s")


def check(options: argparse.Namespace) -> None:
    """Refuse what would stop the run late, before anything is read.

    Raises:
        UsageError: If an option is out of its range, or contradicts another.
        OutputError: If the ONNX file, or a checkpoint, cannot be written.
    """
    recipe_for(options)
    least = {"size": SMALLEST_SIDE, "images": 1, "held_out": 1, "threads": 1, "checkpoint_steps": 1}
    if options.export_size is not None:
        least["export_size"] = SMALLEST_SIDE
        if options.data:
            raise UsageError("--export-size is for made images: those of --data are read once")
    for name, smallest in least.items():
        if getattr(options, name) < smallest:
            shown = name.replace("_", "-")
            raise UsageError(f"--{shown} must be at least {smallest}, got {getattr(options, name)}")
    check_folders(options.data, options.judge)
    if options.weights is not None and options.net != "vgg16_sod":
        raise UsageError(f"--weights are VGG16's: they do not fit --net {options.net}")
    kept = checkpoint_of(options)
    if kept.resolve() == options.out.resolve():
        raise UsageError(f"--checkpoint and --out are one file, '{kept}': name two")
    for path in (options.out, kept):
        check_output(path, force=True)


def checkpoint_of(options: argparse.Namespace) -> Path:
    """Return where the state of the run is kept."""
    return options.checkpoint or Path("build", f"{options.net}.safetensors")


def side_of(options: argparse.Namespace) -> int:
    """Return the side of the images that the file takes."""
    side: int = options.size if options.export_size is None else options.export_size
    return side


def recipe_for(options: argparse.Namespace) -> Recipe:
    """Return how to train.

    Raises:
        UsageError: If an option is out of its range.
    """
    rate = NORMALISED if options.batch_norm or options.net != "vgg16_sod" else PLAIN
    return Recipe(
        steps=options.steps,
        batch=options.batch,
        seed=options.seed,
        rate=rate if options.rate is None else options.rate,
        backbone=1.0 if options.weights is None else LOADED,
        amp=options.amp,
    )


def pools(options: argparse.Namespace) -> tuple[Pool, Pool]:
    """Return what is trained on, and what judges."""
    if not options.data:
        counts = (
            (TRAINING, options.images, options.size),
            (HELD_OUT, options.held_out, side_of(options)),
        )
        first, second = (
            make_pool(count, side, seed=options.seed, stream=stream)
            for stream, count, side in counts
        )
        return first, second
    return read_pools(
        options.data, options.judge, options.size, share=HELD_OUT_SHARE, seed=options.seed
    )


class Log:
    """Prints the loss, and the time a step takes."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done, self.at = steps, 0, time.perf_counter()

    def __call__(self, done: int, loss: float) -> None:
        """Print a line."""
        now = time.perf_counter()
        # The first line of a resumed run does not know where it started.
        rate = f"  {(now - self.at) / (done - self.done):.3f} s/step" if self.done else ""
        print(f"step {done}/{self.steps}  loss {loss:.4f}{rate}", flush=True)
        self.done, self.at = done, now


if __name__ == "__main__":
    main()
