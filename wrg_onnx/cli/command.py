"""What all commands have in common: stdout is for the result, and nothing is shown raw."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

import click

from wrg_onnx.cli.config import CONFIG_OPTIONS, take_config
from wrg_onnx.cli.verbose import decisions_shown
from wrg_onnx.errors import one_line
from wrg_onnx.pipeline.api.spoken_call import COMMAND_LINE

_STDOUT = f"{__name__}.stdout"
"""Under which key the context holds the stream of the result."""

_WORDS = f"{__name__}.words"
"""Under which key it holds the words of the command line."""

OF_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ResourceWarning)
"""Warnings that whoever runs a command can do nothing about."""


class Command(click.Command):
    """A command whose result alone goes to stdout.

    What a user's module prints meanwhile goes to stderr, warnings are notes there, and what other
    libraries log is not shown. Options that the line leaves out may stand in a file.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += CONFIG_OPTIONS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, and before it the file of options."""
        if not ctx.resilient_parsing:
            take_config(ctx, args)
        rest = super().parse_args(ctx, args)
        for option in CONFIG_OPTIONS:
            ctx.params.pop(option.name or "", None)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        ctx.meta[_STDOUT] = sys.stdout
        with (
            redirect_stdout(sys.stderr),
            _told_words(ctx),
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


def keep_words(ctx: click.Context, words: Sequence[str]) -> None:
    """Keep the words behind the program's name, as they were typed."""
    ctx.meta[_WORDS] = ("wrg-onnx", *words)


@contextmanager
def _told_words(ctx: click.Context) -> Iterator[None]:
    """Let functions of the API know that a command calls them, and which."""
    before = COMMAND_LINE.set(ctx.meta.get(_WORDS, ()))
    try:
        yield
    finally:
        COMMAND_LINE.reset(before)


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

    One that the user has named is left alone. That of a killed run goes with the next one, by its
    name; so does that of a living run, perhaps, which has no use for it.
    """
    from wrg_onnx.files import marked

    variable = "TORCHINDUCTOR_CACHE_DIR"
    if variable in os.environ:
        yield
        return
    folder = Path(tempfile.gettempdir(), marked())
    os.environ[variable] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(variable, None)
        if folder.exists():
            shutil.rmtree(folder)
