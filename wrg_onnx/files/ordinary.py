"""Files that are read are ordinary ones: no pipes, no devices."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

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
