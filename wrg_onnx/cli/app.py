"""The command group, and how errors become one line and an exit code."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from wrg_onnx.cli.choice import Group
from wrg_onnx.cli.command import keep_words
from wrg_onnx.errors import ShareDone, WrgError
from wrg_onnx.printable import printable
from wrg_onnx.version import __version__

COMMANDS: Mapping[str, str] = {
    "bench": "Time models side by side.",
    "cache": "Show or empty what prune keeps.",
    "completion": "Let a shell complete commands and options.",
    "export": "Turn a torch module into ONNX, and check it.",
    "finetune": "Train a model's weights, without its code.",
    "inspect": "Show what can be cut, and what stays and why.",
    "prune": "Remove channels, prove it, measure.",
    "report": "Show a run again, as a page.",
    "sweep": "Show how small a model gets, at what price.",
    "tsod": "Make images of tiny objects, or filter sets for them.",
    "validate": "Hold a pruned model against its original.",
}
"""The commands with their short help; ``NAME_command`` in ``wrg_onnx/cli/NAME.py`` is imported when
it is asked for, so that ``--help`` answers at once."""


class _ToFiles(logging.Handler):
    """Keeps what the package logs of its own faults, and tells on stderr where."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message with its traceback to a file."""
        from wrg_onnx.cli.faults import keep_details

        click.echo(f"Note: {record.getMessage()}. {keep_details(self.format(record))}", err=True)


@contextmanager
def _kept_faults() -> Iterator[None]:
    """Keep the tracebacks of errors that are the package's own fault, which a report needs."""
    handler, logger = _ToFiles(logging.ERROR), logging.getLogger("wrg_onnx")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _printable_usage() -> Iterator[None]:
    """Escape what an argument brings into a message about it, and ask for one option alone."""
    try:
        yield
    except NoArgsIsHelpError:
        raise  # its message is the help
    except click.ClickException as error:
        vars(error)["message"] = printable(error.message)  # final for subclasses alone
        if isinstance(error, click.NoSuchOption):
            vars(error)["possibilities"] = (error.possibilities or [])[:1]  # the most similar one
        raise


class _Group(Group):
    """Imports a command when it is asked for, and prints the package's own errors as one line."""

    def list_commands(self, _: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is no such one."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"wrg_onnx.cli.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what stands before the command."""
        keep_words(ctx, args)
        with _printable_usage():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; leave with the exit code of the error, if there is one."""
        try:
            with _kept_faults(), _printable_usage():
                return super().invoke(ctx)
        except ShareDone:
            return None
        except WrgError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except MemoryError:
            click.echo("Error: out of memory; a smaller --size needs less", err=True)
            ctx.exit(WrgError.exit_code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wrg-onnx")
def main() -> None:
    """Remove whole channels from a trained ONNX model, and prove it.

    Results go to stdout, progress to stderr. Exit codes: 0 done, 1 error, 2 usage, 3 validation
    failed, 4 written and proven, but a later stage failed, 70 a fault of wrg-onnx, 130 interrupted,
    143 ended by SIGTERM. Output files appear whole or not at all.
    """
