"""``wrg-onnx inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import wrg_onnx
from wrg_onnx.cli.command import Command
from wrg_onnx.cli.options import (
    MODEL,
    defaults_of,
    input_options,
    limit_options,
    output_options,
)
from wrg_onnx.cli.output import emit, progress_bar

DEFAULTS = defaults_of(wrg_onnx.inspect)


@click.command("inspect", cls=Command, short_help="Show what can be cut, and what stays and why.")
@click.argument("model", type=MODEL)
@input_options
@limit_options
@click.option(
    "--floor", type=float, default=DEFAULTS["floor"], show_default=True,
    help="Share of each layer that stays at least.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Stop at an operator without a rule.")
@output_options
def inspect_command(model: Path, *, as_json: bool, **options: Any) -> None:
    """Show what of MODEL can be cut, what each layer width costs, and what is frozen and why."""
    with progress_bar() as progress:
        result = wrg_onnx.inspect(model, progress=progress, **options)
    emit(result, as_json=as_json)
