"""Stdout and stderr of the process, which may be closed, full, or without a reader.

Of stdout that is an error, since the result does not arrive. Of stderr it is none: nothing is left
to tell it on, and the exit code says how the run ended.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress

from wrg_onnx.errors import WrgError

_REASONS = {errno.EBADF: "it is closed", errno.EPIPE: "its reader is gone"}


class StdoutError(WrgError):
    """What was to be printed on stdout did not arrive."""


class _Results(io.TextIOWrapper):
    """Stdout, whose failures are the package's own errors."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise self._lost(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> StdoutError:
        # Python would try once more at the end with what did not arrive, and tell it in its way.
        _point_to_null(self.fileno())
        why = _REASONS.get(error.errno or 0, error.strerror)
        return StdoutError(f"the result cannot be written to stdout: {why}")


class _Notes(io.TextIOWrapper):
    """Stderr, as long as somebody takes what is written there."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def take_streams() -> None:
    """Make ``sys.stdout`` a stream for results alone, and ``sys.stderr`` one that never fails.

    What anything else writes to the process's stdout, be it a library in C or a program that a
    user's module starts, goes to stderr.
    """
    out, err = _encoding(sys.stdout), _encoding(sys.stderr)
    is_closed = [_is_closed(number) for number in range(3)]
    for number in range(3):
        # Else the next file to be opened, such as the model, gets what libraries print.
        if is_closed[number]:
            _point_to_null(number)
    results = os.dup(1)
    if is_closed[1]:
        # What is opened for reading refuses to be written, as what is closed does.
        os.dup2(os.open(os.devnull, os.O_RDONLY), results)
    os.dup2(2, 1)
    file = os.fdopen(results, "wb")
    sys.stdout = _Results(file, out, "backslashreplace", line_buffering=file.isatty())
    # Without a buffer nothing is left over that could fail once more.
    sys.stderr = _Notes(
        os.fdopen(2, "wb", 0, closefd=False),
        err, "backslashreplace", write_through=True,
    )  # fmt: skip


def _encoding(stream: io.TextIOBase | object) -> str:
    """Return how a stream writes letters: as Python chose, where that is more than ASCII."""
    found = getattr(stream, "encoding", None) or "utf-8"
    return "utf-8" if found.lower() in ("ascii", "us-ascii", "ansi_x3.4-1968") else found


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def _point_to_null(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, number)  # programs that are started inherit it, too
    if null != number:
        os.close(null)
