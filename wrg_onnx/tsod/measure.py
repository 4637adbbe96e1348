"""How much of an image its mask covers, and what is wrong with either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wrg_onnx.errors import DataError
from wrg_onnx.tsod.layouts import Pair
from wrg_onnx.tsod.pictures import decode, picture_size

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Measured:
    """What a pair of files was found to be.

    Attributes:
        pair: The files.
        width: In pixels.
        height: In pixels.
        area_fraction: The share of pixels on objects, in [0, 1].
        binary: Whether the mask's pixels were all 0 or 255.
    """

    pair: Pair
    width: int
    height: int
    area_fraction: float
    binary: bool


def measure(pair: Pair, threshold: int) -> Measured:
    """Measure one mask.

    Args:
        pair: The files.
        threshold: A mask's pixel at or above it, of 255, belongs to an object.

    Returns:
        The image's size, the share of it under the mask, and whether the mask is binary.

    Raises:
        UnreadableError: If a file cannot be read.
        DataError: If image and mask differ in size, a file has more than 8 bits a channel, or the
            mask has pixels above 0 and all are below the threshold.
    """
    size, mask_size = picture_size(pair.image), picture_size(pair.mask)
    if size != mask_size:
        raise DataError(
            f"mask '{pair.mask}' is {mask_size[0]}x{mask_size[1]} pixels, "
            f"its image is {size[0]}x{size[1]}"
        )
    values = decode(pair.mask, "L")
    brightest = int(values.max())
    if 0 < brightest < threshold:
        raise DataError(
            f"mask '{pair.mask}' is empty: its brightest pixel is {brightest}, and objects are "
            f"{threshold} to 255; --threshold 1 takes every pixel above 0"
        )
    covered = int(np.count_nonzero(values >= threshold))
    binary = bool(((values == 0) | (values == 255)).all())
    return Measured(pair, size[0], size[1], covered / values.size, binary)


def read_binary(pair: Pair, threshold: int) -> NDArray[np.uint8]:
    """Return a mask, (H, W) uint8, of 0 and 255 alone."""
    return np.where(decode(pair.mask, "L") >= threshold, np.uint8(255), np.uint8(0))
