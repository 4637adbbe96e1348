"""Run Python code whose stderr is a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys


def run_on_terminal(code, **environment):
    """Run code with warnings as errors.

    Returns:
        Its exit code, its stdout as text, and what the terminal was written.
    """
    terminal, end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code], stdout=subprocess.PIPE, stderr=end, text=True,
        env={**os.environ, **environment},
    ) as process:  # fmt: skip
        os.close(end)
        shown = _read_all(terminal)
        printed = process.stdout.read()
    os.close(terminal)
    return process.returncode, printed, shown


def _read_all(terminal):
    """Read a terminal until nobody writes to it; a full one would make the writer wait."""
    parts = []
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 1 << 16):
            parts.append(part)
    return b"".join(parts).decode()
