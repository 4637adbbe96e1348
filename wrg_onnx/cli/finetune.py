"""``wrg-onnx finetune``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from wrg_onnx.cli.options import MODEL, EnumChoice, input_options, read_data_options, run_options
from wrg_onnx.cli.output import emit, progress_bar
from wrg_onnx.data.workers import join_workers
from wrg_onnx.errors import UsageError
from wrg_onnx.finetune import BatchNormUse, CheckpointFile, Device, FinetuneOptions
from wrg_onnx.graph import Provider
from wrg_onnx.pipeline.config import FinetuneConfig
from wrg_onnx.pipeline.finetune import finetune
from wrg_onnx.report import finetune_text

GENERATED = 256
"""How many images the built-in generator makes for training."""

DEFAULTS = FinetuneOptions()

EXAMPLES = """\b
Examples:
  wrg-onnx finetune m.pruned.onnx --teacher m.onnx --data my_images
  wrg-onnx finetune m.pruned.onnx --data my_images --loss my_losses:focal
  wrg-onnx finetune m.pruned.onnx --teacher m.onnx --data my_images \\
      --checkpoint run.safetensors --resume
"""


@click.command("finetune", epilog=EXAMPLES, short_help="Train a model's weights, without its code.")
@click.argument("model", type=MODEL, metavar="PRUNED")
@click.option("--teacher", type=MODEL, help="The original: its outputs are learnt, too.")
@click.option(
    "--data", type=click.Path(path_type=Path),
    help="Folder with images/ and maybe masks/, or with .npz files. [built-in generator]",
)  # fmt: skip
@click.option(
    "--samples", type=click.IntRange(min=2),
    help=f"How many samples to train on, at most. [all; {GENERATED} generated ones]",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="[PRUNED with .tuned.onnx]")
@click.option(
    "--epochs", type=click.IntRange(min=1), default=DEFAULTS.epochs, show_default=True,
    help="Passes over the samples, at most.",
)  # fmt: skip
@click.option(
    "--batch", type=click.IntRange(min=1), default=DEFAULTS.batch, show_default=True,
    help="Samples per step.",
)  # fmt: skip
@click.option(
    "--learning-rate", type=float, default=DEFAULTS.learning_rate, show_default=True,
    help="The largest step, as a share of each weight's size.",
)  # fmt: skip
@click.option(
    "--weight-decay", type=float, default=DEFAULTS.weight_decay, show_default=True,
    help="Of AdamW.",
)  # fmt: skip
@click.option(
    "--warmup", type=float, default=DEFAULTS.warmup, show_default=True, metavar="SHARE",
    help="Share of the steps in which the learning rate rises.",
)  # fmt: skip
@click.option(
    "--patience", type=click.IntRange(min=1), default=DEFAULTS.patience, show_default=True,
    help="Epochs without a better held-out loss before it stops.",
)  # fmt: skip
@click.option(
    "--ema", type=float, default=DEFAULTS.ema, show_default=True, metavar="DECAY",
    help="Decay of the averaged weights, which are judged and written.",
)  # fmt: skip
@click.option(
    "--loss", metavar="MODULE:FUNCTION",
    help="Your own loss of (outputs, mask, teacher's outputs), in place of the built-in one.",
)  # fmt: skip
@click.option(
    "--distil", type=float, default=DEFAULTS.distil, show_default=True, metavar="WEIGHT",
    help="Weight of the teacher's outputs and feature maps.",
)  # fmt: skip
@click.option(
    "--augment/--no-augment", default=True, show_default=True,
    help="Flip, crop and recolour images.",
)  # fmt: skip
@click.option(
    "--batch-norm", type=EnumChoice(BatchNormUse), default=DEFAULTS.batch_norm.value,
    show_default=True,
    help="Whether the statistics of batch normalisation stay, or follow the data.",
)  # fmt: skip
@click.option(
    "--device", type=EnumChoice(Device), default=DEFAULTS.device.value, show_default=True,
    help="Where torch trains.",
)  # fmt: skip
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), metavar="FILE",
    help="Keep the state of the run here, after every epoch.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the checkpoint, if it is there.")
@input_options
@click.option(
    "--evaluate/--no-evaluate", default=True, show_default=True,
    help="Measure accuracy before and after.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing output or checkpoint.")
@run_options
def finetune_command(
    model: Path,
    teacher: Path | None,
    output: Path | None,
    *,
    samples: int | None,
    checkpoint: Path | None,
    resume: bool,
    force: bool,
    evaluate: bool,
    provider: Provider,
    as_json: bool,
    **options: Any,
) -> None:
    """Train the weights of PRUNED on your images, with its original as the teacher.

    With masks/ the loss is BCE + IoU + SSIM of the saliency map. To this, or instead of it, come
    the teacher's outputs and feature maps. A quarter of --data is left for judging, a tenth of the
    rest chooses the epoch; the model before training is a candidate, too.
    """
    if resume and checkpoint is None:
        raise UsageError("--resume goes on from a checkpoint: name it by --checkpoint")
    options["samples"] = samples or (sys.maxsize if options["data"] else GENERATED)
    source = read_data_options(options)
    file = None if checkpoint is None else CheckpointFile(checkpoint, resume, force)
    target = output or model.with_suffix(".tuned.onnx")
    with join_workers() as workers:
        training = FinetuneOptions(**options, checkpoint=file, workers=workers)
        config = FinetuneConfig(training, source, provider, evaluate=evaluate)
        if workers.index:
            finetune(model, teacher, target, config, force=force)
            return
        with progress_bar() as progress:
            report = finetune(model, teacher, target, config, force=force, progress=progress)
    assert report is not None
    emit(report, lambda: finetune_text(report), as_json=as_json)
