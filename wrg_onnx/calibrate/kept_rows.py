"""Rows that were measured before, kept in a folder: later runs and runs that were stopped go on."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.calibrate.cache import NAME_LENGTH, Cache
from wrg_onnx.calibrate.kept_arrays import KeptArrays, UnsoundError, opened
from wrg_onnx.calibrate.measurements import Row
from wrg_onnx.data.dataset import Sample
from wrg_onnx.errors import UnreadableError
from wrg_onnx.factors import Factor

FLUSH_SECONDS = 10.0
"""How much work a run that is killed may lose."""

_FORMAT = 4


class Store:
    """The rows of one probe of one model, by what the image was.

    Each process of a run has an ``.npz`` file of its own, which it replaces as a whole; all of them
    are read. What cannot be read, or is not what it should be, is left alone until then and counts
    as nothing; ``problem`` says so.

    Args:
        cache: The folder where the files are. It is kept within its limit whenever this writes.
        key: What the rows depend on beside the factors: model, taps, versions, and so on.
        factors: What a row holds. Rows of other versions of them are not read.
        channels: How long it is.
        process: Which process of the run this is.

    Attributes:
        path: This process's file.
        problem: Why what is there was not used; empty if it was, or if there is nothing.
    """

    def __init__(
        self,
        cache: Cache,
        key: Sequence[str],
        factors: Sequence[Factor],
        channels: int,
        process: int = 0,
    ) -> None:
        text = "\n".join([str(_FORMAT), *map(str, factors), *key])
        self._key = hashlib.sha256(text.encode()).hexdigest()
        self._cache, self._channels = cache, channels
        self._arrays = {factor: f"factor.{factor.name}" for factor in factors}
        name = self._key[:NAME_LENGTH]
        self.path = cache.folder / (f"{name}.{process}.npz" if process else f"{name}.npz")
        self.problem = ""
        self._rows: dict[str, Row] = {}
        self._written = time.monotonic()
        self._is_behind = False
        for path in sorted(cache.folder.glob(f"{name}*.npz")):
            self._read(path)

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, digest: str) -> Row | None:
        """Return the row of an image, None if it was not measured."""
        return self._rows.get(digest)

    def put(self, digest: str, row: Row) -> None:
        """Keep a row; the file follows every ``FLUSH_SECONDS``."""
        self._rows[digest] = row
        self._is_behind = True
        if time.monotonic() - self._written >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is new, in one move. A folder that cannot be written to is a ``problem``."""
        if not self._is_behind:
            return
        self._written, self._is_behind = time.monotonic(), False
        arrays: dict[str, NDArray[np.generic]] = {
            array: np.stack([row[factor] for row in self._rows.values()])
            for factor, array in self._arrays.items()
        }
        arrays["images"] = np.array(list(self._rows))
        try:
            self._cache.write(self.path, self._key, arrays.items())
        except OSError as error:
            self._tell(f"cannot keep statistics in '{self.path}': {error.strerror}")

    def _read(self, path: Path) -> None:
        try:
            with opened(path, self._key) as archive:
                found = self._rows_of(archive)
        except UnreadableError as error:
            if os.path.lexists(path):  # another run may have removed it since it was listed
                self._tell(f"{error}; the statistics are taken anew")
            return
        except UnsoundError:
            self._tell(f"'{path}' does not hold statistics of this model; they are taken anew")
            return
        self._cache.touch(path)
        self._rows |= found

    def _rows_of(self, archive: KeptArrays) -> dict[str, Row]:
        """Return what an archive holds, by image.

        Raises:
            UnreadableError: If it is broken.
            UnsoundError: If it holds something else.
        """
        images = archive.texts("images", (None,))
        if len(set(images)) != len(images):
            raise UnsoundError
        values = {}
        for factor, array in self._arrays.items():
            rows = archive.take(array, "<f8", (len(images), self._channels)).astype(np.float64)
            if not ((rows >= 0) & (rows <= factor.most)).all():
                raise UnsoundError
            values[factor] = rows
        return {
            image: {factor: np.array(rows[number]) for factor, rows in values.items()}
            for number, image in enumerate(images)
        }

    def _tell(self, problem: str) -> None:
        """Note a problem beside those of other files."""
        if problem not in self.problem:
            self.problem += f"; {problem}" if self.problem else problem


def digest_of(sample: Sample) -> str:
    """Return a hash of what the model is fed, and of the mask."""
    found = hashlib.sha256()
    arrays: list[tuple[str, NDArray[np.generic]]] = sorted(sample.feeds.items())
    if sample.mask is not None:
        arrays.append(("mask", sample.mask))
    for name, array in arrays:
        found.update(f"{name}\n{array.dtype}\n{array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
