"""Results on stdout, progress on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from wrg_onnx.cli.command import results
from wrg_onnx.cli.streams import StdoutError
from wrg_onnx.cli.verbose import stages_told
from wrg_onnx.errors import UnfinishedError, one_line
from wrg_onnx.logs import logger_of
from wrg_onnx.printable import printable
from wrg_onnx.progress import Progress

if TYPE_CHECKING:
    from wrg_onnx.pipeline.result import Result

_LOG = logger_of(__name__)

COLUMNS = 80
"""Of a terminal that does not say how wide it is."""


def emit(result: Result[Any], *, as_json: bool) -> None:
    """Print a result as JSON or as text.

    Raises:
        StdoutError: If stdout does not take it. It names the file that is written all the same.
    """
    try:
        _print(result, as_json=as_json)
    except StdoutError as error:
        written = getattr(result.report, "output", None)
        raise StdoutError(
            f"'{written}' is written, but {error}" if written else f"{error}"
        ) from error


def _print(result: Result[Any], *, as_json: bool) -> None:
    from wrg_onnx.report import to_json, to_text

    with results():
        click.echo(to_json(result.report) if as_json else to_text(result.report, _width()))


def _width() -> int:
    """Return the columns of the terminal that stdout is, or that the environment tells of."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or COLUMNS
    except (OSError, ValueError):  # it is none, or no file at all
        return COLUMNS


def emit_made(result: Result[Any], *, as_json: bool) -> None:
    """Print the result of a command that made a model.

    Raises:
        UnfinishedError: If a stage after the proof is missing, and be it this one.
    """
    from wrg_onnx.report.unfinished import check_finished, proven_model

    try:
        _print(result, as_json=as_json)
    except (StdoutError, OSError) as error:
        raise UnfinishedError(f"{proven_model(result.report)}, but {one_line(error)}") from error
    except Exception as error:
        _LOG.exception("the report cannot be shown")
        raise UnfinishedError(
            f"{proven_model(result.report)}, but the report cannot be shown: "
            f"{type(error).__name__}: {one_line(error)}. This is a fault of wrg-onnx: please "
            "report it"
        ) from error
    check_finished(result.report)


WIDE_ENOUGH = 60
"""Columns of a terminal from which on a bar has its place beside the stage, its count and times."""


@contextmanager
def progress_bar(*, shown: bool = True) -> Iterator[Progress]:
    """Show the current stage on stderr, where that is a terminal.

    A stage is known by its first word; what follows may change while it runs.

    Args:
        shown: Whether to show it at all; of several processes the first one does.
    """
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as ProgressBar

    from wrg_onnx.cli.progress_columns import Count, TimeLeft

    console = Console(stderr=True)
    # What does not fit goes, as a number that is cut tells nothing: first the bar.
    name = TextColumn("{task.description:<14}", markup=False)
    count, left = Count(), TimeLeft()
    columns: tuple[ProgressColumn, ...] = (name, count, left)
    if console.width >= WIDE_ENOUGH:
        columns = (name, BarColumn(), count, TimeElapsedColumn(), TimeLeft(or_elapsed=False))
    hidden = not (shown and sys.stderr is not None and sys.stderr.isatty())
    with (
        ProgressBar(*columns, console=console, transient=True, disable=hidden) as bar,
        stages_told(shown=shown) as tell,
    ):
        task = bar.add_task("start", total=None)
        current = ""

        def show(stage: str, done: int, total: int) -> None:
            nonlocal task, current
            tell(stage, done, total)
            stage = printable(stage)
            # The epochs of one run share a bar, so that the time left is that of the run.
            if stage.partition(" ")[0] != current.partition(" ")[0]:
                bar.remove_task(task)
                task = bar.add_task(stage, total=total or None)
            # A new stage, or epoch, is seen at once, however soon it is over.
            is_new = stage.split()[:2] != current.split()[:2]
            current = stage
            bar.update(task, description=stage, completed=done, total=total or None, refresh=is_new)

        yield show
