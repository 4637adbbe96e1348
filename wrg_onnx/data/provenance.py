"""Which files a data set is made of, told so that another machine can say the same."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from wrg_onnx.tsod.pictures import IMAGE_SUFFIXES, list_files, reading


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 of the names and sizes of the files that ``from_directory`` lists.

    Args:
        folder: The folder of a data set.

    Returns:
        64 hexadecimal digits. Each file adds its path in the folder, with slashes, a zero byte, its
        size in bytes and a line break; images come first, then masks, then archives, each in the
        order of their names.

    Raises:
        UnreadableError: If a file is gone, or the folder cannot be read.
    """
    images = folder / "images" if (folder / "images").is_dir() else folder
    files = list_files(images, IMAGE_SUFFIXES)
    files += list_files(folder / "masks", IMAGE_SUFFIXES) + list_files(folder, (".npz",))
    found = hashlib.sha256()
    for file in files:
        with reading(file):
            size = file.stat().st_size
        name = os.fsencode(file.relative_to(folder).as_posix())
        found.update(b"%s\0%d\n" % (name, size))
    return found.hexdigest()
