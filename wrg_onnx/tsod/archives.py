"""Arrays in ``.npz`` files: what one holds is told before it is unpacked."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from wrg_onnx.errors import UnreadableError
from wrg_onnx.files import open_ordinary
from wrg_onnx.tsod.pictures import reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_BYTES = 1 << 30
"""An array of more is not unpacked: a few bytes may stand for as many as one likes."""

_SUFFIX = ".npy"

_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How NumPy writes arrays."""

_HEADERS: dict[tuple[int, int], Callable[..., Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""How the beginning of an array is read, by the version of its format."""

_read_magic: Callable[..., Any] = np.lib.format.read_magic
_read_array: Callable[..., Any] = np.lib.format.read_array


@dataclass(frozen=True, slots=True)
class ArrayForm:
    """What an archive says of one of its arrays.

    Attributes:
        shape: Its shape.
        dtype: Its element type.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """How many bytes it has in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """An ``.npz`` file that is open. Nothing of it is unpacked before it is asked for.

    Attributes:
        path: Where it is.
        members: Its arrays by name.
    """

    path: Path
    members: dict[str, zipfile.ZipInfo]
    _zip: zipfile.ZipFile

    def form(self, name: str) -> ArrayForm:
        """Read what the file says of an array.

        Raises:
            UnreadableError: If that cannot be read, or is not what its bytes amount to.
        """
        with reading(self.path), self._zip.open(self.members[name]) as stream:
            return self._form(name, stream)

    def read(self, name: str) -> NDArray[np.generic]:
        """Unpack an array, never a pickled object; its checksum is looked at on the way.

        Raises:
            UnreadableError: If it cannot be read, or has more than ``MOST_BYTES``.
        """
        form = self.form(name)
        if form.nbytes > MOST_BYTES:
            raise UnreadableError(
                f"cannot read '{self.path}': '{name}' would have {form.nbytes / 2**30:.1f} GiB in "
                f"memory, and {MOST_BYTES >> 30} GiB is the most for one array"
            )
        with reading(self.path), self._zip.open(self.members[name]) as stream:
            found: NDArray[np.generic] = _read_array(stream, allow_pickle=False)
            stream.read()  # to its end, where the checksum is held against it
            return found

    def _form(self, name: str, stream: IO[bytes]) -> ArrayForm:
        version = _read_magic(stream)
        if version not in _HEADERS:
            raise UnreadableError(f"cannot read '{self.path}': '{name}' is no array of numbers")
        shape, _, dtype = _HEADERS[version](stream)
        form = ArrayForm(shape, dtype)
        if dtype.hasobject:
            raise UnreadableError(
                f"cannot read '{self.path}': '{name}' holds pickled objects (allow_pickle is off)"
            )
        held = self.members[name].file_size - stream.tell()
        # True is an integer to NumPy's reader, and none where there is to be an array of that size.
        are_sizes = all(type(size) is int and size >= 0 for size in shape)
        if not are_sizes or held != form.nbytes:
            raise UnreadableError(
                f"cannot read '{self.path}': '{name}' is said to be {dtype} of {list(shape)}, and "
                f"{held} bytes follow"
            )
        return form


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an ``.npz`` file.

    Raises:
        UnreadableError: If it is none, is cut off, or is no ordinary file.
    """
    with reading(path):
        stream = open_ordinary(path)
    with stream:
        try:
            with reading(path):
                held = zipfile.ZipFile(stream)
        except UnreadableError as error:
            raise UnreadableError(
                f"cannot read '{path}': not an .npz archive, or a truncated one"
            ) from error
        with held:
            entries = held.infolist()
            if any(entry.compress_type not in _PACKINGS for entry in entries):
                raise UnreadableError(f"cannot read '{path}': packed as NumPy packs nothing")
            members = {entry.filename.removesuffix(_SUFFIX): entry for entry in entries}
            yield Archive(path, members, held)
