"""Training a net from scratch: BCE + IoU + SSIM, AdamW, mixed precision, a checkpoint.

Fine-tuning (`wrg_onnx.finetune`) has a loop of its own, and the two share what is the same: the
loss, repeatable algorithms, the choice of the device, augmentation and the checkpoint's file. The
rest differs in what it is for. Here a torch module learns for a number of steps on batches that
are drawn with repetition, each from its step's number, at one learning rate for all weights, and
the last weights count. There the twin of an ONNX file, already trained, goes through its samples
epoch by epoch, at rates in proportion to each weight's size; averaged weights are judged on
samples held out, the best epoch wins, and a teacher may take part.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from sod.nets import BACKBONE
from sod.pool import ORDER, Pool, draw_batch
from wrg_onnx.errors import DataError, StatisticsError, UsageError
from wrg_onnx.finetune.checkpoint import (
    Checkpoint,
    load_moments,
    moments_of,
    of_part,
    read_checkpoint,
    with_part_names,
    write_checkpoint,
)
from wrg_onnx.finetune.numerics import repeatable
from wrg_onnx.twin.losses import saliency_loss

Log: TypeAlias = Callable[[int, float], object]
"""Told the steps done, and the mean loss since it was last told."""

_ANEW = "remove it"
"""How a run starts anew whose checkpoint does not fit."""

HALF = {"cpu": torch.bfloat16, "cuda": torch.float16}
"""What mixed precision computes in; bfloat16 has float32's range and needs no scaling."""

