"""``wrg-onnx completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from wrg_onnx.cli.choice import Choice
from wrg_onnx.cli.guard import COMPLETION

PROGRAM = "wrg-onnx"
SHELLS = ("bash", "zsh", "fish")

EXAMPLES = """\b
For this session:
  eval "$(wrg-onnx completion bash)"
  eval "$(wrg-onnx completion zsh)"
  wrg-onnx completion fish | source

\b
For good:
  echo 'eval "$(wrg-onnx completion bash)"' >> ~/.bashrc
  wrg-onnx completion zsh > ~/.zfunc/_wrg-onnx
  wrg-onnx completion fish > ~/.config/fish/completions/wrg-onnx.fish
"""


@click.command(
    "completion", epilog=EXAMPLES, short_help="Let a shell complete commands and options."
)
@click.argument("shell", type=Choice(SHELLS))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print what a SHELL (bash from 4.4 on, zsh or fish) reads to complete this command line.

    It then asks wrg-onnx for commands, options, the values of options that choose among a few, and
    takes files for the rest.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # click has these three
    click.echo(kind(ctx.find_root().command, {}, PROGRAM, COMPLETION).source())
