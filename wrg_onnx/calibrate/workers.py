"""Processes that share the images out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from wrg_onnx.calibrate.statistics import Float64Array
from wrg_onnx.graph import MissingPackageError

if TYPE_CHECKING:
    from torch import Tensor

Summable = TypeVar("Summable", Float64Array, "Tensor")


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
    try:
        from wrg_onnx.calibrate.distributed import joined
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "torch":
            raise
        raise MissingPackageError(
            "torch", purpose="several processes", extra="torch", otherwise="start one"
        ) from error
    with joined(environment) as workers:
        yield workers


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
