"""Input files that are ordinary ones, and output files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from wrg_onnx.errors import OutputError

NOT_ORDINARY = "not an ordinary file"


def open_descriptor(path: Path) -> int:
    """Open a file to read from it, by its number.

    A pipe that nobody writes to would be waited for, and a device may give bytes for ever: they are
    refused, whatever the path says that they are.

    Raises:
        OSError: If it cannot be opened, or is no ordinary file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return handle
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, NOT_ORDINARY)


def open_ordinary(path: Path) -> BinaryIO:
    """Open an ordinary file to read from it.

    Raises:
        OSError: As ``open_descriptor``.
    """
    return os.fdopen(open_descriptor(path), "rb")


def read_ordinary(path: Path, most: int = sys.maxsize) -> bytes:
    """Return what an ordinary file holds.

    Args:
        path: Where it is.
        most: How many bytes it may have.

    Raises:
        OSError: As ``open_descriptor``, or if it is larger.
    """
    with open_ordinary(path) as stream:
        if os.fstat(stream.fileno()).st_size > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return stream.read()


def is_special(path: Path) -> bool:
    """Tell whether there is something at a path that is neither an ordinary file nor a folder."""
    return path.exists() and not path.is_file() and not path.is_dir()


def check_output(path: Path, *, force: bool, option: str = "--output") -> None:
    """Refuse an output path early, before the work is done.

    Args:
        path: Where something is going to be written.
        force: Whether an existing file may be replaced.
        option: Names another file.

    Raises:
        OutputError: If the file exists and ``force`` is off, it is a pipe or a device, or its
            folder is not there.
    """
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder; name a file, such as '{path / 'model.onnx'}'")
    if is_special(path):  # what takes its place would be a file in /dev
        raise OutputError(f"'{path}' is {NOT_ORDINARY}; {option} names another file")
    if path.exists() and not force:
        raise OutputError(f"'{path}' exists; --force replaces it, {option} names another file")
    for parent in path.absolute().parents:
        if parent.exists():
            if not parent.is_dir() or not os.access(parent, os.W_OK):
                raise OutputError(f"'{path}': '{parent}' is not a folder that can be written to")
            return


@contextmanager
def renamed(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that takes its place when all went well.

    It gets the rights that any new file gets. Its folder must be there.

    Raises:
        OSError: If it cannot be written or moved; what was at ``path`` is still there.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
