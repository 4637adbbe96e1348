"""``--verbose``: what takes long, and what decided that, on stderr."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from wrg_onnx.logs import PACKAGE
from wrg_onnx.printable import printable
from wrg_onnx.progress import Progress, silent

Function = TypeVar("Function", bound=Callable[..., Any])

_ASKED = f"{__name__}.asked"
"""Under which key the context holds whether it was asked for."""


def _ask(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_ASKED] = time.perf_counter()


VERBOSE_OPTION = click.option(
    "-v", "--verbose", is_flag=True, expose_value=False, callback=_ask,
    help="Say on stderr how long each stage took, and why.",
)  # fmt: skip


class _Shown(logging.Handler):
    """Shows what the package logs of its decisions, in whatever thread.

    Args:
        start: When the command began.
    """

    def __init__(self, start: float) -> None:
        super().__init__(logging.INFO)
        self._start = start

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        _tell(record.getMessage(), self._start)


def _tell(text: str, start: float) -> None:
    click.echo(f"{time.perf_counter() - start:7.1f} s  {text}", err=True)


@contextmanager
def decisions_shown(ctx: click.Context) -> Iterator[None]:
    """Show what the package logs inside, if that was asked for."""
    if _ASKED not in ctx.meta:
        yield
        return
    logger, handler = logging.getLogger(PACKAGE), _Shown(ctx.meta[_ASKED])
    handler.addFilter(lambda record: record.levelno < logging.ERROR)  # faults are told anyway
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


@contextmanager
def stages_told(*, shown: bool = True) -> Iterator[Progress]:
    """Tell how long each stage took when the next one begins, if that was asked for.

    Args:
        shown: Whether to tell it at all; of several processes the first one does.
    """
    ctx = click.get_current_context(silent=True)
    if not shown or ctx is None or _ASKED not in ctx.meta:
        yield silent
        return
    stages = _Stages(ctx.meta[_ASKED])
    yield stages.tell
    stages.end()


class _Stages:
    """The stage that runs, since when, and how far it is.

    A stage is known by its first word; what follows may change while it runs.

    Args:
        start: When the command began.
    """

    def __init__(self, start: float) -> None:
        self._start = start
        self._name, self._since, self._done, self._total = "", time.perf_counter(), 0, 0

    def tell(self, stage: str, done: int, total: int) -> None:
        """Note how far a stage is, and end the one before."""
        name = printable(stage).partition(" ")[0]
        if name != self._name:
            self.end()
            self._name, self._since = name, time.perf_counter()
        self._done, self._total = done, total

    def end(self) -> None:
        """Tell of the stage that ran."""
        if self._name:
            count = f" ({self._done} of {self._total})" if self._total else ""
            took = time.perf_counter() - self._since
            _tell(f"{self._name} took {took:.1f} s{count}", self._start)
        self._name = ""
