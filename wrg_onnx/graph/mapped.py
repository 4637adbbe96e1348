"""Files that weights are read from: mapped into memory, or read piece by piece."""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wrg_onnx.errors import ModelError
from wrg_onnx.files import open_descriptor
from wrg_onnx.graph.weights import BLOCK_BYTES, Array, Shape, Shaped


@dataclass(frozen=True, slots=True)
class Place:
    """A byte of a file, whose path has no links in it."""

    path: Path
    offset: int


class Bytes(Protocol):
    """What holds the bytes of weights."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read(self, offset: int, length: int) -> Array:
        """Return some of them, (length,) uint8, not to be written to."""

    def read_into(self, offset: int, target: Array) -> None:
        """Copy some of them into (length,) uint8."""

    def place(self, offset: int) -> Place | None:
        """Return where a byte is in a file that others can open."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldBytes:
    """Bytes in memory."""

    content: Array

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self.content)

    def read(self, offset: int, length: int) -> Array:
        """Return a view of some of them, (length,) uint8."""
        return self.content[offset : offset + length]

    def place(self, offset: int) -> None:
        """Return None: no other library can be told."""
        del offset

    def read_into(self, offset: int, target: Array) -> None:
        """Copy some of them, as many as fit."""
        target[...] = self.content[offset : offset + len(target)]


class MappedFile:
    """A file that is open as long as somebody reads weights from it."""

    def __init__(self, path: Path) -> None:
        """Open and map it.

        Args:
            path: An ordinary file. What is a pipe or a device is not waited for.

        Raises:
            OSError: If it cannot be opened, or is no ordinary file.
        """
        self.path = path
        self._handle = open_descriptor(path)
        self._close = weakref.finalize(self, os.close, self._handle)
        self._state = self._now()
        self.size = self._state[0]
        self._map: mmap.mmap | None = None
        # Shares of a network may not be mapped, and nothing of length 0 can.
        with suppress(OSError, ValueError):
            self._map = mmap.mmap(self._handle, 0, access=mmap.ACCESS_READ)
        self._whole = None if self._map is None else np.frombuffer(self._map, np.uint8)

    def read(self, offset: int, length: int) -> Array:
        """Return some of its bytes, (length,) uint8.

        They are in memory as long as the array, or a view of it, is: what is mapped is given back
        to the system then.

        Raises:
            ModelError: If the file is not what it was when it was opened.
        """
        self.check()
        if self._whole is None:
            found = np.empty(length, np.uint8)
            self.read_into(offset, found)
            found.setflags(write=False)
            return found
        return np.asarray(_Region(self, self._whole, offset, length))

    def read_into(self, offset: int, target: Array) -> None:
        """Copy some of its bytes, without mapping them: a page at a time costs more than a copy.

        Args:
            offset: Where they begin.
            target: (length,) uint8.

        Raises:
            ModelError: If the file is not what it was when it was opened.
        """
        self.check()
        view, done = target.data, 0
        while done < len(view):
            count = _read_at(self._handle, view[done : done + BLOCK_BYTES], offset + done)
            if not count:
                raise ModelError(f"'{self.path}': became shorter while it was read; start again")
            done += count

    def check(self) -> None:
        """Refuse a file that somebody has changed: its weights would be of two models.

        Raises:
            ModelError: If its size or its time is another.
        """
        if self._now() != self._state:
            raise ModelError(f"'{self.path}': has changed while it was read; start again")

    @property
    def names(self) -> int:
        """How many names the file has: hard links count, symbolic ones do not."""
        return os.fstat(self._handle).st_nlink

    def is_at(self, path: Path) -> bool:
        """Tell whether this is the file at a path."""
        try:
            return os.path.samestat(os.fstat(self._handle), path.stat())
        except OSError:
            return False

    def place(self, offset: int) -> Place | None:
        """Return where a byte is; None if another file has taken the path.

        Raises:
            ModelError: If the file is not what it was when it was opened.
        """
        self.check()
        try:
            found = self.path.resolve()
            str(found).encode()
        except (OSError, RuntimeError, UnicodeEncodeError):  # names that are no UTF-8
            return None
        return Place(found, offset) if self.is_at(found) else None

    def give_back(self, offset: int, length: int) -> None:
        """Let the system take the memory of some bytes; the file has them still."""
        if self._map is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        start = offset - offset % mmap.PAGESIZE
        with suppress(OSError, ValueError):  # it is a hint
            self._map.madvise(mmap.MADV_DONTNEED, start, offset + length - start)

    def _now(self) -> tuple[int, int]:
        found = os.fstat(self._handle)
        return found.st_size, found.st_mtime_ns


def _read_at(handle: int, target: memoryview, offset: int) -> int:
    """Read bytes into memory; return how many came."""
    if hasattr(os, "preadv"):
        return os.preadv(handle, [target], offset)
    os.lseek(handle, offset, os.SEEK_SET)  # Windows, and older systems of Apple
    piece = os.read(handle, len(target))
    target[: len(piece)] = piece
    return len(piece)


class _Region:
    """Some bytes of a mapped file, for numpy: an array of it, and its views, keep this alive."""

    def __init__(self, file: MappedFile, whole: Array, offset: int, length: int) -> None:
        self._file, self._offset, self._length = file, offset, length
        part = whole[offset : offset + length]
        self.__array_interface__: dict[str, Any] = part.__array_interface__

    def __del__(self) -> None:
        self._file.give_back(self._offset, self._length)


@dataclass(frozen=True, slots=True, eq=False)
class Stored(Shaped):
    """An array in a file, or in bytes in memory.

    Attributes:
        source: Where its bytes are.
        offset: Where they begin.
        dtype: Its element type.
        shape: Its shape.
    """

    source: Bytes
    offset: int
    dtype: np.dtype[Any]
    shape: Shape

    def place(self) -> Place | None:
        """Return where others can read it; None if it is in memory, or its file has moved."""
        return self.source.place(self.offset)

    def read(self) -> Array:
        """Return the array, read-only; at an odd place in its file it is unaligned."""
        return self.source.read(self.offset, self.nbytes).view(self.dtype).reshape(self.shape)

    def rows(self) -> Callable[[int, int], Array]:
        """Return what reads some of its rows into memory, each time into the same."""
        width = self.nbytes // max(1, self.shape[0])
        buffer = np.empty(0, np.uint8)

        def read(start: int, stop: int) -> Array:
            nonlocal buffer
            length = (stop - start) * width
            if len(buffer) < length:
                buffer = np.empty(length, np.uint8)
            part = buffer[:length]
            self.source.read_into(self.offset + start * width, part)
            return part.view(self.dtype).reshape(stop - start, *self.shape[1:])

        return read
