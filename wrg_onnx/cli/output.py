"""Results on stdout, progress on stderr."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as ProgressBar

from wrg_onnx.progress import Progress
from wrg_onnx.report import to_json

NARROWEST = 80


def emit(record: object, text: Callable[[], RenderableType], *, as_json: bool) -> None:
    """Print a record as JSON or as text."""
    if as_json:
        click.echo(to_json(record))
        return
    width = max(NARROWEST, shutil.get_terminal_size((NARROWEST, 24)).columns)
    console = Console(width=width, highlight=False, soft_wrap=False)
    with console.capture() as captured:
        console.print(text())
    for line in captured.get().splitlines():
        click.echo(line.rstrip())  # tables are filled up to their width


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show the current stage on stderr, where that is a terminal.

    A stage is known by its first word; what follows may change while it runs.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with ProgressBar(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("start", total=None)
        current = ""

        def show(stage: str, done: int, total: int) -> None:
            nonlocal task, current
            # The epochs of one run share a bar, so that the time left is that of the run.
            if stage.partition(" ")[0] != current.partition(" ")[0]:
                bar.remove_task(task)
                task = bar.add_task(stage, total=total or None)
            current = stage
            bar.update(task, description=stage, completed=done, total=total or None)

        yield show
