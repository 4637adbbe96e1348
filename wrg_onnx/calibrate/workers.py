"""Processes that share the images out."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from wrg_onnx.calibrate.statistics import Float64Array
from wrg_onnx.graph import MissingPackageError


class Workers(Protocol):
    """The processes of a run, seen from one of them."""

    @property
    def index(self) -> int:
        """Which one this is, from 0."""

    @property
    def count(self) -> int:
        """How many there are."""

    def total(self, array: Float64Array) -> Float64Array:
        """Return the sum of an array over all processes, the same in each of them.

        Where each element is zero in all processes but one it is exact, whatever the order.

        Raises:
            WorkerError: If another process is gone.
        """


class Alone:
    """One process that does everything."""

    index, count = 0, 1

    def total(self, array: Float64Array) -> Float64Array:
        """Return the array itself."""
        return np.asarray(array)


@contextmanager
def join_workers(environment: MutableMapping[str, str] = os.environ) -> Iterator[Workers]:
    """Join the processes that ``torchrun`` started; without it this one is alone.

    Raises:
        MissingPackageError: If there are others and torch is not installed.
    """
    if int(environment.get("WORLD_SIZE", "1")) == 1:
        yield Alone()
        return
    take_own_gpu(environment)
    try:
        from wrg_onnx.calibrate.distributed import joined
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "torch":
            raise
        raise MissingPackageError(
            "torch", purpose="several processes", extra="torch", otherwise="start one"
        ) from error
    with joined() as workers:
        yield workers


def take_own_gpu(environment: MutableMapping[str, str]) -> None:
    """Show a process of several on one machine its own GPU, before anything looks for one."""
    place = int(environment.get("LOCAL_RANK", "0"))
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    devices = None if visible is None else [d for d in visible.split(",") if d]
    if devices is None:
        environment["CUDA_VISIBLE_DEVICES"] = str(place)
    elif devices:
        environment["CUDA_VISIBLE_DEVICES"] = devices[place % len(devices)]
