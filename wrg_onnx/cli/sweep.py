"""``wrg-onnx sweep``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import wrg_onnx
from wrg_onnx.choices import BudgetKind, Recovery
from wrg_onnx.cli.command import Command
from wrg_onnx.cli.names import CRITERIA, METRIC
from wrg_onnx.cli.options import (
    MODEL,
    PATH,
    Alignment,
    Ratios,
    choice_of,
    data_options,
    defaults_of,
    limit_options,
    run_options,
)
from wrg_onnx.cli.output import emit, progress_bar

DEFAULTS = defaults_of(wrg_onnx.sweep)

EXAMPLES = """\b
Examples:
  wrg-onnx sweep model.onnx --data my_images
  wrg-onnx sweep model.onnx --ratios 0.1:0.5:0.05 --criteria sel,l1
  wrg-onnx sweep model.onnx --ratios 0.3,0.6 --plot sweep.svg --out-dir cuts
"""


@click.command(
    "sweep", cls=Command, epilog=EXAMPLES, short_help="Show how small a model gets, at what price."
)
@click.argument("model", type=MODEL)
@click.option(
    "--ratios", type=Ratios(), default=DEFAULTS["ratios"], show_default=True, metavar="A:B:STEP",
    help="Shares of the budget to remove: a range with both ends, or numbers with commas between.",
)  # fmt: skip
@click.option(
    "--criteria", type=CRITERIA, default=DEFAULTS["criteria"], show_default=True, metavar="A,B",
    help="How a channel's worth is scored: the values of prune's --criterion.",
)  # fmt: skip
@click.option(
    "--metric", type=METRIC, metavar="NAME",
    help="What is shown: max F, mean F, weighted F, S-measure, max E, MAE, size-invariant max F, "
    "..., or the outputs' relative error. [max F with masks, else relative error]",
)  # fmt: skip
@click.option("--plot", type=PATH, metavar="FILE.svg", help="Draw the curves.")
@click.option("--report", type=PATH, metavar="FILE.html", help="Write a page of the report.")
@click.option("--out-dir", type=PATH, help="Write every cut here, as MODEL.CRITERION.RATIO.onnx.")
@click.option(
    "--budget", type=choice_of(BudgetKind), default=DEFAULTS["budget"], show_default=True,
    help="The quantity that ratios speak of.",
)  # fmt: skip
@click.option(
    "--align", type=Alignment(),
    help="Keep layers in multiples of so many channels; auto: what this machine's kernels like.",
)  # fmt: skip
@click.option(
    "--scope", type=choice_of(wrg_onnx.Scope), default=DEFAULTS["scope"], show_default=True,
    help="Whether all channels compete, or each layer loses the same share.",
)  # fmt: skip
@click.option(
    "--floor", type=float, default=DEFAULTS["floor"], show_default=True,
    help="Share of each layer that stays at least.",
)  # fmt: skip
@click.option(
    "--recover", type=choice_of(Recovery),
    help="How surviving weights make up for removed ones. [ridge, none for random inputs]",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(min=1), default=DEFAULTS["rounds"], show_default=True,
    help="Steps to each ratio.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="Of --recover finetune. [20]")
@data_options
@click.option(
    "--at-objects", type=float, default=DEFAULTS["at_objects"], show_default=True,
    help="Share of the places where layers are looked at that lies on objects.",
)  # fmt: skip
@click.option(
    "--certainty", type=float, default=DEFAULTS["certainty"],
    help="Stop calibrating where more images would hardly change the choice; 1: never. [0.98]",
)  # fmt: skip
@click.option(
    "--cache", type=click.Path(path_type=Path, file_okay=False),
    help="Keep finished points here, and what was measured: a sweep that was stopped goes on. "
    "[the user's cache folder]",
)  # fmt: skip
@click.option("--no-cache", is_flag=True, help="Make every point anew, and keep nothing.")
@click.option("--amp", is_flag=True, help="Compute gradients in bfloat16.")
@limit_options
@click.option(
    "--strict", is_flag=True,
    help="Stop at an operator without a rule, and where the proof says nothing of a layer.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace files that are there.")
@run_options
def sweep_command(
    model: Path, *, as_json: bool, no_cache: bool, cache: Path | None, **options: Any
) -> None:
    """Cut MODEL at many ratios, and show how good and how fast each cut is.

    One calibration serves all of them. Each cut is proven, recovered, judged on samples that
    nothing was measured on, and timed; the knee of each criterion is marked, and its command is
    printed. A cut that cannot be made says so, and the others go on; the exit code is then that of
    its error.
    """
    try:
        with progress_bar() as progress:
            result = wrg_onnx.sweep(
                model, cache=not no_cache and (cache or True), progress=progress, **options
            )
    except KeyboardInterrupt:
        if not no_cache:
            click.echo("Finished points are kept: the same command goes on from there.", err=True)
        raise
    emit(result, as_json=as_json)
    codes = [point.exit_code for point in result.report.points if point.exit_code]
    if codes:
        click.get_current_context().exit(max(codes))
