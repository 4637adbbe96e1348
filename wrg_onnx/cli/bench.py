"""``wrg-onnx bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Group

from wrg_onnx.cli.options import MODEL, input_options, read_data_options, run_options
from wrg_onnx.cli.output import emit
from wrg_onnx.evaluate.judge import Timing
from wrg_onnx.graph.session import Provider
from wrg_onnx.pipeline.compare import bench
from wrg_onnx.report import bench_text
from wrg_onnx.report.records import BenchReports


@click.command("bench", short_help="Time models side by side.")
@click.argument("models", type=MODEL, nargs=-1, required=True)
@input_options
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Timed runs of each model, at most.",
)
@click.option(
    "--warmup", type=click.IntRange(min=0), default=5, show_default=True,
    help="Runs of each model before the clock counts.",
)  # fmt: skip
@run_options
def bench_command(
    models: tuple[Path, ...],
    *,
    rounds: int,
    warmup: int,
    provider: Provider,
    seed: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Time MODELS side by side in ONNX Runtime, in interleaved rounds.

    All must take the same inputs. It ends after --rounds or a minute, whichever is sooner.
    """
    timing = Timing(warmup, rounds, budget_s=60.0)
    reports = bench(models, read_data_options(options), provider=provider, timing=timing, seed=seed)
    emit(BenchReports(reports), lambda: Group(*(bench_text(r) for r in reports)), as_json=as_json)
