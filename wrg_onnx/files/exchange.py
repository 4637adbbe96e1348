"""Two folders change places in one move, where the system can do that."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_HERE = -100
"""AT_FDCWD: paths count from the current folder."""

_EXCHANGE = 2
"""RENAME_EXCHANGE."""


def exchange(one: Path, other: Path) -> bool:
    """Let what is at two paths change places, at once or not at all.

    Args:
        one: A path.
        other: Another one, on the same disk.

    Returns:
        Whether that was done; False where the system, or the file system, does not do it.

    Source: renameat2(2), Linux 3.15 and glibc 2.28.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    found: int = rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
    return found == 0
