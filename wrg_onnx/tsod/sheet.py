"""The picture sheet: some images of a set, each with the outline of its mask and its area."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_TILES = 40
COLUMNS = 8
TILE = 192
"""Side of the square that an image is fitted into, in pixels."""

_CAPTION = 18
_GAP = 6
_PAPER, _INK, _OUTLINE = (250, 250, 250), (30, 30, 30), (255, 0, 200)


@dataclass(frozen=True, slots=True)
class Tile:
    """One image on the sheet.

    Attributes:
        read: Returns the image, (H, W, 3) uint8, and the mask, (H, W) uint8 of 0 and 255.
        name: What stands below it.
        area_fraction: The share of the image under the mask.
    """

    read: Callable[[], tuple[NDArray[np.uint8], NDArray[np.uint8]]]
    name: str
    area_fraction: float


def write_sheet(tiles: Sequence[Tile], file: Path) -> int:
    """Draw some images of a set, evenly spaced, into one PNG.

    Args:
        tiles: All images of the set, at least one; a tile is read only if it is drawn.
        file: Where to.

    Returns:
        How many images were drawn, at most ``MOST_TILES``.
    """
    count = min(len(tiles), MOST_TILES)
    columns = min(count, COLUMNS)
    step, drop = TILE + _GAP, TILE + _CAPTION + _GAP
    size = (columns * step + _GAP, -(-count // columns) * drop + _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for place in range(count):
        tile = tiles[place * len(tiles) // count]
        left, top = _GAP + place % columns * step, _GAP + place // columns * drop
        picture = _outlined(*tile.read())
        corner = left + (TILE - picture.width) // 2, top + (TILE - picture.height) // 2
        sheet.paste(picture, corner)
        area = f"{tile.area_fraction:.{2 if tile.area_fraction >= 0.001 else 3}%}"
        room = TILE - draw.textlength(f" {area}", font)
        draw.text((left, top + TILE + 2), _shortened(tile.name, room, font), _INK, font)
        right = left + TILE - draw.textlength(area, font)
        draw.text((right, top + TILE + 2), area, _INK, font)
    sheet.save(file, "PNG", optimize=False, compress_level=6)
    return count


def _outlined(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Image.Image:
    """Fit an image into a tile, with a line around the mask that leaves the object in sight."""
    picture, object_mask = Image.fromarray(image), Image.fromarray(mask)
    scale = TILE / max(picture.size)
    width, height = (max(round(side * scale), 1) for side in picture.size)
    # Shrinking by the mean keeps an object that is smaller than a pixel of the tile.
    smooth = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    picture = picture.resize((width, height), smooth)
    covered = object_mask.resize((width, height), smooth).point(lambda value: 255 * (value > 0))
    inner, outer = (covered.filter(ImageFilter.MaxFilter(reach)) for reach in (5, 7))
    line = np.asarray(outer) > np.asarray(inner)
    picture.paste(_OUTLINE, mask=Image.fromarray(line))
    return picture


def _shortened(name: str, room: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return as much of a name as there is room for, in pixels."""
    if font.getlength(name) <= room:
        return name
    while name and font.getlength(f"{name}..") > room:
        name = name[:-1]
    return f"{name}.."
