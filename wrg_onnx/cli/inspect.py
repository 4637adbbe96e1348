"""``wrg-onnx inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wrg_onnx.channels import Limits
from wrg_onnx.cli.options import MODEL, input_options, read_data_options
from wrg_onnx.cli.output import emit
from wrg_onnx.pipeline.analyse import inspect
from wrg_onnx.report import inspect_text


@click.command("inspect", short_help="Show what can be cut, and what stays and why.")
@click.argument("model", type=MODEL)
@input_options
@click.option(
    "--keep", multiple=True, metavar="GLOB", help="Leave matching nodes or weights whole."
)
@click.option("--only", multiple=True, metavar="GLOB", help="Prune only the layers that match.")
@click.option(
    "--floor", type=float, default=0.1, show_default=True,
    help="Share of each layer that stays at least.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect_command(
    model: Path,
    *,
    keep: tuple[str, ...],
    only: tuple[str, ...],
    floor: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Show what of MODEL can be cut, what each layer width costs, and what is frozen and why."""
    report = inspect(model, read_data_options(options), Limits(keep, only), floor=floor)
    emit(report, lambda: inspect_text(report), as_json=as_json)
