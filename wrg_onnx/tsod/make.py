"""Make a set of tiny-salient-object images."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import PIL

from wrg_onnx.errors import UsageError
from wrg_onnx.progress import Progress, silent
from wrg_onnx.tsod.backgrounds import BACKGROUNDS
from wrg_onnx.tsod.folder import (
    IMAGES,
    INDEX,
    MASKS,
    SHEET,
    About,
    check_folder,
    check_sheet,
    whole_folder,
    write_about,
)
from wrg_onnx.tsod.pictures import decode, write_png
from wrg_onnx.tsod.scenes import SMALLEST_SIDE, draw_scene
from wrg_onnx.tsod.sheet import Tile
from wrg_onnx.version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_SIDE = 8192
"""In pixels; an image of that size takes some gigabytes while it is made."""

LARGEST_COUNT = 1_000_000
"""Names have six digits."""

_TITLES = ("name", "width", "height", "area_fraction", "objects", "background")

_TOGETHER = 256
"""So many images are handed to the threads at a time."""

_PIXELS_AT_ONCE = 2**24
"""So many pixels are in the making at a time, or one image; each takes about 75 bytes."""


@dataclass(frozen=True, slots=True)
class MakeOptions:
    """What to make.

    Attributes:
        count: How many images, 1 to 1,000,000.
        height: In pixels, 16 to 8192.
        width: In pixels, 16 to 8192.
        seed: With an image's number it decides everything about the image, not less than 0.
        backgrounds: Kinds to choose from; empty for all.

    Raises:
        UsageError: If a field is out of its range.
    """

    count: int = 100
    height: int = 320
    width: int = 320
    seed: int = 0
    backgrounds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.count <= LARGEST_COUNT:
            raise UsageError(f"count must be in 1 to {LARGEST_COUNT:,}, got {self.count}")
        for side in (self.height, self.width):
            if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
                raise UsageError(
                    f"size must be {SMALLEST_SIDE}x{SMALLEST_SIDE} to "
                    f"{LARGEST_SIDE}x{LARGEST_SIDE}, got {self.height}x{self.width}"
                )
        if self.seed < 0:
            raise UsageError(f"seed must not be negative, got {self.seed}")
        for name in self.backgrounds:
            if name not in BACKGROUNDS:
                known = ", ".join(BACKGROUNDS)
                raise UsageError(f"no background '{name}': there are {known}")


@dataclass(frozen=True, slots=True)
class MadeImage:
    """One line of the index.

    Attributes:
        name: Its file's, without the suffix: six digits.
        area_fraction: The share of its pixels that lie on objects.
        objects: How many.
        background: Its kind.
    """

    name: str
    area_fraction: float
    objects: int
    background: str


@dataclass(frozen=True, slots=True)
class BackgroundCount:
    """The images of one background, or all.

    Attributes:
        background: Its kind, or ``all``.
        images: How many.
        objects: How many in all of them.
        smallest: The smallest area fraction.
        median: The median area fraction.
        largest: The largest area fraction.
    """

    background: str
    images: int
    objects: int
    smallest: float
    median: float
    largest: float


@dataclass(frozen=True, slots=True)
class MakeReport:
    """What was made.

    Attributes:
        output: The folder.
        images: How many.
        height: In pixels.
        width: In pixels.
        seed: What they were drawn from.
        counts: Per background in the order of their names, and last all together.
        index: The file with a line per image.
        sheet: The picture sheet.
        on_sheet: How many images are on it.
    """

    output: str
    images: int
    height: int
    width: int
    seed: int
    counts: tuple[BackgroundCount, ...]
    index: str
    sheet: str
    on_sheet: int


def make_set(
    output: Path,
    options: MakeOptions,
    *,
    sheet: Path | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> MakeReport:
    """Make images with masks, an index and a picture sheet, in a folder that appears whole.

    Image k of a seed and size is the same however many are made, in whatever order.

    Args:
        output: The folder.
        options: How many, how large, from which seed.
        sheet: Where the picture sheet goes, None for the folder.
        force: Whether an existing set and sheet may be replaced.
        progress: Is told the stage, how many of its steps are done, and how many there are.

    Returns:
        What was made of each background, and where it is.

    Raises:
        OutputError: If the folder is taken or cannot be written.
        UsageError: If the sheet has another suffix than .png.
    """
    check_folder(output, force=force)
    check_sheet(sheet, output, force=force)
    with whole_folder(output, sheet) as (part, sheet_part):
        made = _draw_all(part, options, progress)
        rows = [
            (m.name, options.width, options.height, f"{m.area_fraction:.8f}", m.objects,
             m.background)
            for m in made
        ]  # fmt: skip
        tiles = [Tile(partial(_read, part, m.name), m.name, m.area_fraction) for m in made]
        about = About(_TITLES, rows, _readme(options), tiles)
        on_sheet = write_about(part, sheet_part, about, progress)
    return MakeReport(
        output=str(output),
        images=len(made),
        height=options.height,
        width=options.width,
        seed=options.seed,
        counts=_counted(made),
        index=str(output / INDEX),
        sheet=str(sheet or output / SHEET),
        on_sheet=on_sheet,
    )


def _draw_all(part: Path, options: MakeOptions, progress: Progress) -> list[MadeImage]:
    """Draw and write all images; NumPy and zlib let other threads run meanwhile."""
    made: list[MadeImage] = []
    most = max(_PIXELS_AT_ONCE // (options.height * options.width), 1)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, most, 8)) as threads:
        for first in range(0, options.count, _TOGETHER):
            indices = range(first, min(first + _TOGETHER, options.count))
            for image in threads.map(partial(_draw_one, part, options), indices):
                made.append(image)
                progress("make", len(made), options.count)
    return made


def _draw_one(part: Path, options: MakeOptions, index: int) -> MadeImage:
    # A generator of its own per image: it is the same whatever was drawn before it.
    rng = np.random.default_rng([options.seed, index])
    scene = draw_scene(rng, options.height, options.width, options.backgrounds)
    name = f"{index:06d}"
    write_png(scene.image, part / IMAGES / f"{name}.png")
    write_png(scene.mask, part / MASKS / f"{name}.png")
    return MadeImage(name, scene.area_fraction, scene.objects, scene.background)


def _read(folder: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    file = f"{name}.png"
    return decode(folder / IMAGES / file, "RGB"), decode(folder / MASKS / file, "L")


def _counted(made: list[MadeImage]) -> tuple[BackgroundCount, ...]:
    names = [name for name in BACKGROUNDS if any(m.background == name for m in made)]
    groups = {name: [m for m in made if m.background == name] for name in names}
    return tuple(
        BackgroundCount(
            background=name,
            images=len(images),
            objects=sum(m.objects for m in images),
            smallest=min(m.area_fraction for m in images),
            median=median(m.area_fraction for m in images),
            largest=max(m.area_fraction for m in images),
        )
        for name, images in {**groups, "all": made}.items()
    )


def _readme(options: MakeOptions) -> str:
    size = f"{options.height}x{options.width}"
    chosen = "".join(f" --background {name}" for name in options.backgrounds)
    return f"""# Tiny salient objects

{options.count} made images of {size} pixels (height x width) with exact masks. Our own set, drawn
by a generator; not the set of the WRGPruner paper, which is not public.

    wrg-onnx tsod make --count {options.count} --size {size} --seed {options.seed}{chosen}

- `images/NAME.png`: RGB, 8 bits.
- `masks/NAME.png`: gray, 255 on the objects and 0 elsewhere.
- `index.csv`: name, width, height, area_fraction (share of the pixels on objects), objects,
  background.

Made with wrg-onnx {__version__}, NumPy {np.__version__}, Pillow {PIL.__version__}: with these the
same command gives the same bytes.
"""
