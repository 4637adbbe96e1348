"""Train the small U-shaped net on generated images of tiny objects, and export it to ONNX.

    python tools/train_small_unet.py --steps 3000 --out models/tiny_unet.onnx

The images come from the generator that the package falls back on when it is given no data; nothing
is downloaded. The same seed, step count and thread count give the same weights. A run that was
stopped goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.small_unet import SmallUNet, small_unet  # noqa: E402 - needs the root on the path
from wrg_onnx.calibrate.preprocess import (  # noqa: E402
    Preprocessing,
    default_preprocessing,
    to_feed,
    to_mask,
)
from wrg_onnx.evaluate.saliency import score_saliency  # noqa: E402
from wrg_onnx.graph.model import Value  # noqa: E402
from wrg_onnx.tsod.scenes import generate  # noqa: E402
from wrg_onnx.twin.export import ExportOptions, export_module  # noqa: E402
from wrg_onnx.twin.losses import saliency_loss  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRAINING, HELD_OUT, ORDER = 0, 1, 2
"""Streams of random numbers under one seed; held-out images never share one with the training."""

PEAK_RATE = 2e-3
WEIGHT_DECAY = 1e-2
WARM_UP_SHARE = 0.05
CLIP_NORM = 5.0
LOG_STEPS = 50
CHECKPOINT_STEPS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Generated images, (K, H, W, 3) uint8, and their masks, (K, H, W) uint8."""

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]


def main() -> None:
    """Train, export, evaluate and print a summary."""
    options = parse()
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(mode=True)
    torch.manual_seed(options.seed)
    side = options.size
    image = Value("image", np.dtype(np.float32), (1, 3, side, side))
    preprocessing = default_preprocessing([image])
    assert preprocessing is not None  # a 3-channel float input is an image
    start = time.perf_counter()
    pool = make_pool(options.images, side, seed=options.seed, stream=TRAINING)
    print(f"{options.images} images of {side}x{side} in {time.perf_counter() - start:.0f} s")
    model = train(options, pool, preprocessing)
    shapes = ((1, 3, side, side),)
    result = export_module(model, options.out, ExportOptions(shapes), force=True)
    held_out = make_pool(options.held_out, side, seed=options.seed, stream=HELD_OUT)
    scores = score_saliency(predict(options.out, held_out, preprocessing))
    print(f"file        {result.path}  {options.out.stat().st_size} bytes")
    print(f"sha256      {hashlib.sha256(options.out.read_bytes()).hexdigest()}")
    print(f"parameters  {result.parameters}")
    print(
        f"opset       {result.opset}, largest error against torch {result.max_relative_error:.1e}"
    )
    print(f"held out    {scores.images} images: MAE {scores.mae:.4f}, max F {scores.max_f:.4f},")
    print(f"            mean F {scores.mean_f:.4f}, weighted F {scores.weighted_f:.4f},")
    print(f"            S-measure {scores.s_measure:.4f}, max E {scores.max_e:.4f}")
    print(f"wall time   {time.perf_counter() - start:.0f} s")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3000, help="optimiser steps (%(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="images a step (%(default)s)")
    parser.add_argument("--size", type=int, default=160, help="image side (%(default)s)")
    parser.add_argument("--images", type=int, default=3000, help="training images (%(default)s)")
    parser.add_argument("--held-out", type=int, default=500, help="test images (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides everything (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads (%(default)s)")
    parser.add_argument(
        "--checkpoint", type=Path, default=Path("build/small_unet.pt"),
        help="where to save now and then, and to go on from (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    return parser.parse_args()


def make_pool(count: int, side: int, *, seed: int, stream: int) -> Pool:
    """Generate images and masks."""
    rng = np.random.default_rng([seed, stream])
    pairs = [generate(rng, side, side) for _ in range(count)]
    return Pool(np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs]))


