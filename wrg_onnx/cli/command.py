"""What all commands have in common: stdout is for the result, and nothing is shown raw."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

import click

from wrg_onnx.cli.verbose import decisions_shown
from wrg_onnx.errors import one_line

_STDOUT = f"{__name__}.stdout"
"""Under which key the context holds the stream of the result."""

OF_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ResourceWarning)
"""Warnings that whoever runs a command can do nothing about."""


class Command(click.Command):
    """A command whose result alone goes to stdout.

    What a user's module prints meanwhile goes to stderr, warnings are notes there, and what other
    libraries log is not shown.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        ctx.meta[_STDOUT] = sys.stdout
        with (
            redirect_stdout(sys.stderr),
            _warnings_as_notes(),
            _silent_logs(),
            decisions_shown(ctx),
            _torch_folder_removed(),
        ):
            return super().invoke(ctx)


def results() -> AbstractContextManager[TextIO]:
    """Let what is printed inside be the result of the command that runs."""
    stream: TextIO = click.get_current_context().meta[_STDOUT]
    return redirect_stdout(stream)


@contextmanager
def _warnings_as_notes() -> Iterator[None]:
    told: set[str] = set()

    def note(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        line = f"Note: {category.__name__}: {one_line(str(message))}"
        if not issubclass(category, OF_DEVELOPERS) and line not in told:
            told.add(line)
            click.echo(line, err=True)

    with warnings.catch_warnings():
        warnings.showwarning = note
        yield


@contextmanager
def _silent_logs() -> Iterator[None]:
    """Keep Python from printing what is logged where nobody has said who shows it."""
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)
    try:
        yield
    finally:
        root.removeHandler(silent)


@contextmanager
def _torch_folder_removed() -> Iterator[None]:
    """Remove the folder for compiled code that torch makes where it is imported, and leaves empty.

    One that the user has named is left alone.
    """
    variable = "TORCHINDUCTOR_CACHE_DIR"
    if variable in os.environ:
        yield
        return
    folder = Path(tempfile.gettempdir(), f"wrg-onnx-torch-{secrets.token_hex(8)}")
    os.environ[variable] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(variable, None)
        if folder.exists():
            shutil.rmtree(folder)
