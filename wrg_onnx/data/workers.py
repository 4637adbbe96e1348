"""Processes that share the images out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.errors import WorkerError, needs_torch

if TYPE_CHECKING:
    from torch import Tensor

Summable = TypeVar("Summable", NDArray[np.float64], "Tensor")

PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others."""


class Workers(Protocol):
    """The processes of a run, seen from one of them."""

    @property
    def index(self) -> int:
        """Which one this is, from 0."""

    @property
    def count(self) -> int:
        """How many there are."""

    def total(self, array: Summable) -> Summable:
        """Return the sum of an array or a tensor over all processes, the same in each of them.

        Where each element is zero in all processes but one it is exact, whatever the order.

        Raises:
            WorkerError: If another process is gone.
        """


class Alone:
    """One process that does everything."""

    index, count = 0, 1

    def total(self, array: Summable) -> Summable:
        """Return the array itself."""
        return array


@contextmanager
def join_workers(environment: MutableMapping[str, str] = os.environ) -> Iterator[Workers]:
    """Join the processes that ``torchrun`` started; without it this one is alone.

    Raises:
        MissingPackageError: If there are others and torch is not installed.
        WorkerError: If they cannot be reached.
    """
    if int(environment.get("WORLD_SIZE", "1")) == 1:
        yield Alone()
        return
    with needs_torch("several processes", otherwise="start one"):
        import torch  # noqa: F401 - asked for before it is used, to say what is missing
    with _joined(environment) as workers:
        yield workers


class _TorchWorkers:
    """The processes of one ``torchrun``."""

    @property
    def index(self) -> int:
        """Which process this is."""
        from torch import distributed

        return distributed.get_rank()

    @property
    def count(self) -> int:
        """How many there are."""
        from torch import distributed

        return distributed.get_world_size()

    def total(self, array: Summable) -> Summable:
        """Sum an array, or a tensor where it is, over all processes.

        Raises:
            WorkerError: If another process is gone.
        """
        import torch
        from torch import distributed

        if isinstance(array, torch.Tensor):
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
        return shared if isinstance(array, torch.Tensor) else np.asarray(shared.numpy())


@contextmanager
def _joined(environment: MutableMapping[str, str]) -> Iterator[_TorchWorkers]:
    """Join the other processes of this ``torchrun``, and leave them in the end.

    Arrays are summed over gloo, tensors on GPUs over NCCL where each process has one of its own.
    ``torchrun`` gives each process one thread; here each has as many as it would have alone.

    Raises:
        WorkerError: If the others cannot be reached.
    """
    import torch
    from torch import distributed

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
        yield _TorchWorkers()
    finally:
        distributed.destroy_process_group()


def take_own_gpu(environment: MutableMapping[str, str], count: int) -> None:
    """Show a process of several on one machine its own GPU, before anything computes on one.

    Args:
        environment: Of the process.
        count: How many GPUs it sees; without one nothing is changed.
    """
    if not count:
        return
    place = int(environment.get("LOCAL_RANK", "0")) % count
    visible = environment.get("CUDA_VISIBLE_DEVICES", "")
    devices = [device for device in visible.split(",") if device] or [str(n) for n in range(count)]
    environment["CUDA_VISIBLE_DEVICES"] = devices[place]


def backend_for(environment: Mapping[str, str], gpus: int, *, has_nccl: bool) -> str:
    """Return what processes talk over, as torch.distributed names it.

    Args:
        environment: Of a process that ``torchrun`` started.
        gpus: How many GPUs this machine has.
        has_nccl: Whether torch was built with NCCL, which refuses two processes on one GPU.
    """
    here = int(environment.get("LOCAL_WORLD_SIZE", "1"))
    return "cpu:gloo,cuda:nccl" if has_nccl and gpus >= here else "gloo"


def of_first(value: float, workers: Workers) -> float:
    """Return what the first process says.

    Raises:
        WorkerError: If another process is gone.
    """
    return float(workers.total(np.array([0.0 if workers.index else value]))[0])