def draw_batch(
    pool: Pool, preprocessing: Preprocessing, rng: np.random.Generator, count: int
) -> tuple[Tensor, Tensor]:
    """Draw images with their masks, each flipped and turned at random.

    Returns:
        (N, 3, H, W) float32 as the net reads it, and (N, 1, H, W) float32 masks of 0 and 1.
    """
    feeds, masks = [], []
    for index in rng.integers(len(pool.images), size=count):
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        pair = [np.rot90(x[index], turns) for x in (pool.images, pool.masks)]
        image, mask = [np.ascontiguousarray(x[:, ::-1] if mirrored else x) for x in pair]
        feeds.append(to_feed(image, preprocessing))
        masks.append(to_mask(mask, preprocessing.height, preprocessing.width)[None, None])
    x = torch.from_numpy(np.concatenate(feeds)).contiguous(memory_format=torch.channels_last)
    return x, torch.from_numpy(np.concatenate(masks)).float()


def rate_at(step: int, steps: int) -> float:
    """Return the learning rate: a linear warm-up, then half a cosine down to zero."""
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    if step < warm_up:
        return PEAK_RATE * (step + 1) / warm_up
    return PEAK_RATE * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def train(options: argparse.Namespace, pool: Pool, preprocessing: Preprocessing) -> SmallUNet:
    """Train from the checkpoint, or from nothing."""
    # Channels last is how the CPU's convolutions run fastest.
    model = small_unet().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=WEIGHT_DECAY)
    run = {name: getattr(options, name) for name in ("steps", "batch", "size", "images", "seed")}
    first = resume(options.checkpoint, run, model, optimiser)
    model.train()
    clock, total = time.perf_counter(), 0.0
    for step in range(first, options.steps):
        # Drawn from the step's number, so that a resumed run sees the batches of an unbroken one.
        rng = np.random.default_rng([options.seed, ORDER, step])
        image, mask = draw_batch(pool, preprocessing, rng, options.batch)
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, options.steps)
        loss = saliency_loss(model(image), mask)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimiser.step()
        total += loss.item()
        done = step + 1
        if done % LOG_STEPS == 0:
            seconds = (time.perf_counter() - clock) / LOG_STEPS
            mean = total / LOG_STEPS
            print(f"step {done}/{options.steps}  loss {mean:.4f}  {seconds:.2f} s/step", flush=True)
            clock, total = time.perf_counter(), 0.0
        if done % CHECKPOINT_STEPS == 0 or done == options.steps:
            save_checkpoint(options.checkpoint, run, done, model, optimiser)
    return model.to(memory_format=torch.contiguous_format).eval()


def resume(
    path: Path, run: dict[str, int], model: SmallUNet, optimiser: torch.optim.Optimizer
) -> int:
    """Load a checkpoint of the same run; return the number of steps already done."""
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    if saved["run"] != run:
        sys.exit(f"{path}: is of another run, {saved['run']}; remove it or name another file")
    model.load_state_dict(saved["model"])
    optimiser.load_state_dict(saved["optimiser"])
    print(f"going on from step {saved['step']} of {path}")
    return int(saved["step"])


def save_checkpoint(
    path: Path, run: dict[str, int], step: int, model: SmallUNet, optimiser: torch.optim.Optimizer
) -> None:
    """Write a checkpoint, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
    torch.save({"run": run, "step": step, **state}, part)
    part.replace(path)


def predict(
    path: Path, pool: Pool, preprocessing: Preprocessing
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Run the ONNX file on each image; yield its map and the mask, both (H, W)."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for image, mask in zip(pool.images, pool.masks, strict=True):
        feed = {preprocessing.input: to_feed(image, preprocessing)}
        # ONNX Runtime's vectorised sigmoid may pass 1 by a rounding.
        saliency = np.clip(session.run(None, feed)[0][0, 0], 0, 1)
        yield saliency, to_mask(mask, preprocessing.height, preprocessing.width)


if __name__ == "__main__":
    main()
