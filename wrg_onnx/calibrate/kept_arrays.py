"""Archives of arrays that are kept between runs: sealed as they are written, read only unbroken.

An archive holds the key that it is known by, the arrays, and a seal: a hash of the name, size and
checksum of each of them. What was changed, left out or added since does not fit the seal, whoever
did it; what was made to fit it must still be of the type and shape that is asked for.
"""

from __future__ import annotations

import hashlib
import math
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from wrg_onnx.errors import UnreadableError
from wrg_onnx.files import open_kept
from wrg_onnx.tsod.pictures import reading

KEY, SEAL = "key", "seal"

_SUFFIX = ".npy"


class UnsoundError(Exception):
    """What is kept is not what could have been measured of this model."""


def write_arrays(path: Path, key: str, arrays: Iterable[tuple[str, NDArray[np.generic]]]) -> None:
    """Write an archive.

    Args:
        path: Where to.
        key: By what it is known.
        arrays: What it holds, by name; each is asked for once the one before it is written.

    Raises:
        OSError: If it cannot be written.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in chain([(KEY, np.array(key))], arrays):
            _write(archive, name, array)
        _write(archive, SEAL, np.array(seal_of(archive)))


def _write(archive: zipfile.ZipFile, name: str, array: NDArray[np.generic]) -> None:
    # As `np.savez` writes it, which wants all arrays at once.
    with archive.open(f"{name}{_SUFFIX}", "w", force_zip64=True) as stream:
        np.save(stream, array, allow_pickle=False)


def seal_of(archive: zipfile.ZipFile) -> str:
    """Return the seal of what an archive holds, but for the seal itself."""
    entries = sorted(
        (entry.filename, entry.file_size, entry.CRC)
        for entry in archive.infolist()
        if entry.filename != f"{SEAL}{_SUFFIX}"
    )
    return hashlib.sha256(repr(entries).encode()).hexdigest()


class KeptArrays:
    """An archive that is open, and of which arrays are asked one after the other.

    Args:
        path: Where it is.
        archive: The archive.

    Raises:
        UnreadableError: If it is broken.
        UnsoundError: If it does not fit its seal.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        entries = archive.infolist()
        # What is packed may unfold to more than the machine holds.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise UnsoundError
        self._entries = {entry.filename.removesuffix(_SUFFIX): entry for entry in entries}
        if len(self._entries) != len(entries):
            raise UnsoundError
        self._asked: set[str] = set()
        if self._text(SEAL) != seal_of(archive):
            raise UnsoundError

    def check_key(self, key: str) -> None:
        """Refuse an archive of another key.

        Raises:
            UnsoundError: If it is one.
        """
        if self._text(KEY) != key:
            raise UnsoundError

    def take(self, name: str, kind: str, shape: tuple[int | None, ...]) -> NDArray[np.generic]:
        """Read an array; its checksum is looked at on the way.

        Args:
            name: Its name.
            kind: Its type, such as ``"<f4"``; ``"u"`` for unsigned integers of any width, ``"U"``
                for texts of any length.
            shape: Its shape; None for an axis of any length.

        Raises:
            UnreadableError: If it is broken.
            UnsoundError: If it is not there, of another type or shape, or holds a number that is
                not finite.
        """
        self._asked.add(name)
        entry = self._entries.get(name)
        if entry is None:
            raise UnsoundError
        with reading(self._path), self._archive.open(entry) as stream:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of headers that we would not have written
                if npy.read_magic(stream) != (1, 0):  # type: ignore[no-untyped-call]
                    raise UnsoundError
                found, _, dtype = npy.read_array_header_1_0(stream)  # type: ignore[no-untyped-call]
            fits = dtype.kind == kind if kind in "uU" else dtype.str == kind
            # True equals 1, and there is no array of that size.
            same = len(found) == len(shape) and all(
                type(have) is int and (want is None or have == want)
                for have, want in zip(found, shape, strict=True)
            )
            # Looked at before there is memory for it.
            size = entry.file_size - stream.tell()
            if not (fits and same and math.prod(found) * dtype.itemsize == size):
                raise UnsoundError
            stream.seek(0)
            array: NDArray[np.generic] = npy.read_array(stream)  # type: ignore[no-untyped-call]
        if array.size and array.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                ends = np.array([array.min(), array.max()])
            if not np.isfinite(ends).all():
                raise UnsoundError
        return array

    def check_all_taken(self) -> None:
        """Refuse an archive that holds more than was asked for.

        Raises:
            UnsoundError: If it does.
        """
        if self._asked != set(self._entries):
            raise UnsoundError

    def texts(self, name: str, shape: tuple[int | None, ...]) -> list[str]:
        """Read an array of texts, in the order of its axes; as `take`."""
        found = self.take(name, "U", shape)
        with reading(self._path):  # what is written may be no text
            return [str(text) for text in found.reshape(-1).tolist()]

    def _text(self, name: str) -> str:
        (text,) = self.texts(name, ())
        return text


@contextmanager
def opened(path: Path, key: str) -> Iterator[KeptArrays]:
    """Open an archive, and hold it against its key; in the end nothing of it may be left over.

    Args:
        path: Where it is.
        key: By what it is known.

    Raises:
        UnreadableError: If nothing is there, or no file, or it is broken.
        UnsoundError: If it is of another key, or not as it was written.
    """
    with _stream(path) as archive:
        kept = KeptArrays(path, archive)
        kept.check_key(key)
        yield kept
        kept.check_all_taken()


@contextmanager
def _stream(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        stream = open_kept(path)
    except OSError as error:
        raise UnreadableError(f"cannot read '{path}': {error.strerror or error}") from error
    with stream:
        with reading(path):
            archive = zipfile.ZipFile(stream)
        with archive:
            yield archive
