"""Files that a later run reads are opened only if they are files themselves."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def read_kept(path: Path) -> BufferedReader:
    """Open what an earlier run has written: no link, folder, device or pipe in its place.

    Args:
        path: Where it is.

    Returns:
        The file, from its beginning; the caller closes it.

    Raises:
        FileNotFoundError: If nothing is there.
        OSError: If it cannot be read, or is no file itself; ``strerror`` says so.
    """
    # A pipe is not waited for.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link, not a file", str(path)) from error
        raise
    kind = os.fstat(handle).st_mode
    if stat.S_ISREG(kind):
        return os.fdopen(handle, "rb")
    os.close(handle)
    what = "a folder" if stat.S_ISDIR(kind) else "a device or a pipe"
    raise OSError(errno.EINVAL, f"it is {what}, not a file", str(path))
