"""Paths that cannot be written to are refused before the work, not after it."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from wrg_onnx.errors import OutputError
from wrg_onnx.files.held import longest_name, remove_leftovers


def check_output(path: Path, *, force: bool, option: str = "--output") -> None:
    """Refuse an output path early, before the work is done.

    What killed runs have left in its folder, and in that for temporary files, is removed.

    Args:
        path: Where something is going to be written.
        force: Whether an existing file may be replaced.
        option: Names another file.

    Raises:
        OutputError: If there is a file and ``force`` is off, or something that is no file, or the
            name is too long, or the folder takes no file.
    """
    try:
        folder = nearest_folder(path)
        _check_names(path, folder, option)
        _check_place(path, force=force, option=option)
        for place in (folder, Path(tempfile.gettempdir())):
            remove_leftovers(place)
    except (OSError, ValueError) as error:  # the latter of a name with a zero in it
        why = getattr(error, "strerror", None) or error
        raise OutputError(f"'{path}': cannot be written: {why}") from error
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OutputError(f"'{path}': '{folder}' is not a folder that can be written to")
    try:
        tempfile.TemporaryFile(dir=folder).close()  # rights alone do not tell
    except OSError as error:
        raise OutputError(
            f"'{path}': cannot be written: '{folder}' takes no file: {error.strerror or error}"
        ) from error


def nearest_folder(path: Path) -> Path:
    """Return the folder that a file goes to, or the first above it that is there."""
    return next(parent for parent in path.absolute().parents if os.path.lexists(parent))


def _check_place(path: Path, *, force: bool, option: str) -> None:
    """Refuse a path by what is there."""
    try:
        kind = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise OutputError(
                f"'{path}' is a link to '{path.readlink()}', which is not there: remove it, or "
                f"name another file ({option})"
            ) from None
        return
    if stat.S_ISDIR(kind):
        raise OutputError(f"'{path}' is a folder; name a file, such as '{path / 'model.onnx'}'")
    if not stat.S_ISREG(kind):
        raise OutputError(f"'{path}' is a device or a pipe, not a file; {option} names another")
    if not force:
        raise OutputError(f"'{path}' exists; --force replaces it, {option} names another file")


def _check_names(path: Path, folder: Path, option: str) -> None:
    """Refuse names that the file system does not take, of folders that will be made, too."""
    most = longest_name(folder)
    absolute = path.absolute()
    for name in absolute.parts[len(folder.parts) :]:
        size = len(os.fsencode(name))
        if size > most:
            raise OutputError(
                f"'{path}': the name '{name[:40]}...' has {size} bytes, and its file system takes "
                f"{most}; {option} names another file"
            )
