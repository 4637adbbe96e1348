"""Files and folders that are being written: known by their names, and held by a lock.

A process that is killed cannot clean up. So what is not finished yet has a name that no user's file
has, and its process holds a lock on it (``flock``), of which the kernel lets go however the process
ends. Who finds such a name and gets its lock knows that nobody writes there any more.

Locks are seen by all processes of a machine, containers included. Whether other machines that share
a folder see them its file system decides; so names tell since which start of which machine they
are, and what is of another one is left alone until nothing has been written to it for a week.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

OTHERS_AGE_S = 7 * 24 * 3600.0
"""How long nothing was written to what another machine, or an earlier start of this one, began."""

PART = ".part"
"""How the names of parts end."""

_MARK = re.compile(r"(?:\..*\.)?wrg-onnx-([0-9a-f]{8})-[0-9a-f]{12}(?:\.part)?", re.DOTALL)

_LONGEST = 255
"""Bytes of a name where the file system does not tell."""


@functools.cache
def boot() -> str:
    """Return what tells this start of this machine from others, in 8 hexadecimal digits."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:  # not Linux: then the machine alone is told
        text = platform.node()
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def marked(before: str = "", after: str = "") -> str:
    """Return a new name that tells what it is.

    Args:
        before: How it begins: nothing, or something between two dots.
        after: How it ends.
    """
    return f"{before}wrg-onnx-{boot()}-{secrets.token_hex(6)}{after}"


def beside(path: Path, after: str) -> Path:
    """Return a new name beside a file, hidden, that tells what it is and of which file."""
    return path.with_name(marked(hidden(path, after), after))


def hidden(path: Path, after: str) -> str:
    """Return how the names of what belongs to a file begin: its own, as far as there is room."""
    rest = len(os.fsencode(marked("..", after)))
    name = os.fsencode(path.name)[: longest_name(path.parent) - rest]
    return f".{name.decode(errors='ignore')}."


def is_marked(name: str) -> bool:
    """Tell whether something is named as a part, or a temporary folder, of a run."""
    return _MARK.fullmatch(name) is not None


def longest_name(folder: Path) -> int:
    """Return how many bytes the name of a file in a folder may have."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError):  # it does not tell
        return _LONGEST


def hold_file(name: Callable[[], Path], rights: int = 0o666) -> tuple[Path, int]:
    """Make a file and hold it.

    Args:
        name: Draws a path; asked again if that is taken.
        rights: Of the file, before the mask of the process.

    Returns:
        Its path, and the descriptor that holds it until it is closed.

    Raises:
        OSError: If it cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    while True:
        path = name()
        try:
            handle = os.open(path, flags, rights)
        except FileExistsError:
            continue
        if _held(path, handle):
            return path, handle


def hold_folder(name: Callable[[], Path], rights: int) -> tuple[Path, int]:
    """Make a folder and hold it.

    Args:
        name: Draws a path; asked again if that is taken.
        rights: Of the folder, before the mask of the process.

    Returns:
        Its path, and the descriptor that holds it until it is closed.

    Raises:
        OSError: If it cannot be made.
    """
    while True:
        path = name()
        try:
            path.mkdir(rights)
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except (FileExistsError, FileNotFoundError):  # taken, or taken for left and removed
            if not path.parent.is_dir():
                raise
            continue
        if _held(path, handle):
            return path, handle


def _held(path: Path, handle: int) -> bool:
    """Lock what was just made; False, and closed, if it was removed before that."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        # A file system without locks: nobody else gets one there either, so it is never taken for
        # left.
        return True
    except BaseException:
        os.close(handle)
        raise
    # Between its making and its lock another run may have taken it for left.
    if _is_at(path, handle):
        return True
    os.close(handle)
    return False


def _is_at(path: Path, handle: int) -> bool:
    try:
        there, own = path.lstat(), os.fstat(handle)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)


def remove_leftovers(folder: Path) -> None:
    """Remove the parts and temporary folders in a folder whose processes are gone.

    What a living process holds, what others own and what is named otherwise stays. So does what
    cannot be removed: it is in nobody's way.

    Args:
        folder: Need not be there.
    """
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, _MARK.fullmatch(entry.name)) for entry in entries]
    except OSError:  # whoever writes there will tell
        return
    for name, mark in found:
        if mark is not None:
            _remove_if_left(folder / name, mark[1])


def _remove_if_left(path: Path, start: str) -> None:
    # Links are not followed, and a pipe is not waited for.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(path, flags)
    except OSError:
        return
    try:
        kind = os.fstat(handle)
        is_folder = stat.S_ISDIR(kind.st_mode)
        if not (is_folder or stat.S_ISREG(kind.st_mode)) or kind.st_uid != os.geteuid():
            return
        if start != boot() and time.time() - _written(path) < OTHERS_AGE_S:
            return
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(path, handle):
            return
        if is_folder:
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except OSError:  # held, or not to be removed
        return
    finally:
        os.close(handle)


def _written(path: Path) -> float:
    """Return when something was last written to a file, or to anything in a folder."""
    return max(one.lstat().st_mtime for one in (path, *path.rglob("*")))
