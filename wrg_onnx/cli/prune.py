"""``wrg-onnx prune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import platformdirs

from wrg_onnx.cli.criterion import CriterionChoice
from wrg_onnx.cli.options import (
    MODEL,
    EnumChoice,
    data_options,
    limit_options,
    read_data_options,
    read_limits,
    run_options,
)
from wrg_onnx.cli.output import emit, progress_bar
from wrg_onnx.data.workers import join_workers
from wrg_onnx.evaluate.judge import Timing
from wrg_onnx.pipeline.config import BudgetKind, PruneConfig, Recovery
from wrg_onnx.pipeline.prune import prune, share_calibration
from wrg_onnx.report import prune_text
from wrg_onnx.select import Criterion, Scope

EXAMPLES = """\b
Examples:
  wrg-onnx prune model.onnx --ratio 0.6
  wrg-onnx prune model.onnx --ratio 0.3 --data my_images --criterion wr
  wrg-onnx prune model.onnx --ratio 0.5 --budget macs --keep '*head*'
"""


@click.command("prune", epilog=EXAMPLES, short_help="Remove channels, prove it, measure.")
@click.argument("model", type=MODEL)
@click.option(
    "--ratio", type=float, required=True, help="Share of the budget to remove, in [0, 1)."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="[MODEL with .pruned.onnx]")
@click.option(
    "--budget", type=EnumChoice(BudgetKind), default=BudgetKind.PARAMS.value, show_default=True,
    help="The quantity that the ratio speaks of.",
)  # fmt: skip
@click.option(
    "--criterion", type=CriterionChoice(), default=Criterion.SEL.name,
    show_default=True,
    help="How a channel's worth is scored: w is the norm of its filter, r the rank of its map, g "
    "what its removal does to the loss; sel, wr, wg and rg are products. HRank's criterion is r, "
    "Taylor's is g.",
)  # fmt: skip
@click.option(
    "--scope", type=EnumChoice(Scope), default=Scope.GLOBAL.value, show_default=True,
    help="Whether all channels compete, or each layer loses the same share.",
)  # fmt: skip
@click.option(
    "--floor", type=float, default=0.1, show_default=True,
    help="Share of each layer that stays at least.",
)  # fmt: skip
@click.option(
    "--recover", type=EnumChoice(Recovery),
    help="How surviving weights make up for removed ones. [ridge, with --data or a criterion that "
    "looks at images]",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(min=1), default=1, show_default=True,
    help="Steps to the ratio; each is measured, cut and recovered.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="Of --recover finetune. [20]")
@data_options
@click.option(
    "--certainty", type=float, default=0.98, show_default=True,
    help="Stop calibrating where more images would hardly change the choice.",
)  # fmt: skip
@click.option(
    "--cache", type=click.Path(path_type=Path, file_okay=False),
    help="Keep what was measured here, by model and image. [the user's cache folder]",
)  # fmt: skip
@click.option("--amp", is_flag=True, help="Compute the criterion's gradients in bfloat16.")
@click.option("--no-cache", is_flag=True, help="Measure everything anew, and keep nothing.")
@limit_options
@click.option(
    "--evaluate/--no-evaluate", default=None,
    help="Measure accuracy and latency. [if the criterion looks at data]",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Do everything but write the file.")
@click.option("--strict", is_flag=True, help="Stop at an operator without a rule.")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@run_options
def prune_command(
    model: Path,
    output: Path | None,
    *,
    dry_run: bool,
    force: bool,
    as_json: bool,
    no_cache: bool,
    cache: Path | None,
    **options: Any,
) -> None:
    """Remove whole channels from MODEL, prove it, recover it, and measure what is left.

    The pruned model has the same inputs and outputs. It is written only if ONNX Runtime shows that
    it computes what MODEL does with the removed channels silenced. Then the surviving weights are
    solved for, layer by layer, so that each makes again what it made before.
    """
    data = read_data_options(options)
    limits = read_limits(options)
    kept = None if no_cache else cache or platformdirs.user_cache_path("wrg-onnx")
    # '.' has no name to derive one from; it is no model either, as the loader says.
    derived = model.with_suffix(".pruned.onnx") if model.name else None
    target = None if dry_run else output or derived
    with join_workers() as workers:
        config = PruneConfig(
            data=data, limits=limits, timing=Timing(), cache=kept, workers=workers, **options
        )
        if workers.index:
            share_calibration(model, config)
            return
        with progress_bar() as progress:
            report = prune(model, target, config, force=force, progress=progress)
    emit(report, lambda: prune_text(report), as_json=as_json)
