"""Who may read a copy: nobody but those who may read what it is a copy of."""

from __future__ import annotations

import os
import stat
from contextlib import suppress


def give_rights(handle: int, origin: os.stat_result) -> None:
    """Let those read a new file who may read another one, as far as the system lets us.

    Args:
        handle: Its descriptor; its owner alone may read it as yet.
        origin: What is known of the other one: its owner, its group and its mode.
    """
    mode = stat.S_IMODE(origin.st_mode) & 0o777
    if not _is_given(handle, origin):
        mode &= ~stat.S_IRWXG  # it is another group
    with suppress(OSError):  # a file system without rights; else its owner alone may read it
        os.fchmod(handle, mode)


def _is_given(handle: int, origin: os.stat_result) -> bool:
    """Give a file to an owner and a group, or to the group; tell whether it is the group's."""
    for owner in (origin.st_uid, -1):
        with suppress(OSError):  # the user is not root, or not in that group
            os.fchown(handle, owner, origin.st_gid)
            return True
    return os.fstat(handle).st_gid == origin.st_gid
