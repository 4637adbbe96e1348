"""The folder of kept statistics: what is in it, and how large it may grow.

Three kinds of files are kept. Rows of factors, what layers take on a machine, and points of sweeps
are small and dear: kilobytes, minutes. What layers read and make is large and cheap: hundreds of
megabytes, seconds. So it goes first, and never at the cost of the others.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from wrg_onnx.calibrate.kept_arrays import write_arrays
from wrg_onnx.errors import OutputError, UnreadableError, UsageError
from wrg_onnx.files import read_ordinary, remove_leftovers, renamed
from wrg_onnx.tsod.archives import ArrayForm, open_archive

LIMIT_BYTES = 2 * 2**30

LIMIT_VARIABLE = "WRG_ONNX_CACHE_LIMIT"
"""The environment variable that sets another limit."""

KEY_LENGTH, NAME_LENGTH = 64, 32
"""Hexadecimal digits of a file's key, and how many of them its name begins with."""

_KEY_FORM = ArrayForm((), np.dtype(f"<U{KEY_LENGTH}"))

LAYERS_SUFFIX = ".layers.npz"
"""How the names of files end that hold what layers read and make."""

LATENCY_SUFFIX = ".latency.npz"
"""How the names of files end that hold what layers take on this machine."""

POINT_SUFFIX = ".point.json"
"""How the names of files end that hold what became of a point of a sweep."""

MOST_TEXT_BYTES = 16 << 20
"""A file of text has kilobytes; a larger one is none of ours."""

_NAME = re.compile(rf"[0-9a-f]{{{NAME_LENGTH}}}((\.\d+|\.layers|\.latency)?\.npz|\.point\.json)")

_UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def cache_folder() -> Path:
    """Return the user's cache folder."""
    return platformdirs.user_cache_path("wrg-onnx")


