"""``wrg-onnx cache``."""

from __future__ import annotations

from pathlib import Path

import click

from wrg_onnx.calibrate import Cache, cache_folder, cache_limit
from wrg_onnx.cli.output import emit
from wrg_onnx.report import cache_text

EXAMPLES = """\b
Examples:
  wrg-onnx cache
  wrg-onnx cache --clear
  WRG_ONNX_CACHE_LIMIT=500MiB wrg-onnx prune model.onnx --ratio 0.6
"""


@click.command("cache", epilog=EXAMPLES, short_help="Show or empty what prune keeps.")
@click.option("--clear", is_flag=True, help="Remove the files of kept statistics, nothing else.")
@click.option(
    "--cache", type=click.Path(path_type=Path, file_okay=False),
    help="The folder, if prune was given one. [the user's cache folder]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def cache_command(*, clear: bool, cache: Path | None, as_json: bool) -> None:
    """Show the folder where prune keeps what it measured: its files and their size.

    A later prune of the same model and images measures only what is new. Where the files exceed
    2 GiB together, or the size in the environment variable WRG_ONNX_CACHE_LIMIT (such as 500MiB),
    prune removes those that were used longest ago.
    """
    kept = Cache(cache or cache_folder(), cache_limit())
    report = kept.report(kept.clear() if clear else ())
    emit(report, lambda: cache_text(report), as_json=as_json)
