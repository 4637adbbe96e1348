"""The command line as a program of its own, as its entry point starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

START = (
    "import sys; sys.argv[0] = 'wrg-onnx'; from wrg_onnx.cli.guard import run; {}sys.exit(run())"
)


def run_program(*arguments, before="", redirected="", **options):
    """Run a command to its end.

    Args:
        *arguments: Those of the command.
        before: Python statements to run first, each with its semicolon.
        redirected: Streams, as a shell redirects them.
        **options: Of ``subprocess.run``.
    """
    usual = {"capture_output": True, "text": True, "timeout": 300}
    line = line_of(arguments, before, redirected)
    return subprocess.run(line, check=False, **{**usual, **options})


def start_program(*arguments, before="", redirected="", **options):
    """Start a command; its stdout and stderr are pipes, and it hears Ctrl-C."""
    usual = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    if os.name == "posix":
        usual["preexec_fn"] = hear_interrupts
    return subprocess.Popen(line_of(arguments, before, redirected), **{**usual, **options})


def hear_interrupts():
    """Undo what shells do to whatever they start in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def line_of(arguments, before="", redirected=""):
    """Return the arguments of a process that runs a command, behind a shell if need be."""
    python = [sys.executable, "-c", START.format(before), *map(str, arguments)]
    return ["sh", "-c", f'exec "$@" {redirected}', "sh", *python] if redirected else python


def environment(**changes):
    """Return the environment with changes; what is None is left out."""
    found = {**os.environ, **changes}
    return {name: value for name, value in found.items() if value is not None}


def instead_of_inspect(body):
    """Return statements that put a function in the place of ``wrg_onnx.inspect``.

    Args:
        body: Its body, of one or more lines; ``found`` is the real one, ``a`` and ``k`` what it is
            called with.
    """
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    code = (
        "import functools, logging, os, signal, time, warnings\nimport wrg_onnx\n"
        "found = wrg_onnx.inspect\n@functools.wraps(found)\n"
        f"def inspect(*a, **k):\n{lines}wrg_onnx.inspect = inspect\n"
    )
    return f"exec({code!r}, {{}}); "
