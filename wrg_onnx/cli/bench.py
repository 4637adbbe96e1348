"""``wrg-onnx bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import wrg_onnx
from wrg_onnx.cli.options import MODEL, defaults_of, input_options, run_options
from wrg_onnx.cli.output import emit

DEFAULTS = defaults_of(wrg_onnx.bench)


@click.command("bench", short_help="Time models side by side.")
@click.argument("models", type=MODEL, nargs=-1, required=True)
@input_options
@click.option(
    "--rounds", type=click.IntRange(min=1), default=DEFAULTS["rounds"], show_default=True,
    help="Timed runs of each model, at most.",
)  # fmt: skip
@click.option(
    "--warmup", type=click.IntRange(min=0), default=DEFAULTS["warmup"], show_default=True,
    help="Runs of each model before the clock counts.",
)  # fmt: skip
@run_options
def bench_command(models: tuple[Path, ...], *, as_json: bool, **options: Any) -> None:
    """Time MODELS side by side in ONNX Runtime, in interleaved rounds.

    All must take the same inputs. It ends after --rounds or a minute, whichever is sooner.
    """
    emit(wrg_onnx.bench(*models, **options), as_json=as_json)