def cache_limit() -> int:
    """Return how large the folder may grow: 2 GiB, or what the environment says.

    Raises:
        UsageError: If the environment says no size.
    """
    text = os.environ.get(LIMIT_VARIABLE)
    if text is None:
        return LIMIT_BYTES
    number = re.fullmatch(r"(\d+) ?(|KiB|MiB|GiB)", text.strip())
    if number is None:
        raise UsageError(
            f"{LIMIT_VARIABLE} must be a size such as 500MiB, 2GiB or a number of bytes, "
            f"got '{text}'"
        )
    return int(number[1]) * _UNITS[number[2]]


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of kept statistics.

    Attributes:
        path: Where it is.
        size: In bytes.
        used: When it was read or written last, in seconds since 1970.
    """

    path: Path
    size: int
    used: float

    @property
    def is_of_layers(self) -> bool:
        """Whether it holds what layers read and make, and not rows of factors."""
        return self.path.name.endswith(LAYERS_SUFFIX)


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What is in the folder, or was taken out of it.

    Attributes:
        folder: The folder.
        files: How many files of kept statistics it holds.
        file_bytes: Their size.
        limit_bytes: How large they may grow together.
        removed_files: How many were removed just now.
        removed_bytes: Their size.
    """

    folder: str
    files: int
    file_bytes: int
    limit_bytes: int
    removed_files: int = 0
    removed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of kept statistics.

    Several runs may use one at a time: a file that another run has removed is no error. What is
    written tells of the model and the data, so its user alone may read it.

    Attributes:
        folder: Made when there is something to write.
        limit: How many bytes its files may have together.
        now: Tells the time, in seconds since 1970.
    """

    folder: Path
    limit: int = LIMIT_BYTES
    now: Callable[[], float] = time.time

    def files(self) -> list[KeptFile]:
        """List the files that are ours by name and key, in the order of their names."""
        return [file for file in self._named() if _is_ours(file.path)]

    def touch(self, path: Path) -> None:
        """Note that a file was used just now."""
        moment = self.now()
        try:
            os.utime(path, (moment, moment))
        except OSError:
            # It is gone, or the folder may be read and not written to. Then its age does not
            # matter either: nothing here can remove it.
            return

    def write(
        self, path: Path, key: str, arrays: Iterable[tuple[str, NDArray[np.generic]]]
    ) -> None:
        """Write a file in one move, and make room for it.

        Args:
            path: Where it goes; its name begins as the key does.
            key: By what it is known.
            arrays: What it holds, by name; each is asked for once the one before it is written.

        Raises:
            OSError: If it cannot be written, or a file cannot be removed.
        """
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        # Kept arrays are sealed: after a loss of power they are measured anew at worst.
        with renamed(path, lasting=False, rights=0o600) as part:
            write_arrays(part, key, arrays)
        self.touch(path)
        self.shrink(key)

    def write_text(self, path: Path, key: str, text: str) -> None:
        """Write a file of text in one move, and make room for it.

        Args:
            path: Where it goes; its name begins as the key does.
            key: By what it is known.
            text: A JSON object with the key under ``"key"``.

        Raises:
            OSError: If it cannot be written, or a file cannot be removed.
        """
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        with renamed(path, lasting=False, rights=0o600) as part:
            part.write_text(text, encoding="utf-8")
        self.touch(path)
        self.shrink(key)

    def room_for_layers(self) -> int:
        """Return how many bytes of the limit rows of factors leave for what layers make."""
        return self.limit - sum(file.size for file in self._named() if not file.is_of_layers)

    def shrink(self, key: str) -> None:
        """Remove files until the others are within the limit.

        Those of layers go first, and of either kind those that were used longest ago.

        Args:
            key: Its files are in use, and stay.

        Raises:
            OSError: If a file cannot be removed.
        """
        if sum(file.size for file in self._named()) <= self.limit:
            return  # without a look into any of them
        ours = sorted(
            self.files(), key=lambda file: (not file.is_of_layers, file.used, file.path.name)
        )
        size = sum(file.size for file in ours)
        for file in ours:
            if size <= self.limit:
                return
            if not file.path.name.startswith(key[:NAME_LENGTH]):
                file.path.unlink(missing_ok=True)
                size -= file.size

    def clear(self) -> tuple[KeptFile, ...]:
        """Remove the files that are ours, and what killed runs left of them; nothing else.

        Returns:
            What was removed.

        Raises:
            OutputError: If a file cannot be removed.
        """
        remove_leftovers(self.folder)
        found = self.files()
        for file in found:
            try:
                file.path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(f"cannot remove '{file.path}': {error.strerror}") from error
        return tuple(found)

    def report(self, removed: tuple[KeptFile, ...] = ()) -> CacheReport:
        """Say what is in the folder.

        Args:
            removed: What was removed just now.
        """
        found = self.files()
        return CacheReport(
            folder=str(self.folder),
            files=len(found),
            file_bytes=sum(file.size for file in found),
            limit_bytes=self.limit,
            removed_files=len(removed),
            removed_bytes=sum(file.size for file in removed),
        )

    def _named(self) -> Iterator[KeptFile]:
        """Yield the files that have names like ours."""
        for path in sorted([*self.folder.glob("*.npz"), *self.folder.glob(f"*{POINT_SUFFIX}")]):
            if not _NAME.fullmatch(path.name) or path.is_symlink() or not path.is_file():
                continue
            try:
                found = path.stat()
            except FileNotFoundError:  # another run has just removed it
                continue
            yield KeptFile(path, found.st_size, found.st_mtime)


def _is_ours(path: Path) -> bool:
    """Tell whether a file holds the key that its name begins with."""
    key = _key_of_text(path) if path.name.endswith(POINT_SUFFIX) else _key_of_archive(path)
    return len(key) == KEY_LENGTH and key.startswith(path.name[:NAME_LENGTH])


def _key_of_text(path: Path) -> str:
    """Return the key of a file of text; nothing if it is broken, gone, or none of ours."""
    try:
        held = json.loads(read_ordinary(path, MOST_TEXT_BYTES))
    except (OSError, ValueError, RecursionError):
        return ""
    return str(held.get("key", "")) if isinstance(held, dict) else ""


def _key_of_archive(path: Path) -> str:
    """Return the key of an archive; nothing if it is broken, gone, or none of ours."""
    try:
        with open_archive(path) as archive:
            if "key" not in archive.members or archive.form("key") != _KEY_FORM:
                return ""
            return str(archive.read("key"))
    except UnreadableError:
        return ""
