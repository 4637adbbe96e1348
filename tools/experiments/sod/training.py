"""The training loop: BCE + IoU + SSIM, AdamW, mixed precision, a checkpoint to go on from."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import nn

from sod.checkpoint import Run, read_checkpoint, save_checkpoint
from sod.nets import BACKBONE
from sod.pool import ORDER, Pool, draw_batch
from wrg_onnx.errors import DataError, StatisticsError, UsageError
from wrg_onnx.finetune.numerics import repeatable
from wrg_onnx.twin.losses import saliency_loss

DeviceName: TypeAlias = Literal["auto", "cpu", "cuda"]
Log: TypeAlias = Callable[[int, float], object]
"""Told the steps done, and the mean loss since it was last told."""

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


def pick_device(name: DeviceName) -> torch.device:
    """Return where to train; ``auto`` is CUDA where torch has it.

    Raises:
        UsageError: If CUDA is asked for and torch does not have it.
    """
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise UsageError("device 'cuda': this torch finds no NVIDIA GPU; use --device cpu")
    return torch.device("cuda" if has_cuda and name != "cpu" else "cpu")


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
    net.to(device, memory_format=torch.channels_last).train()
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
                save_checkpoint(checkpoints.path, run, done, course.state())
    return net.to("cpu", memory_format=torch.contiguous_format).eval()


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
            saliency = self.net(image)
        # In float32: half precision has too few digits for the logarithms near 0 and 1.
        loss = saliency_loss(saliency.float(), mask)
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_(self.net.parameters(), recipe.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return loss.detach()

    def state(self) -> dict[str, Any]:
        """Return all that a run needs to go on."""
        parts = {"net": self.net, "optimiser": self.optimiser, "scaler": self.scaler}
        return {name: part.state_dict() for name, part in parts.items()}

    def resume(self, path: Path, run: Run) -> int:
        """Go to where a checkpoint was written, if there is one; return the steps done."""
        if not path.exists():
            return 0
        step, state = read_checkpoint(path, run)
        try:
            self.net.load_state_dict(state["net"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.scaler.load_state_dict(state["scaler"])
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"'{path}': its state does not fit the net; remove it, or name another file"
            ) from error
        return step


def rate_at(step: int, recipe: Recipe) -> float:
    """Return the learning rate: a linear warm-up, then half a cosine down to zero."""
    warm_up = max(1, round(recipe.warm_up * recipe.steps))
    if step < warm_up:
        return recipe.rate * (step + 1) / warm_up
    share = (step - warm_up) / max(1, recipe.steps - warm_up)
    return recipe.rate * 0.5 * (1 + math.cos(math.pi * share))


def _identity(net: nn.Module, pool: Pool, recipe: Recipe, device: torch.device) -> Run:
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
