"""Data sets on disk, in the layouts that are around."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def write_pair(images: Path, masks: Path, name: str, covered: int, *, suffix: str = ".jpg") -> None:
    """Write a 20 x 10 image, and a mask with so many pixels on the object."""
    for folder in (images, masks):
        folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(covered).integers(0, 255, (10, 20, 3), np.uint8)
    Image.fromarray(noise).save(images / f"{name}{suffix}")
    mask = np.zeros(200, np.uint8)
    mask[:covered] = 255
    Image.fromarray(mask.reshape(10, 20)).save(masks / f"{name}.png")


@pytest.fixture
def make_data(tmp_path) -> Callable[..., Path]:
    """Write a data set whose masks cover 1, 10, 11, 100 and 0 of 200 pixels."""

    def make(folder="set", images="images", masks="masks", covered=(1, 10, 11, 100, 0)) -> Path:
        root = tmp_path / folder
        for number, count in enumerate(covered):
            write_pair(root / images, root / masks, f"n{number}", count)
        return root

    return make
