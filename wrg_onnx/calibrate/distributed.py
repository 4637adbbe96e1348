"""Processes that ``torchrun`` started; imported only in one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import torch
from torch import Tensor, distributed

from wrg_onnx.calibrate.workers import Summable, backend_for, take_own_gpu
from wrg_onnx.graph import WorkerError

PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others."""


class TorchWorkers:
    """The processes of one ``torchrun``, as ``workers.Workers`` wants them."""

    @property
    def index(self) -> int:
        """Which process this is."""
        return distributed.get_rank()

    @property
    def count(self) -> int:
        """How many there are."""
        return distributed.get_world_size()

    def total(self, array: Summable) -> Summable:
        """Sum an array, or a tensor where it is, over all processes.

        Raises:
            WorkerError: If another process is gone.
        """
        if isinstance(array, Tensor):
            shared = array.clone()
        else:
            shared = torch.from_numpy(np.ascontiguousarray(array).copy())
        try:
            distributed.all_reduce(shared)
        except RuntimeError as error:
            raise WorkerError(
                "another process of this run is gone; nothing was written. Its own message says "
                "why; the same command goes on with what was measured"
            ) from error
        return shared if isinstance(array, Tensor) else np.asarray(shared.numpy())


@contextmanager
def joined(environment: MutableMapping[str, str]) -> Iterator[TorchWorkers]:
    """Join the other processes of this ``torchrun``, and leave them in the end.

    Arrays are summed over gloo, tensors on GPUs over NCCL where each process has one of its own.
    ``torchrun`` gives each process one
    thread; here each has as many as it would have alone, since that changes the last bits of a
    gradient, and the selection must be that of one process.

    Raises:
        WorkerError: If the others cannot be reached.
    """
    gpus = torch.cuda.device_count()
    backend = backend_for(environment, gpus, has_nccl=distributed.is_nccl_available())
    take_own_gpu(environment, gpus)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        distributed.init_process_group(backend, timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise WorkerError(
            "WORLD_SIZE says that there are other processes, but they cannot be reached "
            f"({error}): start them by torchrun, or unset it"
        ) from error
    try:
        yield TorchWorkers()
    finally:
        distributed.destroy_process_group()
