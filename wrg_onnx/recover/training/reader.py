"""Samples of a training, read ahead and kept while there is room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from wrg_onnx.calibrate.data import DataSet, Sample

_AHEAD = 2
"""How many batches are read before they are asked for."""


class Reader:
    """Reads samples by index in one thread that runs ahead; keeps them while there is room.

    One thread, because reading an image changes Python's warning filters for a moment.
    """

    def __init__(self, data: DataSet, bound_bytes: int) -> None:
        self._data = data
        self._room = bound_bytes
        self._kept: dict[int, Sample] = {}
        self._thread = ThreadPoolExecutor(max_workers=1)

    def groups(self, groups: Sequence[Sequence[int]]) -> Iterator[list[Sample]]:
        """Yield the samples of each group of indices, in order.

        Raises:
            DataError: If a file cannot be read.
        """
        waiting = [self._thread.submit(self._read, group) for group in groups[:_AHEAD]]
        for number in range(len(groups)):
            samples = waiting.pop(0).result()
            if number + _AHEAD < len(groups):
                waiting.append(self._thread.submit(self._read, groups[number + _AHEAD]))
            yield samples

    def describe(self) -> Iterator[tuple[str, bool]]:
        """Yield the name of every sample, and whether it has a mask; reads them all.

        Raises:
            DataError: If a file cannot be read.
        """
        for (sample,) in self.groups([[index] for index in range(len(self._data))]):
            yield sample.name, sample.mask is not None

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _read(self, indices: Sequence[int]) -> list[Sample]:
        return [self._sample(index) for index in indices]

    def _sample(self, index: int) -> Sample:
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        sample = self._data[index]
        arrays = [*sample.feeds.values(), *(() if sample.mask is None else (sample.mask,))]
        size = sum(array.nbytes for array in arrays)
        if size <= self._room:
            self._room -= size
            self._kept[index] = sample
        return sample
