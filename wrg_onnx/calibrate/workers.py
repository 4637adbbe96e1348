"""Processes that share the images out."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from wrg_onnx.calibrate.statistics import Float64Array


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
