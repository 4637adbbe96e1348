"""Temporary folders, in the system's place for them."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wrg_onnx.errors import OutputError
from wrg_onnx.files.held import hold_folder, marked, remove_leftovers

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system says of a file that does not fit on its disk, or is larger than is allowed."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a temporary folder that is removed in the end; those of killed runs go first.

    Raises:
        OutputError: If it cannot be made, or what is written to it does not fit.
    """
    place = Path(tempfile.gettempdir())
    remove_leftovers(place)
    try:
        folder, handle = hold_folder(lambda: place / marked(), 0o700)
    except OSError as error:
        raise _refusal(place, error) from error
    try:
        yield folder
    except OSError as error:
        # Outputs have errors of their own: this is of what was written here.
        if error.errno in FULL:
            raise _refusal(place, error) from error
        raise
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(handle)


def _refusal(place: Path, error: OSError) -> OutputError:
    return OutputError(
        f"'{place}' takes no temporary files: {error.strerror or error}; the environment variable "
        "TMPDIR names another folder for them"
    )
