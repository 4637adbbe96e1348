"""``wrg-onnx cache``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import wrg_onnx
from wrg_onnx.cli.command import Command
from wrg_onnx.cli.options import output_options
from wrg_onnx.cli.output import emit

EXAMPLES = """\b
Examples:
  wrg-onnx cache
  wrg-onnx cache --clear
  WRG_ONNX_CACHE_LIMIT=500MiB wrg-onnx prune model.onnx --ratio 0.6
"""


@click.command("cache", cls=Command, epilog=EXAMPLES, short_help="Show or empty what prune keeps.")
@click.option("--clear", is_flag=True, help="Remove the files of kept statistics, nothing else.")
@click.option(
    "--cache", type=click.Path(path_type=Path, file_okay=False),
    help="The folder, if prune was given one. [the user's cache folder]",
)  # fmt: skip
@output_options
def cache_command(*, as_json: bool, **options: Any) -> None:
    """Show the folder where prune keeps what it measured: its files and their size.

    A later prune of the same model and images measures only what is new. Where the files exceed
    2 GiB together, or the size in the environment variable WRG_ONNX_CACHE_LIMIT (such as 500MiB),
    prune removes some: what it can measure in seconds first, then what was used longest ago.
    """
    emit(wrg_onnx.cache(**options), as_json=as_json)
