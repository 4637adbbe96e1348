"""``wrg_onnx.tsod_make`` and ``wrg_onnx.tsod_filter``; they need numpy and Pillow alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wrg_onnx.errors import UsageError
from wrg_onnx.pipeline.api.arguments import (
    AnyPath,
    AnySize,
    read_count,
    read_flag,
    read_number,
    read_optional_path,
    read_path,
    read_size,
    read_texts,
)
from wrg_onnx.pipeline.result import Result
from wrg_onnx.progress import Progress, silent

if TYPE_CHECKING:
    from wrg_onnx.tsod import FilterReport, MakeReport


def tsod_make(
    output: AnyPath = "tsod",
    *,
    count: int = 100,
    size: AnySize = (320, 320),
    background: str | Sequence[str] = (),
    seed: int = 0,
    sheet: AnyPath | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Result[MakeReport]:
    """Make images of tiny salient objects with exact masks, in a folder that appears whole.

    One to three objects cover 0.05 % to 5 % of the area. The same seed gives the same bytes; image
    7 of 10 is image 7 of 1000. The folder is what ``data`` of the other functions reads: images/
    and masks/, index.csv with area fractions, README.md, and sheet.png to look at.

    Args:
        output: The folder to write.
        count: How many images, 1 to 1,000,000.
        size: (height, width) in pixels, 16 to 8192, or one number for both.
        background: Kinds of background to draw; empty for all.
        seed: Seed of everything random, at least 0.
        sheet: Where the picture sheet goes; None is sheet.png in the folder.
        force: Whether an existing set and sheet may be replaced.
        progress: Called with a stage's name, how much of it is done, and how much there is.

    Returns:
        The report: how many images and objects of each background, and where they are.

    Raises:
        UsageError: If a parameter is out of its range; the message lists what is allowed.
        OutputError: If the folder is taken or cannot be written.

    Examples:
        >>> import wrg_onnx
        >>> result = wrg_onnx.tsod_make("build/tsod-example", count=2, size=64, force=True)
        >>> result.report.images
        2
    """
    from wrg_onnx.tsod import MakeOptions, make_set

    options = MakeOptions(
        read_count("count", count),
        *read_size("size", size),
        read_count("seed", seed),
        tuple(dict.fromkeys(read_texts("background", background))),
    )
    return Result(
        make_set(
            read_path("output", output),
            options,
            sheet=read_optional_path("sheet", sheet),
            force=read_flag("force", force),
            progress=progress or silent,
        )
    )


def tsod_filter(
    folder: AnyPath,
    output: AnyPath | None = None,
    *,
    max_area: float = 0.05,
    min_area: float = 0.0,
    threshold: int = 128,
    sheet: AnyPath | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Result[FilterReport]:
    """Copy the images of a data set whose objects are small, into a folder that appears whole.

    Images are copied as they are; masks are written with 0 and 255 alone.

    Args:
        folder: A data set, or a folder that holds some: with folders images and masks, or as ECSSD,
            DUTS and HKU-IS name them.
        output: The folder to write; None is ``folder`` with ``-tiny`` added to its name.
        max_area: Largest share of the image that its objects may cover, in (0, 1].
        min_area: Smallest share, in [0, max_area]; an image without an object never counts.
        threshold: A mask's pixel from here up to 255 belongs to an object, 1 to 255.
        sheet: Where the picture sheet goes; None is sheet.png in the folder.
        force: Whether an existing set and sheet may be replaced.
        progress: Called with a stage's name, how much of it is done, and how much there is.

    Returns:
        The report: what was kept of each data set, and what not and why.

    Raises:
        UsageError: If a parameter is out of its range; the message lists what is allowed.
        DataError: If there is no data set, many of its files are of no use, or nothing is left.
        OutputError: If the folder is taken, holds what is filtered, or cannot be written.

    Examples:
        >>> import wrg_onnx
        >>> made = wrg_onnx.tsod_make("build/tsod-example", count=2, size=64, force=True)
        >>> result = wrg_onnx.tsod_filter("build/tsod-example", force=True)
        >>> result.report.output
        'build/tsod-example-tiny'
    """
    from wrg_onnx.tsod import FilterOptions, filter_sets

    options = FilterOptions(
        read_number("max_area", max_area),
        read_number("min_area", min_area),
        read_count("threshold", threshold),
    )
    source, target = read_path("folder", folder), read_optional_path("output", output)
    if target is None:
        named = source.resolve() if source.name in ("", "..") else source
        if not named.name:
            raise UsageError(f"'{source}' has no name to call the result after: give --output")
        target = named.with_name(f"{named.name}-tiny")
    return Result(
        filter_sets(
            source,
            target,
            options,
            sheet=read_optional_path("sheet", sheet),
            force=read_flag("force", force),
            progress=progress or silent,
        )
    )