MOST_SEED = 2**63 - 1
"""Torch takes no larger one."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    Attributes:
        steps: Optimiser steps.
        batch: Images a step.
        seed: Decides the batches.
        rate: The largest learning rate, after the warm-up.
        backbone: Multiplies the rate for weights whose name starts with ``features.``.
        weight_decay: Of AdamW, on all weights.
        warm_up: Share of the steps in which the rate rises from 0, in [0, 1).
        clip: The largest norm of a step's gradient.
        amp: Whether the forward pass is in half precision where torch thinks it safe: float16
            with scaled gradients on CUDA, bfloat16 on the CPU.
    """

    steps: int
    batch: int = 8
    seed: int = 0
    rate: float = 2e-3
    backbone: float = 1.0
    weight_decay: float = 1e-2
    warm_up: float = 0.05
    clip: float = 5.0
    amp: bool = False

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.seed > MOST_SEED:
            raise UsageError(f"seed must be at most {MOST_SEED}, got {self.seed}")
        for name in ("rate", "clip"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} must be a positive number, got {value:g}")
        for name in ("backbone", "weight_decay"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} must be at least 0, got {value:g}")
        if not 0 <= self.warm_up < 1:
            raise UsageError(f"warm-up must be in [0, 1), got {self.warm_up:g}")


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Where the state is kept, and how often.

    Attributes:
        path: The file. A run whose file is there goes on from it.
        every: Steps from one writing to the next.
    """

    path: Path
    every: int = 200


def train(  # noqa: PLR0913 - where, how often and to whom it is told are apart from the recipe
    net: nn.Module,
    pool: Pool,
    recipe: Recipe,
    *,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - it is immutable
    checkpoints: Checkpoints | None = None,
    log: Log | None = None,
    log_steps: int = 50,
) -> nn.Module:
    """Train a net that turns (N, 3, H, W) images into (N, 1, H, W) saliency in [0, 1].

    A net may give several such maps: the loss is the sum of what each of them would give.

    On the CPU the same net, pool, recipe and number of threads give the same weights, also if the
    run was stopped and went on from its checkpoint. On CUDA some kernels have no deterministic
    form, and the last digits may differ.

    Args:
        net: The net; its weights change.
        pool: What it is trained on.
        recipe: How.
        device: Where.
        checkpoints: Where the state is kept; None to keep none.
        log: Told the loss now and then.
        log_steps: How often.

    Returns:
        The net, in inference mode, on the CPU.

    Raises:
        StatisticsError: If the loss is not finite.
        UsageError: If the checkpoint is of another run.
        DataError: If it cannot be read.
    """
    run = {} if checkpoints is None else _identity(net, pool, recipe, device)
    # The stubs of torch do not know this form of `to`.
    net.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    course = _Course(net, recipe, device)
    first = 0 if checkpoints is None else course.resume(checkpoints.path, run)
    total, since = torch.zeros((), device=device), first
    with _deterministic(recipe.seed, device):
        for step in range(first, recipe.steps):
            total += course.step(pool, step)
            done = step + 1
            is_last = done == recipe.steps
            if done % log_steps == 0 or is_last:
                loss = float(total) / (done - since)
                if not math.isfinite(loss):
                    raise StatisticsError(
                        f"the loss is {loss} between steps {since + 1} and {done}: train with a "
                        "lower rate"
                    )
                if log is not None:
                    log(done, loss)
                total, since = torch.zeros_like(total), done
            if checkpoints is not None and (done % checkpoints.every == 0 or is_last):
                write_checkpoint(checkpoints.path, course.checkpoint(run, done))
    net.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return net.eval()


class _Course:
    """What changes while a net is trained."""

    def __init__(self, net: nn.Module, recipe: Recipe, device: torch.device) -> None:
        self.net, self.recipe, self.device = net, recipe, device
        named = [(name.startswith(BACKBONE), p) for name, p in net.named_parameters()]
        groups = [
            {"params": [p for is_backbone, p in named if is_backbone is wanted], "factor": factor}
            for wanted, factor in ((True, recipe.backbone), (False, 1.0))
        ]
        self.optimiser = torch.optim.AdamW(
            [group for group in groups if group["params"]], weight_decay=recipe.weight_decay
        )
        scales = recipe.amp and device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=scales)

    def step(self, pool: Pool, step: int) -> torch.Tensor:
        """Move the weights once; return the loss."""
        recipe, device = self.recipe, self.device
        # Drawn from the step's number, so that a resumed run sees the batches of an unbroken one.
        rng = np.random.default_rng([recipe.seed, ORDER, step])
        image, mask = (x.to(device) for x in draw_batch(pool, rng, recipe.batch))
        image = image.contiguous(memory_format=torch.channels_last)
        for group in self.optimiser.param_groups:
            group["lr"] = group["factor"] * rate_at(step, recipe)
        with torch.autocast(device.type, HALF[device.type], enabled=recipe.amp):
            answer = self.net(image)
        maps = answer if isinstance(answer, tuple) else (answer,)
        # In float32: half precision has too few digits for the logarithms near 0 and 1.
        loss = torch.stack([saliency_loss(found.float(), mask) for found in maps]).sum()
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_(self.net.parameters(), recipe.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return loss.detach()

    def checkpoint(self, run: Mapping[str, Any], step: int) -> Checkpoint:
        """Return all that a run needs to go on after so many steps."""
        parts = {"net": self.net.state_dict(), "adamw": moments_of(self.optimiser)}
        state = {"step": step, "scaler": self.scaler.state_dict()}
        return Checkpoint(run, state, with_part_names(parts))

    def resume(self, path: Path, run: Mapping[str, Any]) -> int:
        """Go to where a checkpoint was written, if there is one; return the steps done."""
        if not path.exists():
            return 0
        found = read_checkpoint(path, run, anew=_ANEW)
        try:
            self.net.load_state_dict(of_part(found.tensors, "net"))
            load_moments(self.optimiser, of_part(found.tensors, "adamw"))
            self.scaler.load_state_dict(found.state["scaler"])
            return int(found.state["step"])
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"'{path}': its state does not fit the net; {_ANEW}, or name another file"
            ) from error


def rate_at(step: int, recipe: Recipe) -> float:
    """Return the learning rate: a linear warm-up, then half a cosine down to zero."""
    warm_up = max(1, round(recipe.warm_up * recipe.steps))
    if step < warm_up:
        return recipe.rate * (step + 1) / warm_up
    share = (step - warm_up) / max(1, recipe.steps - warm_up)
    return recipe.rate * 0.5 * (1 + math.cos(math.pi * share))


def _identity(net: nn.Module, pool: Pool, recipe: Recipe, device: torch.device) -> dict[str, Any]:
    start = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        start.update(f"{name} {tuple(tensor.shape)}".encode())
        start.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return {
        **asdict(recipe),
        "device": device.type,
        "first weights": start.hexdigest(),
        "images": pool.fingerprint,
    }


@contextmanager
def _deterministic(seed: int, device: torch.device) -> Iterator[None]:
    """Ask torch for what it has of deterministic algorithms, on the CPU strictly."""
    with repeatable(seed), warnings.catch_warnings():
        # That some of CUDA's kernels cannot be repeated is what `train` tells its caller.
        warnings.filterwarnings("ignore", ".*deterministic", UserWarning)
        torch.use_deterministic_algorithms(mode=True, warn_only=device.type == "cuda")
        yield
