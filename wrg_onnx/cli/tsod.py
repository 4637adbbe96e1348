"""``wrg-onnx tsod make`` and ``wrg-onnx tsod filter``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import wrg_onnx
from wrg_onnx.choices import BackgroundKind
from wrg_onnx.cli.choice import Group
from wrg_onnx.cli.command import Command
from wrg_onnx.cli.options import PATH, ImageSize, choice_of, defaults_of, output_options
from wrg_onnx.cli.output import emit, progress_bar

MADE, KEPT = defaults_of(wrg_onnx.tsod_make), defaults_of(wrg_onnx.tsod_filter)

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


@click.group("tsod", cls=Group, short_help="Make images of tiny objects, or filter sets for them.")
def tsod_command() -> None:
    """Data of tiny salient objects: made ones, or subsets of other data sets.

    Both write a folder that --data of the other commands reads: images/ and masks/, index.csv with
    area fractions, README.md, and sheet.png to look at.
    """


@tsod_command.command(
    "make", cls=Command, epilog=MAKE_EXAMPLES, short_help="Make images with exact masks."
)
@click.option(
    "-o", "--output", type=PATH, default=MADE["output"], show_default=True,
    help="Folder to write.",
)  # fmt: skip
@click.option(
    "--count", type=int, default=MADE["count"], show_default=True, help="How many images.",
)  # fmt: skip
@click.option(
    "--size", type=ImageSize(), metavar="HxW", default="{}x{}".format(*MADE["size"]),
    show_default=True, help="Height and width in pixels, 16 to 8192.",
)  # fmt: skip
@click.option(
    "--background", type=choice_of(BackgroundKind), multiple=True,
    help="Draw these backgrounds alone. [all]",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(min=0), default=MADE["seed"], show_default=True,
    help="Seed of everything random.",
)  # fmt: skip
@click.option(
    "--sheet", type=PATH, metavar="FILE",
    help="Write the picture sheet here. [sheet.png in the folder]",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing set and sheet.")
@output_options
def make_command(output: Path, *, as_json: bool, **options: Any) -> None:
    """Make images of tiny salient objects with exact masks.

    One to three objects cover 0.05 % to 5 % of the area. The same seed gives the same bytes; image
    7 of 10 is image 7 of 1000.
    """
    with progress_bar() as progress:
        result = wrg_onnx.tsod_make(output, progress=progress, **options)
    emit(result, as_json=as_json)


@tsod_command.command(
    "filter", cls=Command, epilog=FILTER_EXAMPLES, short_help="Keep what has small objects alone."
)
@click.argument("folder", type=PATH, metavar="DIR")
@click.option(
    "--max-area", type=float, default=KEPT["max_area"], show_default=True, metavar="SHARE",
    help="Largest share of the image that its objects may cover.",
)  # fmt: skip
@click.option(
    "--min-area", type=float, default=KEPT["min_area"], show_default=True, metavar="SHARE",
    help="Smallest share; an image without an object never counts.",
)  # fmt: skip
@click.option(
    "--threshold", type=int, default=KEPT["threshold"], show_default=True,
    help="A mask's pixel from here up to 255 belongs to an object.",
)  # fmt: skip
@click.option("-o", "--output", type=PATH, help="Folder. [DIR-tiny]")
@click.option(
    "--sheet", type=PATH, metavar="FILE",
    help="Write the picture sheet here. [sheet.png in the folder]",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing set and sheet.")
@output_options
def filter_command(folder: Path, output: Path | None, *, as_json: bool, **options: Any) -> None:
    """Copy the images of a data set whose objects are small.

    DIR is a data set or holds some: folders images and masks, or as ECSSD, DUTS and HKU-IS name
    them. Images are copied as they are; masks are written with 0 and 255 alone.
    """
    with progress_bar() as progress:
        result = wrg_onnx.tsod_filter(folder, output, progress=progress, **options)
    emit(result, as_json=as_json)
