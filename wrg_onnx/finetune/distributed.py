"""What the processes of one training do of each step, and how they agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from wrg_onnx.data.workers import Workers
from wrg_onnx.errors import UsageError
from wrg_onnx.twin import Twin
from wrg_onnx.twin.batches import Batch


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
    # One flat vector goes round: of each weight its gradient and whether there is one, then the
    # loss. The sum is taken in float64, and rounded once.
    parameters = list(twin.parameters_by_name().values())
    parts = []
    for one in parameters:
        # Whether any process has a gradient counts, too: AdamW passes over weights without one.
        has = one.grad is not None
        gradient = one.grad if one.grad is not None else torch.zeros_like(one)
        parts += [gradient.detach().double().flatten(), gradient.new_tensor([float(has)]).double()]
    whole = workers.total(torch.cat([*parts, parts[0].new_tensor([loss])]))
    sizes = [one.numel() + 1 for one in parameters]
    for one, part in zip(parameters, torch.split(whole[:-1], sizes), strict=True):
        if part[-1]:
            one.grad = part[:-1].view(one.shape).to(one.dtype)
    return float(whole[-1])


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
