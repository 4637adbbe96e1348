"""``wrg-onnx inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wrg_onnx.cli.options import (
    MODEL,
    input_options,
    limit_options,
    read_data_options,
    read_limits,
)
from wrg_onnx.cli.output import emit
from wrg_onnx.pipeline.analyse import inspect
from wrg_onnx.report import inspect_text


@click.command("inspect", short_help="Show what can be cut, and what stays and why.")
@click.argument("model", type=MODEL)
@input_options
@limit_options
@click.option(
    "--floor", type=float, default=0.1, show_default=True,
    help="Share of each layer that stays at least.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Stop at an operator without a rule.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect_command(
    model: Path,
    *,
    floor: float,
    strict: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show what of MODEL can be cut, what each layer width costs, and what is frozen and why."""
    limits = read_limits(options)
    report = inspect(model, read_data_options(options), limits, floor=floor, strict=strict)
    emit(report, lambda: inspect_text(report), as_json=as_json)
