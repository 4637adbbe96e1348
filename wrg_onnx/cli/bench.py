"""``wrg-onnx bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import wrg_onnx
from wrg_onnx.cli.command import Command
from wrg_onnx.cli.options import (
    MODEL,
    SEED_OPTION,
    Counts,
    defaults_of,
    input_options,
    output_options,
)
from wrg_onnx.cli.output import emit, progress_bar

DEFAULTS = defaults_of(wrg_onnx.bench)


@click.command("bench", cls=Command, short_help="Time models side by side.")
@click.argument("models", type=MODEL, nargs=-1, required=True)
@input_options
@click.option(
    "--batch", type=Counts(), metavar="N,M",
    help="Samples in a run, each in turn, where inputs leave it open. [1]",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(min=1), default=DEFAULTS["rounds"], show_default=True,
    help="Turns of each model, at most; fast ones run up to 10 times in a turn.",
)  # fmt: skip
@click.option(
    "--warmup", type=click.IntRange(min=0), default=DEFAULTS["warmup"], show_default=True,
    help="Runs in each process before the clock counts.",
)  # fmt: skip
@click.option(
    "--processes", type=click.IntRange(min=1), default=DEFAULTS["processes"], show_default=True,
    help="Processes of each model, one after the other.",
)  # fmt: skip
@click.option("--threads", type=int, help="Threads in a process. [one a core]")
@click.option("--profile", is_flag=True, help="Show the time of each layer, on the CPU.")
@click.option(
    "--provider", default=DEFAULTS["provider"], show_default=True, metavar="NAME",
    help="Where ONNX Runtime computes: auto (the CPU, and CUDA if there), cpu, cuda, or another "
    "that it has, such as openvino.",
)  # fmt: skip
@SEED_OPTION
@output_options
def bench_command(models: tuple[Path, ...], *, as_json: bool, **options: Any) -> None:
    """Time MODELS side by side in ONNX Runtime, in interleaved rounds.

    All must take the same inputs. Each runs in processes of its own; what is less than their noise
    is no difference. It ends after --rounds or a minute, whichever is sooner.
    """
    with progress_bar() as progress:
        result = wrg_onnx.bench(*models, progress=progress, **options)
    emit(result, as_json=as_json)
