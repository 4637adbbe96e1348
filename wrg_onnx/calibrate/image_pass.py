"""The pass over the images: what is measured on how many of them so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from wrg_onnx.calibrate.kept_rows import digest_of
from wrg_onnx.calibrate.measurements import Measurements, row_length
from wrg_onnx.calibrate.options import CollectOptions
from wrg_onnx.calibrate.probes import StoredProbe
from wrg_onnx.calibrate.taps import Tap
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.factors import Factor, Float64Array
from wrg_onnx.graph import usable_cores
from wrg_onnx.logs import logger_of
from wrg_onnx.progress import Progress

_LOG = logger_of(__name__)


class ImagePass:
    """Measures one image after another, by probes that may leave before the last one.

    Args:
        probes: What measures.
        taps: Where.
        data: The images, in the order in which they are looked at.
        options: The processes that share them.
        progress: Told how many are done.

    Attributes:
        running: The probes that have not left; each has measured all images so far.
        found: What was measured so far; of a probe that left, on the images up to then.
        total: How many images there are.
    """

    def __init__(
        self,
        probes: Sequence[StoredProbe],
        taps: tuple[Tap, ...],
        data: DataSet,
        options: CollectOptions,
        progress: Progress,
    ) -> None:
        self.running = tuple(probes)
        factors = [factor for probe in probes for factor in probe.factors]
        empty = np.empty((0, row_length(taps)))
        self.found = Measurements(taps, dict.fromkeys(factors, empty), 0)
        self.total = len(data)
        self._probes, self._taps, self._data = self.running, taps, data
        self._workers, self._progress = options.workers, progress
        self._block = max(probe.block for probe in probes)
        # Of images that are measured each by itself as many are handed over as share the cores.
        cores = usable_cores() if self._block == 1 else 1
        self._blocks = cores * self._workers.count

    def leave(self, probe: StoredProbe) -> None:
        """Let a probe look at no further image."""
        names = " and ".join(factor.name for factor in probe.factors)
        _LOG.info("%s: %d of %d samples are enough", names, self.found.images, self.total)
        self.running = tuple(other for other in self.running if other is not probe)

    def go_on(self, images: int) -> None:
        """Measure further images.

        Args:
            images: After how many in all to come back. There may be a few more: a block is of one
                process, and on a GPU its images are measured together.
        """
        done, block = self.found.images, self._block
        stop = min(self.total, -(-images // block) * block)
        width = row_length(self._taps)
        factors = [factor for probe in self.running for factor in probe.factors]
        fresh = {factor: np.zeros((stop - done, width)) for factor in factors}
        for start in range(done, stop, block * self._blocks):
            end = min(start + block * self._blocks, stop)
            own = [
                number
                for number in range(start, end)
                if number // block % self._workers.count == self._workers.index
            ]
            self._measure(own, fresh, first=done)
            self._progress("statistics", end, self.total)
        rows = dict(self.found.rows)
        for factor, part in fresh.items():
            rows[factor] = np.concatenate([rows[factor], self._workers.total(part)])
        self.found = Measurements(self._taps, rows, stop)

    def close(self) -> None:
        """Write what is to be kept for later runs."""
        for probe in self._probes:
            if probe.store is not None:
                probe.store.flush()

    def _measure(
        self, numbers: Sequence[int], fresh: Mapping[Factor, Float64Array], *, first: int
    ) -> None:
        """Write the rows of some images to ``fresh``, which begins with the image ``first``."""
        if not numbers:
            return
        samples = [self._data[number] for number in numbers]
        keeps = any(probe.store is not None for probe in self.running)
        names = [digest_of(sample) for sample in samples] if keeps else []
        for probe in self.running:
            for number, row in zip(numbers, probe.measure(samples, names), strict=True):
                for factor, values in row.items():
                    fresh[factor][number - first] = values
