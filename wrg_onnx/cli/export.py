"""``wrg-onnx export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import wrg_onnx
from wrg_onnx.choices import Exporter
from wrg_onnx.cli.command import Command
from wrg_onnx.cli.options import PATH, Shape, choice_of, defaults_of, output_options
from wrg_onnx.cli.output import emit, progress_bar

DEFAULTS = defaults_of(wrg_onnx.export)


EXAMPLE = """\b
Example:
  wrg-onnx export models.small_unet:small_unet --input 1x3x160x160
"""


@click.command(
    "export", cls=Command, epilog=EXAMPLE, short_help="Turn a torch module into ONNX, and check it."
)
@click.argument("factory")
@click.option(
    "--input", type=Shape(), metavar="NxCxHxW", multiple=True, required=True,
    help="Shape of each input.",
)  # fmt: skip
@click.option("--weights", type=PATH, help="State dict or checkpoint: .safetensors, .pt or .pth.")
@click.option("-o", "--output", type=PATH, help="[FUNCTION.onnx]")
@click.option("--input-name", multiple=True, help="Name of each input.")
@click.option("--static-batch", is_flag=True, help="Fix the batch to the shape's.")
@click.option("--opset", type=int, help="[the exporter's choice]")
@click.option(
    "--exporter", type=choice_of(Exporter), default=DEFAULTS["exporter"], show_default=True,
    help="Which of torch's exporters.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing output.")
@output_options
def export_command(factory: str, output: Path | None, *, as_json: bool, **options: Any) -> None:
    """Write a torch module as ONNX, and keep it only if ONNX Runtime agrees with torch.

    FACTORY is module:function, importable from the current folder; the function takes no argument
    and returns the module.
    """
    target = output or Path(factory.rpartition(":")[2] + ".onnx")
    with progress_bar() as progress:
        result = wrg_onnx.export(factory, target, progress=progress, **options)
    emit(result, as_json=as_json)
