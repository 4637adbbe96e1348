"""``wrg-onnx prune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import wrg_onnx
from wrg_onnx.choices import BudgetKind, Recovery
from wrg_onnx.cli.command import Command
from wrg_onnx.cli.criterion import CriterionChoice, CriterionOption
from wrg_onnx.cli.names import METRIC
from wrg_onnx.cli.options import (
    MODEL,
    PATH,
    Alignment,
    Amount,
    beside,
    choice_of,
    data_options,
    defaults_of,
    limit_options,
    run_options,
)
from wrg_onnx.cli.output import emit_made, progress_bar
from wrg_onnx.errors import UsageError

DEFAULTS = defaults_of(wrg_onnx.prune)

EXAMPLES = """\b
Examples:
  wrg-onnx prune model.onnx --ratio 0.6
  wrg-onnx prune model.onnx small.onnx --ratio 0.3 --data my_images
  wrg-onnx prune model.onnx --ratio 0.5 --budget macs --keep '*head*'
  wrg-onnx prune model.onnx --max-latency-ms 20
  wrg-onnx prune model.onnx small.onnx --ratio 0.5 --data my_images --int8
  wrg-onnx prune model.onnx --max-drop 0.01 --data my_images
"""


@click.command(
    "prune", cls=Command, epilog=EXAMPLES, short_help="Remove channels, prove it, measure."
)
@click.argument("model", type=MODEL)
@click.argument("out", type=PATH, required=False)
@click.option(
    "--ratio", type=float,
    help="Share of the budget to remove, in [0, 1). Either this, --max-drop or one of the limits.",
)  # fmt: skip
@click.option(
    "--max-drop", type=float, metavar="DROP",
    help="Search for the largest ratio after which the metric is worse by at most this, on "
    "held-out samples.",
)  # fmt: skip
@click.option(
    "--metric", type=METRIC, metavar="NAME",
    help="What may get worse: max F, mean F, weighted F, S-measure, max E, MAE, size-invariant max "
    "F, ..., or the outputs' relative error. [max F with masks, else relative error]",
)  # fmt: skip
@click.option("-o", "--output", type=PATH, help="The same as OUT. [MODEL with .pruned.onnx]")
@click.option(
    "--budget", type=choice_of(BudgetKind),
    help="The quantity that the ratio speaks of. [params]",
)  # fmt: skip
@click.option("--max-params", type=Amount(), help="How many parameters may be left: 1.5M.")
@click.option("--max-macs", type=Amount(), help="How many MACs may be left: 300M, 2G.")
@click.option("--max-bytes", type=Amount(), help="How large the file may be: 900KB, 4MiB.")
@click.option(
    "--max-latency-ms", type=float, metavar="MS",
    help="How long a run may take in ONNX Runtime on this machine.",
)  # fmt: skip
@click.option(
    "--align", type=Alignment(),
    help="Keep layers in multiples of so many channels; auto: what this machine's kernels like. "
    "[auto with a budget of latency, else 1]",
)  # fmt: skip
@click.option(
    "--criterion", cls=CriterionOption, type=CriterionChoice(), default=DEFAULTS["criterion"],
    show_default=True,
    help="How a channel's worth is scored: repair asks what is lost once the rest has made up for "
    "it. w is the norm of its filter, r the rank of its map, g what its removal does to the loss; "
    "sel, wr, wg and rg are products, sel-repair multiplies both. HRank's criterion is r, Taylor's "
    "is g.",
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
    help="How surviving weights make up for removed ones. [ridge, with --data or a criterion that "
    "looks at images]",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(min=1), default=DEFAULTS["rounds"], show_default=True,
    help="Steps to the ratio; each is measured, cut and recovered.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="Of --recover finetune. [20]")
@click.option(
    "--sparsify", type=click.IntRange(min=0), default=DEFAULTS["sparsify"], metavar="EPOCHS",
    help="First train this many epochs on --data while what is going to die fades. [0]",
)  # fmt: skip
@data_options
@click.option(
    "--at-objects", type=float, default=DEFAULTS["at_objects"], show_default=True,
    help="Share of the places where layers are looked at that lies where the model's own saliency "
    "map sees an object.",
)  # fmt: skip
@click.option(
    "--certainty", type=float, default=DEFAULTS["certainty"],
    help="Stop calibrating where more images would hardly change the choice; 1: never. [0.98] With "
    "'repair': tell how certain the choice is.",
)  # fmt: skip
@click.option(
    "--cache", type=click.Path(path_type=Path, file_okay=False),
    help="Keep what was measured here, by model and images, for runs with another ratio, budget or "
    "criterion. [the user's cache folder]",
)  # fmt: skip
@click.option("--amp", is_flag=True, help="Compute the criterion's gradients in bfloat16.")
@click.option("--no-cache", is_flag=True, help="Measure everything anew, and keep nothing.")
@limit_options
@click.option(
    "--half", is_flag=True,
    help="In the end, write the model in float16; inputs and outputs stay float32.",
)  # fmt: skip
@click.option(
    "--int8", is_flag=True,
    help="In the end, quantise the model, with ranges from the samples for statistics; inputs and "
    "outputs stay float32.",
)  # fmt: skip
@click.option(
    "--evaluate/--no-evaluate", default=None,
    help="Measure accuracy and latency. [if the criterion looks at data]",
)  # fmt: skip
@click.option(
    "--external-data", is_flag=True,
    help="Write the weights beside the output, as OUTPUT.data. [if they have 2 GiB or more]",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Do everything but write the file.")
@click.option(
    "--strict", is_flag=True,
    help="Stop at an operator without a rule, and where the proof says nothing of a layer.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing output.")
@click.option(
    "--details", is_flag=True,
    help="Let --json hold what the page of --report shows, so that `wrg-onnx report` can write it.",
)  # fmt: skip
@click.option("--report", type=PATH, metavar="FILE.html", help="Write a page of the report.")
@run_options
def prune_command(
    model: Path,
    out: Path | None,
    output: Path | None,
    *,
    dry_run: bool,
    as_json: bool,
    no_cache: bool,
    cache: Path | None,
    **options: Any,
) -> None:
    """Remove whole channels from MODEL, prove it, recover it, and measure what is left.

    The pruned model has the same inputs and outputs. It is written only if ONNX Runtime shows that
    it computes what MODEL does with the removed channels silenced. Then the surviving weights are
    solved for, layer by layer, so that each makes again what it made before. If a stage after the
    proof fails, the proven model is written all the same, the report says what is missing, and the
    exit code is 4.
    """
    if out and output:
        raise UsageError(f"OUT '{out}' and --output '{output}' both name the output: give one")
    target = None if dry_run else out or output or beside(model, ".pruned.onnx")
    with (
        wrg_onnx.join_workers() as workers,
        progress_bar(shown=not workers.index) as progress,
    ):
        result = wrg_onnx.prune(
            model,
            target,
            cache=not no_cache and (cache or True),
            progress=progress,
            workers=workers,
            **options,
        )
    emit_made(result, as_json=as_json)
