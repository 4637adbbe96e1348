"""How many threads there are, and how many BLAS takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


def usable_cores() -> int:
    """Return on how many cores this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS work alone inside.

    It shares small products and factorisations out badly: its threads wait for each other, up to 75
    times longer than one takes alone where the machine is busy. And what it makes would depend on
    how many there are, in its last digits.
    """
    with _blas().limit(limits=1, user_api="blas"):
        yield


@cache
def _blas() -> ThreadpoolController:
    # Only libraries that are loaded are found, and SciPy brings a BLAS of its own.
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()
