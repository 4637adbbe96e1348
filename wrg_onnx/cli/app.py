"""The command group, and how errors become one line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from wrg_onnx import __version__
from wrg_onnx.cli.bench import bench_command
from wrg_onnx.cli.cache import cache_command
from wrg_onnx.cli.export import export_command
from wrg_onnx.cli.finetune import finetune_command
from wrg_onnx.cli.inspect import inspect_command
from wrg_onnx.cli.prune import prune_command
from wrg_onnx.cli.tsod import tsod_command
from wrg_onnx.cli.validate import validate_command
from wrg_onnx.errors import WrgError


class _Group(click.Group):
    """Prints the package's own errors as one line and leaves with their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WrgError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except MemoryError:
            click.echo("Error: out of memory; a smaller --size needs less", err=True)
            ctx.exit(WrgError.exit_code)
        except BrokenPipeError:
            # The reader (head, less) is gone; so is the reason to go on.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wrg-onnx")
def main() -> None:
    """Remove whole channels from a trained ONNX model, and prove it.

    Results go to stdout, progress to stderr. Exit codes: 0 done, 1 error, 2 usage, 3 validation
    failed. Output files appear whole or not at all.
    """


for command in (
    prune_command,
    inspect_command,
    bench_command,
    validate_command,
    export_command,
    finetune_command,
    tsod_command,
    cache_command,
):
    main.add_command(command)
