"""Gradients of several images at a time on the CPU, each by itself, on one thread.

How torch divides sums among threads decides the last digits of a gradient. On one thread these are
the same on any number of cores; images share the cores out instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from wrg_onnx.calibrate.gradient.probe import GradientProbe
from wrg_onnx.calibrate.measurements import Row
from wrg_onnx.data.dataset import Sample
from wrg_onnx.graph import usable_cores

MOST_AT_ONCE = 8
"""How many images share the memory for a backward pass, at most."""


def images_at_once() -> int:
    """Return how many images go through a model side by side."""
    return min(MOST_AT_ONCE, usable_cores())


class EachAlone:
    """Asks a probe for one image at a time, from as many threads as there are cores.

    Args:
        probe: The probe.
        draws: Whether the model draws random numbers: its images go one after the other, since
            there is one source of these.

    Attributes:
        factors: What is measured.
    """

    def __init__(self, probe: GradientProbe, *, draws: bool) -> None:
        self._probe, self._draws = probe, draws
        self.factors = probe.factors

    def measure(self, samples: Sequence[Sample]) -> list[Row]:
        """Return what the probe tells of each image alone.

        Raises:
            StatisticsError: As ``GradientProbe.measure``.
        """
        cores = 1 if self._draws else min(images_at_once(), len(samples))
        with _one_torch_thread(), torch.random.fork_rng(devices=[]):
            if cores == 1:
                return [self._measure(sample) for sample in samples]
            with ThreadPoolExecutor(
                cores, initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                return list(pool.map(self._measure, samples))

    def _measure(self, sample: Sample) -> Row:
        (row,) = self._probe.measure([sample])
        return row


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
