"""Output files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wrg_onnx.errors import OutputError


def check_output(path: Path, *, force: bool, option: str = "--output") -> None:
    """Refuse an output path early, before the work is done.

    Args:
        path: Where something is going to be written.
        force: Whether an existing file may be replaced.
        option: Names another file.

    Raises:
        OutputError: If the file exists and ``force`` is off, or its folder is not there.
    """
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder; name a file, such as '{path / 'model.onnx'}'")
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
