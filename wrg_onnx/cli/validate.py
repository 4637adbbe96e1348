"""``wrg-onnx validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import wrg_onnx
from wrg_onnx.cli.command import Command
from wrg_onnx.cli.options import MODEL, PATH, data_options, run_options
from wrg_onnx.cli.output import emit, progress_bar
from wrg_onnx.errors import ValidationError


@click.command("validate", cls=Command, short_help="Hold a pruned model against its original.")
@click.argument("original", type=MODEL)
@click.argument("pruned", type=MODEL)
@data_options
@click.option(
    "--export-inputs", type=PATH, metavar="FILE.json",
    help="Write what PRUNED is fed, and what it gives beside it, as FILE.outputs.json: `polygraphy "
    "run` repeats the check on TensorRT.",
)  # fmt: skip
@click.option("--report", type=PATH, metavar="FILE.html", help="Write a page of the report.")
@click.option("--force", is_flag=True, help="Replace these files where they are there.")
@click.option(
    "--strict", is_flag=True,
    help="Exit with 3 if an output of ORIGINAL is always the same, so that it tells nothing.",
)  # fmt: skip
@run_options
def validate_command(original: Path, pruned: Path, *, as_json: bool, **options: Any) -> None:
    """Hold PRUNED against ORIGINAL: structure, saliency metrics, latency.

    Of --data the quarter is judged that `prune` with the same --seed does not look at. With a
    wrong structure nothing is run, and the exit code is 3.
    """
    with progress_bar() as progress:
        result = wrg_onnx.validate(original, pruned, progress=progress, **options)
    emit(result, as_json=as_json)
    if result.report.problems:
        click.get_current_context().exit(ValidationError.exit_code)
