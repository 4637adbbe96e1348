"""Read and write image files, and name those that cannot be read."""

from __future__ import annotations

import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from wrg_onnx.errors import DataError, UnreadableError
from wrg_onnx.files import NOT_ORDINARY, is_special, open_ordinary

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")

MASK_THRESHOLD = 128
"""A mask's pixel at or above this value, of 255, belongs to the object."""

MOST_BROKEN = 0.05
"""The share of files that may be broken; of more, something else is wrong."""

_UNREADABLE = (
    OSError,  # absent, truncated, or no format that Pillow knows
    ValueError,  # NumPy: not an archive, or pickled objects
    EOFError,
    SyntaxError,  # Pillow's word for a broken PNG chunk
    RuntimeError,  # an encrypted archive
    MemoryError,  # a header that promises more than the machine holds
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    tokenize.TokenError,  # NumPy: a header with an open bracket
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def list_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """List a folder's files of some kinds by name, without hidden ones.

    Raises:
        UnreadableError: If the folder cannot be read, or one of them is a pipe or a device.
    """
    if not folder.is_dir():
        return []
    with reading(folder):
        found = sorted(
            file
            for file in folder.iterdir()
            if file.suffix.lower() in suffixes and not file.name.startswith(".")
        )
        special = next(filter(is_special, found), None)
        if special is not None:
            raise UnreadableError(f"cannot read '{special}': {NOT_ORDINARY}")
        return [file for file in found if file.is_file()]


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn what Pillow and NumPy raise on a broken file into one line that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except _UNREADABLE as error:
        why = getattr(error, "strerror", None) or error
        raise UnreadableError(f"cannot read '{file}': {why}") from error


def picture_size(file: Path) -> tuple[int, int]:
    """Return width and height from a file's header, in pixels."""
    with reading(file), open_ordinary(file) as stream, Image.open(stream) as picture:
        return picture.size


def decode(file: Path, mode: str) -> NDArray[np.uint8]:
    """Read a picture as 8-bit pixels.

    Args:
        file: Where it is.
        mode: ``"RGB"`` for (H, W, 3), ``"L"`` for (H, W).

    Raises:
        UnreadableError: If it cannot be read.
        DataError: If it has more than 8 bits a channel.
    """
    with reading(file), open_ordinary(file) as stream, Image.open(stream) as picture:
        if picture.mode.startswith(("I", "F")):
            raise DataError(f"'{file}' has pixels of mode '{picture.mode}': convert it to 8 bits")
        # Pillow warns where a palette's transparency would be lost on the way to RGB.
        opaque = picture.convert("RGBA") if "transparency" in picture.info else picture
        return np.array(opaque.convert(mode), dtype=np.uint8)


def write_png(pixels: NDArray[np.uint8], file: Path) -> None:
    """Write pixels, (H, W) gray or (H, W, 3) RGB, as a PNG.

    The same pixels give the same bytes as long as Pillow and its zlib are the same.
    """
    Image.fromarray(pixels).save(file, "PNG", optimize=False, compress_level=3)
