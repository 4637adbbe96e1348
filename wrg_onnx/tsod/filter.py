"""Make a tiny-object subset of data sets of salient objects."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from wrg_onnx.errors import DataError, OutputError
from wrg_onnx.progress import Progress, silent
from wrg_onnx.tsod.folder import (
    IMAGES,
    INDEX,
    MASKS,
    SHEET,
    About,
    check_apart,
    check_folder,
    check_sheet,
    holds,
    whole_folder,
    write_about,
)
from wrg_onnx.tsod.layouts import PairedSet, find_sets
from wrg_onnx.tsod.measure import Measured, read_binary
from wrg_onnx.tsod.pictures import decode, write_png
from wrg_onnx.tsod.sheet import Tile
from wrg_onnx.tsod.verdicts import FilterOptions, Sifted, refuse_faults, refuse_none, sift
from wrg_onnx.version import __version__

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TITLES = ("name", "width", "height", "area_fraction", "image", "dataset")


@dataclass(frozen=True, slots=True)
class SetCount:
    """What became of one data set, or of all.

    Attributes:
        dataset: Its name, or ``all``.
        images: The folder of its images, empty for all.
        masks: The folder of its masks, empty for all.
        pairs: How many images with masks it has: the sum of the next five.
        kept: How many are in the subset.
        larger: How many cover more than the largest area.
        smaller: How many cover less than the smallest area.
        empty: How many have no object.
        left_out: How many cannot be used; ``FilterReport.left_out`` says why.
        not_binary: How many masks had other pixels than 0 and 255.
        unpaired: How many images have no mask, and masks no image.
        median_area: The median area fraction of those kept, None without any.
    """

    dataset: str
    images: str
    masks: str
    pairs: int
    kept: int
    larger: int
    smaller: int
    empty: int
    left_out: int
    not_binary: int
    unpaired: int
    median_area: float | None


@dataclass(frozen=True, slots=True)
class FilterReport:
    """What a filtering kept, and what not.

    Attributes:
        source: The folder that was searched.
        output: The folder that was written.
        options: What was asked for.
        counts: Per data set, and last all together.
        left_out: A message for each pair that cannot be used.
        unpaired: The paths, without suffixes, of images without a mask and masks without an image.
        index: The file with a line per image.
        sheet: The picture sheet.
        on_sheet: How many images are on it.
    """

    source: str
    output: str
    options: FilterOptions
    counts: tuple[SetCount, ...]
    left_out: tuple[str, ...]
    unpaired: tuple[str, ...]
    index: str
    sheet: str
    on_sheet: int


def filter_sets(
    source: Path,
    output: Path,
    options: FilterOptions,
    *,
    sheet: Path | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> FilterReport:
    """Copy the images whose objects are small, into a folder that appears whole.

    Images are copied byte for byte; masks are written with 0 and 255 alone. Where there are
    several data sets, a file's name begins with its set's.

    Args:
        source: A data set, or a folder with data sets.
        output: The folder to write.
        options: What is kept.
        sheet: Where the picture sheet goes, None for the folder.
        force: Whether an existing set and sheet may be replaced.
        progress: Is told the stage, how many of its steps are done, and how many there are.

    Returns:
        What was kept of each data set, and where it is.

    Raises:
        DataError: If there is no data set, many of its files are of no use, or nothing is left.
        OutputError: If the folder is taken, holds what is filtered, or cannot be written; or if the
            sheet lies in what is filtered.
        UsageError: If the sheet has another suffix than .png.
    """
    # Before all else: with force, writing there would remove what is to be read.
    if holds(output, source):
        raise OutputError(f"output '{output}' holds the data set; --output names another folder")
    check_folder(output, force=force)
    check_sheet(sheet, output, force=force)
    sets = find_sets(source, skip=output)
    check_apart(output, sheet, [source, *(path for data in sets for path in data.sources())])
    found = sift(sets, options, progress)
    refuse_faults(found)
    refuse_none(source, found, options)
    with whole_folder(output, sheet) as (part, sheet_part):
        entries = list(_named(found))
        for place, (name, _, measured) in enumerate(entries):
            _copy(part, name, measured, options.threshold)
            progress("copy", place + 1, len(entries))
        rows = [
            (name, m.width, m.height, f"{m.area_fraction:.8f}",
             f"{IMAGES}/{name}{m.pair.image.suffix}", dataset)
            for name, dataset, m in entries
        ]  # fmt: skip
        counts = _counted(found, options)
        tiles = [
            Tile(partial(_read, m, options.threshold), name, m.area_fraction)
            for name, _, m in entries
        ]
        about = About(_TITLES, rows, _readme(options, counts), tiles)
        on_sheet = write_about(part, sheet_part, about, progress)
    return FilterReport(
        source=str(source),
        output=str(output),
        options=options,
        counts=counts,
        left_out=tuple(fault for each in found for fault in each.faults),
        unpaired=tuple(path for each in found for path in _unpaired(each.data)),
        index=str(output / INDEX),
        sheet=str(sheet or output / SHEET),
        on_sheet=on_sheet,
    )


def _named(found: Sequence[Sifted]) -> Iterator[tuple[str, str, Measured]]:
    """Yield the new name, the data set and what was measured, of each pair that is kept."""
    sources: dict[str, Path] = {}
    for each in found:
        start = f"{each.data.name.replace('/', '_')}_" if len(found) > 1 else ""
        for measured in each.kept:
            name = start + measured.pair.name
            other = sources.setdefault(name, measured.pair.image)
            if other is not measured.pair.image:
                raise DataError(
                    f"'{other}' and '{measured.pair.image}' would both be named '{name}': filter "
                    f"the data sets one by one"
                )
            yield name, each.data.name, measured


def _copy(part: Path, name: str, measured: Measured, threshold: int) -> None:
    image = measured.pair.image
    shutil.copyfile(image, part / IMAGES / f"{name}{image.suffix}")
    write_png(read_binary(measured.pair, threshold), part / MASKS / f"{name}.png")


def _read(measured: Measured, threshold: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return decode(measured.pair.image, "RGB"), read_binary(measured.pair, threshold)


def _unpaired(data: PairedSet) -> Iterator[str]:
    yield from (str(data.images / name) for name in data.without_mask)
    yield from (str(data.masks / name) for name in data.without_image)


def _counted(found: Sequence[Sifted], options: FilterOptions) -> tuple[SetCount, ...]:
    """Count per data set, and last all together."""
    counts = [_count(e.data.name, str(e.data.images), str(e.data.masks), [e], options)
              for e in found]  # fmt: skip
    return (*counts, _count("all", "", "", found, options))


def _count(
    name: str, images: str, masks: str, found: Sequence[Sifted], options: FilterOptions
) -> SetCount:
    kept = [m for each in found for m in each.kept]
    dropped = [m for each in found for m in each.dropped]
    return SetCount(
        dataset=name,
        images=images,
        masks=masks,
        pairs=sum(len(each.data.pairs) for each in found),
        kept=len(kept),
        larger=sum(m.area_fraction > options.max_area for m in dropped),
        smaller=sum(0 < m.area_fraction < options.min_area for m in dropped),
        empty=sum(m.area_fraction == 0 for m in dropped),
        left_out=sum(len(each.faults) for each in found),
        not_binary=sum(not m.binary for m in (*kept, *dropped)),
        unpaired=sum(len(list(_unpaired(each.data))) for each in found),
        median_area=median(m.area_fraction for m in kept) if kept else None,
    )


def _readme(options: FilterOptions, counts: Sequence[SetCount]) -> str:
    lines = "\n".join(f"| {c.dataset} | {c.pairs} | {c.kept} |" for c in counts)
    return f"""# A subset with small objects

Images whose objects cover {options.min_area:.6g} to {options.max_area:.6g} of the area, and at
least one pixel. A mask's pixel from {options.threshold} up, of 255, belongs to an object.

| data set | pairs | kept |
|---|---|---|
{lines}

- `images/`: copies, byte for byte.
- `masks/NAME.png`: gray, 255 on the objects and 0 elsewhere.
- `index.csv`: name, width, height, area_fraction (share of the pixels on objects), image (its
  file), dataset.

Made with wrg-onnx {__version__}. The images stay under the licence of their data set.
"""
