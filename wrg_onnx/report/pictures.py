"""Small pictures for reports."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from wrg_onnx.report.details import PICTURE_BYTES, PICTURE_SIDE, Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHRINK = 0.8
"""How much smaller a picture gets whose file is too large."""


def small_picture(pixels: NDArray[np.uint8]) -> Picture:
    """Return a picture that is small on a page, and in a file.

    Args:
        pixels: (H, W) gray or (H, W, 3) RGB. A side of more than ``PICTURE_SIDE`` is shrunk by
            Pillow's box filter, which averages; nothing is enlarged.
    """
    picture = Image.fromarray(pixels)
    largest = min(PICTURE_SIDE, max(picture.size))
    while True:
        scale = largest / max(picture.size)
        width, height = (max(1, round(scale * side)) for side in picture.size)
        png = _png(picture.resize((width, height), Image.Resampling.BOX))
        if len(png) <= PICTURE_BYTES:
            return Picture(png, width, height)
        largest = int(SHRINK * largest)


def gray_pixels(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return (H, W) values in [0, 1] as gray pixels; what is outside is black or white."""
    return np.asarray(np.rint(255 * np.clip(values, 0, 1)), np.uint8)


def _png(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")
