"""What is being written lies beside its place, and takes it in one move."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wrg_onnx.files.held import (
    PART,
    beside,
    hidden,
    hold_file,
    hold_folder,
    remove_leftovers,
)

OLD = ".old"
"""How the names end of what was in the place of something new, and is still needed."""


@contextmanager
def renamed(path: Path, *, lasting: bool = True, rights: int = 0o666) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that takes its place when all went well.

    Its folder must be there; what killed runs have left in it is removed.

    Args:
        path: What shall appear.
        lasting: Whether it must be whole after the machine lost its power, too. That waits for the
            disk; what can be made again need not.
        rights: Of the file, before the mask of the process: those of any new file.

    Raises:
        OSError: If it cannot be written or moved; what was at ``path`` is still there.
    """
    remove_leftovers(path.parent)
    part, handle = hold_file(lambda: beside(path, PART), rights)
    try:
        yield part
        if lasting:
            os.fsync(handle)
        part.replace(path)
        if lasting:
            flush_folder(path.parent)
    finally:
        try:
            part.unlink(missing_ok=True)
        finally:
            os.close(handle)


@contextmanager
def part_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path``, which is removed in the end.

    Args:
        path: What is going to be made of what is in it.

    Raises:
        OSError: If it cannot be made.
    """
    remove_leftovers(path.parent)
    folder, handle = hold_folder(lambda: beside(path, PART), 0o777)
    try:
        yield folder
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def old_beside(path: Path) -> Path:
    """Return a new name for what is at ``path``, while something else takes its place."""
    return beside(path, OLD)


def remove_old(path: Path) -> None:
    """Remove what had such names of a file, once nothing needs it; what cannot be removed stays."""
    name = re.compile(
        rf"{re.escape(hidden(path, OLD))}wrg-onnx-[0-9a-f]{{8}}-[0-9a-f]{{12}}{re.escape(OLD)}"
    )
    with suppress(OSError):
        for one in path.parent.iterdir():
            if name.fullmatch(one.name):
                one.unlink(missing_ok=True)
