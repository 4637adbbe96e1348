"""Files that are read are ordinary ones: no pipes, no devices."""

from __future__ import annotations

import errno
import os
import stat
import sys
from io import BufferedReader
from pathlib import Path

NOT_ORDINARY = "not an ordinary file"
LINK = "a link, not a file"


_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def open_descriptor(path: Path, *, follow: bool = True) -> int:
    """Open a file to read from it, by its number.

    A pipe that nobody writes to would be waited for, and a device may give bytes for ever: they are
    refused, whatever the path says that they are.

    Args:
        path: Where it is.
        follow: Whether it may be a link to the file.

    Raises:
        OSError: If it cannot be opened, or is no ordinary file.
    """
    if not follow and path.is_symlink():
        raise OSError(errno.ELOOP, LINK)
    handle = os.open(path, _FLAGS if follow else _FLAGS | _NO_LINK)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return handle
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, NOT_ORDINARY)


def open_ordinary(path: Path) -> BufferedReader:
    """Open an ordinary file to read from it.

    Raises:
        OSError: As ``open_descriptor``.
    """
    return os.fdopen(open_descriptor(path), "rb")


def open_kept(path: Path) -> BufferedReader:
    """Open what an earlier run has written, and nothing that a link in its place leads to.

    Raises:
        FileNotFoundError: If nothing is there.
        OSError: As ``open_descriptor``, or if it is a link.
    """
    return os.fdopen(open_descriptor(path, follow=False), "rb")


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
