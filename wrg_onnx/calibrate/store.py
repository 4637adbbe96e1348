"""Rows that were measured before, kept in a folder: later runs and runs that were stopped go on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.calibrate.measurements import Kind, Row
from wrg_onnx.data.dataset import Sample
from wrg_onnx.errors import DataError
from wrg_onnx.files import renamed
from wrg_onnx.tsod.pictures import load_arrays

FLUSH_SECONDS = 10.0
"""How much work a run that is killed may lose."""

_FORMAT = 2


class Store:
    """The rows of one probe of one model, by what the image was.

    Each process of a run has an ``.npz`` file of its own, which it replaces as a whole; all of them
    are read. What cannot be read, or is not what it should be, is left alone until then and counts
    as nothing; ``problem`` says so.

    Args:
        folder: Where the files are; made when there is something to write.
        key: What else the rows depend on: model, taps, versions, and so on.
        kinds: What a row holds.
        channels: How long it is.
        process: Which process of the run this is.

    Attributes:
        path: This process's file.
        problem: Why what is there was not used; empty if it was, or if there is nothing.
    """

    def __init__(
        self,
        folder: Path,
        key: Sequence[str],
        kinds: Sequence[Kind],
        channels: int,
        process: int = 0,
    ) -> None:
        text = "\n".join([str(_FORMAT), *(kind.value for kind in kinds), *key])
        self._key = hashlib.sha256(text.encode()).hexdigest()
        self._kinds, self._channels = tuple(kinds), channels
        name = self._key[:32]
        self.path = folder / (f"{name}.{process}.npz" if process else f"{name}.npz")
        self.problem = ""
        self._rows: dict[str, Row] = {}
        self._written = time.monotonic()
        self._is_behind = False
        for path in sorted(folder.glob(f"{name}*.npz")):
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
            kind.value: np.stack([row[kind] for row in self._rows.values()]) for kind in self._kinds
        }
        arrays |= {"key": np.array(self._key), "images": np.array(list(self._rows))}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with renamed(self.path) as part, part.open("wb") as stream:
                np.savez(stream, **cast("Any", arrays))  # `allow_pickle` is newer than NumPy 2.0
        except OSError as error:
            self.problem = f"cannot keep statistics in '{self.path}': {error.strerror}"

    def _read(self, path: Path) -> None:
        try:
            arrays = load_arrays(path)
        except DataError as error:
            self.problem = f"{error}; the statistics are taken anew"
            return
        if not self._is_ours(arrays):
            self.problem = f"'{path}' does not hold statistics of this model; they are taken anew"
            return
        for number, digest in enumerate(arrays["images"]):
            self._rows[str(digest)] = {
                kind: np.array(arrays[kind.value][number]) for kind in self._kinds
            }

    def _is_ours(self, arrays: Mapping[str, NDArray[np.generic]]) -> bool:
        if set(arrays) != {"key", "images", *(kind.value for kind in self._kinds)}:
            return False
        key, images = arrays["key"], arrays["images"]
        if key.shape != () or str(key) != self._key or images.ndim != 1 or images.dtype.kind != "U":
            return False
        return all(self._is_sound(arrays[kind.value], kind, len(images)) for kind in self._kinds)

    def _is_sound(self, rows: NDArray[np.generic], kind: Kind, images: int) -> bool:
        if rows.dtype != np.float64 or rows.shape != (images, self._channels):
            return False
        largest = 1.0 if kind is Kind.RANK else np.finfo(np.float64).max
        values = rows.astype(np.float64, copy=False)
        return bool(((values >= 0) & (values <= largest)).all())


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
