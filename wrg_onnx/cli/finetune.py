"""``wrg-onnx finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import wrg_onnx
from wrg_onnx.choices import BatchNormUse, Device
from wrg_onnx.cli.command import Command
from wrg_onnx.cli.names import LOSS
from wrg_onnx.cli.options import (
    MODEL,
    PATH,
    PLACE,
    beside,
    choice_of,
    defaults_of,
    input_options,
    run_options,
)
from wrg_onnx.cli.output import emit_made, progress_bar
from wrg_onnx.pipeline.api.finetune import GENERATED

DEFAULTS = defaults_of(wrg_onnx.finetune)

EXAMPLES = """\b
Examples:
  wrg-onnx finetune m.pruned.onnx --teacher m.onnx --data my_images
  wrg-onnx finetune m.pruned.onnx --data my_images --loss my_losses:focal
  wrg-onnx finetune m.pruned.onnx --teacher m.onnx --data my_images \\
      --checkpoint run.safetensors --resume
"""


@click.command(
    "finetune",
    cls=Command,
    epilog=EXAMPLES,
    short_help="Train a model's weights, without its code.",
)
@click.argument("model", type=MODEL, metavar="PRUNED")
@click.option("--teacher", type=MODEL, help="The original: its outputs are learnt, too.")
@click.option(
    "--data", type=PLACE,
    help="Folder with images/ and maybe masks/, or with .npz files; or SOURCE:WHERE, if an "
    "installed package brings that source. [built-in generator]",
)  # fmt: skip
@click.option(
    "--samples", type=click.IntRange(min=2),
    help=f"How many samples to train on, at most. [all; {GENERATED} generated ones]",
)  # fmt: skip
@click.option("-o", "--output", type=PATH, help="[PRUNED with .tuned.onnx]")
@click.option(
    "--epochs", type=click.IntRange(min=1), default=DEFAULTS["epochs"], show_default=True,
    help="Passes over the samples, at most.",
)  # fmt: skip
@click.option(
    "--batch", type=click.IntRange(min=1), default=DEFAULTS["batch"], show_default=True,
    help="Samples per step.",
)  # fmt: skip
@click.option(
    "--learning-rate", type=float, default=DEFAULTS["learning_rate"], show_default=True,
    help="The largest step, as a share of each weight's size.",
)  # fmt: skip
@click.option(
    "--weight-decay", type=float, default=DEFAULTS["weight_decay"], show_default=True,
    help="Of AdamW.",
)  # fmt: skip
@click.option(
    "--warmup", type=float, default=DEFAULTS["warmup"], show_default=True, metavar="SHARE",
    help="Share of the steps in which the learning rate rises.",
)  # fmt: skip
@click.option(
    "--patience", type=click.IntRange(min=1), default=DEFAULTS["patience"], show_default=True,
    help="Epochs without a gain on the held-out samples before it stops.",
)  # fmt: skip
@click.option(
    "--ema", type=float, default=DEFAULTS["ema"], show_default=True, metavar="DECAY",
    help="Decay of the averaged weights, which are judged and written.",
)  # fmt: skip
@click.option(
    "--loss", type=LOSS, metavar="MODULE:FUNCTION|NAME",
    help="Your own loss of (outputs, mask, teacher's outputs), or that of an installed package, in "
    "place of the built-in one.",
)  # fmt: skip
@click.option(
    "--distil", type=float, default=DEFAULTS["distil"], show_default=True, metavar="WEIGHT",
    help="Weight of the teacher's outputs and feature maps.",
)  # fmt: skip
@click.option(
    "--augment/--no-augment", default=DEFAULTS["augment"], show_default=True,
    help="Flip, crop and recolour images.",
)  # fmt: skip
@click.option(
    "--batch-norm", type=choice_of(BatchNormUse), default=DEFAULTS["batch_norm"],
    show_default=True,
    help="Whether the statistics of batch normalisation stay, or follow the data.",
)  # fmt: skip
@click.option(
    "--device", type=choice_of(Device), default=DEFAULTS["device"], show_default=True,
    help="Where torch trains.",
)  # fmt: skip
@click.option(
    "--checkpoint", type=PATH, metavar="FILE",
    help="Keep the state of the run here, after every epoch.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the checkpoint, if it is there.")
@input_options
@click.option(
    "--evaluate/--no-evaluate", default=DEFAULTS["evaluate"], show_default=True,
    help="Measure accuracy before and after.",
)  # fmt: skip
@click.option(
    "--external-data", is_flag=True,
    help="Write the weights beside the output, as OUTPUT.data. [if they have 2 GiB or more]",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing output or checkpoint.")
@run_options
def finetune_command(model: Path, output: Path | None, *, as_json: bool, **options: Any) -> None:
    """Train the weights of PRUNED on your images, with its original as the teacher.

    With masks/ the loss is BCE + IoU + SSIM of the saliency map. To this, or instead of it, come
    the teacher's outputs and feature maps. A quarter of --data is left for judging. A tenth of the
    rest is held out and chooses the weights, by max F where there are masks: those of the best
    epoch, or on the way to it from those before training, which are a candidate, too. If the
    judging fails, they are written all the same, and the exit code is 4.
    """
    target = output or beside(model, ".tuned.onnx")
    with (
        wrg_onnx.join_workers() as workers,
        progress_bar(shown=not workers.index) as progress,
    ):
        result = wrg_onnx.finetune(model, target, progress=progress, workers=workers, **options)
    emit_made(result, as_json=as_json)
