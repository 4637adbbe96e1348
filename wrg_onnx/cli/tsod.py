"""``wrg-onnx tsod make`` and ``wrg-onnx tsod filter``."""

from __future__ import annotations

from pathlib import Path

import click

from wrg_onnx.cli.options import Sides
from wrg_onnx.cli.output import emit, progress_bar
from wrg_onnx.errors import UsageError
from wrg_onnx.report import filter_text, make_text
from wrg_onnx.tsod import (
    BACKGROUNDS,
    FilterOptions,
    MakeOptions,
    filter_sets,
    make_set,
)

MADE, KEPT = MakeOptions(), FilterOptions()

MAKE_EXAMPLES = """\b
Examples:
  wrg-onnx tsod make --count 1000 --size 224 -o my_set
  wrg-onnx tsod make --background infrared --background sky
  wrg-onnx prune m.onnx --ratio 0.3 --data my_set
"""

FILTER_EXAMPLES = """\b
Examples:
  wrg-onnx tsod filter DUTS-TE --max-area 0.05
  wrg-onnx tsod filter my_data_sets --max-area 0.02 -o small
"""


@click.group("tsod", short_help="Make images of tiny objects, or filter sets for them.")
def tsod_command() -> None:
    """Data of tiny salient objects: made ones, or subsets of other data sets.

    Both write a folder that --data of the other commands reads: images/ and masks/, index.csv with
    area fractions, README.md, and sheet.png to look at.
    """


@tsod_command.command("make", epilog=MAKE_EXAMPLES, short_help="Make images with exact masks.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default="tsod", show_default=True,
    help="Folder to write.",
)  # fmt: skip
@click.option(
    "--count", type=int, default=MADE.count, show_default=True, help="How many images.",
)  # fmt: skip
@click.option(
    "--size", type=Sides(), metavar="HxW", default=f"{MADE.height}x{MADE.width}",
    show_default=True, help="Height and width in pixels, 16 to 8192.",
)  # fmt: skip
@click.option(
    "--background", "backgrounds", type=click.Choice(list(BACKGROUNDS)), multiple=True,
    help="Draw these backgrounds alone. [all]",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(min=0), default=MADE.seed, show_default=True,
    help="Seed of everything random.",
)  # fmt: skip
@click.option(
    "--sheet", type=click.Path(path_type=Path), metavar="FILE",
    help="Write the picture sheet here. [sheet.png in the folder]",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing set and sheet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def make_command(
    output: Path,
    count: int,
    size: tuple[int, int],
    *,
    backgrounds: tuple[str, ...],
    seed: int,
    sheet: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Make images of tiny salient objects with exact masks.

    One to three objects cover 0.05 % to 5 % of the area. The same seed gives the same bytes; image
    7 of 10 is image 7 of 1000.
    """
    options = MakeOptions(count, *size, seed, tuple(dict.fromkeys(backgrounds)))
    with progress_bar() as progress:
        report = make_set(output, options, sheet=sheet, force=force, progress=progress)
    emit(report, lambda: make_text(report), as_json=as_json)


@tsod_command.command(
    "filter", epilog=FILTER_EXAMPLES, short_help="Keep what has small objects alone."
)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--max-area", type=float, default=KEPT.max_area, show_default=True, metavar="SHARE",
    help="Largest share of the image that its objects may cover.",
)  # fmt: skip
@click.option(
    "--min-area", type=float, default=KEPT.min_area, show_default=True, metavar="SHARE",
    help="Smallest share; an image without an object never counts.",
)  # fmt: skip
@click.option(
    "--threshold", type=int, default=KEPT.threshold, show_default=True,
    help="A mask's pixel from here up to 255 belongs to an object.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder. [DIR-tiny]")
@click.option(
    "--sheet", type=click.Path(path_type=Path), metavar="FILE",
    help="Write the picture sheet here. [sheet.png in the folder]",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing set and sheet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def filter_command(
    folder: Path,
    output: Path | None,
    *,
    max_area: float,
    min_area: float,
    threshold: int,
    sheet: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Copy the images of a data set whose objects are small.

    DIR is a data set or holds some: folders images and masks, or as ECSSD, DUTS and HKU-IS name
    them. Images are copied as they are; masks are written with 0 and 255 alone.
    """
    options = FilterOptions(max_area, min_area, threshold)
    if output is None:
        named = folder.resolve() if folder.name in ("", "..") else folder
        if not named.name:
            raise UsageError(f"'{folder}' has no name to call the result after: give --output")
        output = named.with_name(f"{named.name}-tiny")
    with progress_bar() as progress:
        report = filter_sets(folder, output, options, sheet=sheet, force=force, progress=progress)
    emit(report, lambda: filter_text(report), as_json=as_json)
