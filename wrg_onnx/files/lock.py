"""Several files take their places in a folder together: one run at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wrg_onnx.files.held import is_marked

WAIT_S = 600.0
"""How long a lock is waited for; a copy of 12 GB takes that long on a disk that does 20 MB/s."""

_PAUSE_S = 0.05


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which one run at a time has; wait for it if another run has it.

    It is a lock on the folder itself (``flock``), so no file is left, and the kernel lets go of it
    however the process ends. A file system without locks is written to without.

    Args:
        folder: A temporary folder of a run is held by that run already: then nothing is done.

    Raises:
        OSError: If it cannot be opened, or stays locked for ``WAIT_S``.
    """
    if is_marked(folder.resolve().name):
        yield
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _wait(handle)
        try:
            yield
        finally:
            _let_go(handle)
    finally:
        os.close(handle)


def _wait(handle: int) -> None:
    """Wait until a folder is locked by its descriptor."""
    end = time.monotonic() + WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                why = (
                    f"another program has locked its folder (flock) for more than {WAIT_S:g} s; "
                    "once that is gone, run this again"
                )
                raise OSError(errno.ETIMEDOUT, why) from None
            time.sleep(_PAUSE_S)
        except OSError:  # a file system without locks
            return
        else:
            return


def _let_go(handle: int) -> None:
    """Unlock a folder for a process that was forked meanwhile, too: it has the descriptor."""
    try:
        fcntl.flock(handle, fcntl.LOCK_UN)
    except OSError:  # a file system without locks
        return
