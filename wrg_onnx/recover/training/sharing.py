"""What the processes of one training do of each step, and how they agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from wrg_onnx.calibrate.batches import Batch
from wrg_onnx.calibrate.workers import Workers
from wrg_onnx.graph import UsageError
from wrg_onnx.twin import Twin


def shares(batches: Sequence[Batch], workers: Workers) -> Iterator[Batch]:
    """Yield what this process has to do of a step, which may be nothing."""
    if len(batches) > 1:  # single samples, which do not join
        yield from batches[workers.index :: workers.count]
        return
    for batch in batches:
        part = batch.share(workers.index, workers.count)
        if part is not None:
            yield part


def add_up(twin: Twin, loss: float, workers: Workers) -> float:
    """Give every process the sum of all gradients; return the sum of the losses.

    Raises:
        WorkerError: If another process is gone.
    """
    if workers.count == 1:
        return loss
    parameters = list(twin.parameters_by_name().values())
    parts = []
    for one in parameters:
        # Whether any process has a gradient counts, too: AdamW passes over weights without one.
        has = one.grad is not None
        gradient = one.grad if one.grad is not None else torch.zeros_like(one)
        parts += [gradient.detach().double().cpu().numpy().ravel(), np.array([float(has)])]
    total = workers.total(np.concatenate([*parts, np.array([loss])]))
    bounds = np.cumsum([one.numel() + 1 for one in parameters])
    for one, part in zip(parameters, np.split(total[:-1], bounds[:-1]), strict=True):
        if part[-1]:
            summed = torch.from_numpy(part[:-1]).view(one.shape)
            one.grad = summed.to(one.device, one.dtype)
    return float(total[-1])


def check_alike(device: torch.device, workers: Workers, *, half: bool) -> None:
    """Refuse processes that would scale their gradients differently.

    Raises:
        UsageError: If some train on a GPU or in float16, and others do not.
        WorkerError: If another process is gone.
    """
    kinds = workers.total(np.array([float(device.type == "cuda"), float(half)]))
    if any(0 < kind < workers.count for kind in kinds):
        raise UsageError(
            "some processes would train on a GPU, or in float16, and others not: start as many as "
            "there are GPUs, or use --device cpu"
        )
