"""Start the command line in processes of its own, alone or as torchrun would; fail in one.

A process that is spawned finds this file by its bare name, and no test by ``tests.NAME``.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass


def start(*arguments, program=("-m", "wrg_onnx"), **environment) -> subprocess.Popen[str]:
    """Run the command line, or what ``program`` says, in another process."""
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        env={**os.environ, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def start_two(*arguments) -> tuple[subprocess.Popen[str], subprocess.Popen[str]]:
    """Run the command line in two processes that know of each other."""
    port = free_port()
    first, second = (
        start(
            *arguments, RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2",
            MASTER_ADDR="127.0.0.1", MASTER_PORT=port,
        )
        for rank in (0, 1)
    )  # fmt: skip
    return first, second


def free_port() -> str:
    """Return a port that nobody listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def fail(error: Exception) -> None:
    """Raise an error in the process that this is called in."""
    raise error


@dataclass(frozen=True)
class Ended:
    """What became of a command that ran in a process of its own.

    Attributes:
        code: Its exit code; negative where a signal ended it.
        out: What it wrote on stdout.
        lines: What it wrote on stderr.
        cpu_seconds: How long it computed.
        peak_bytes: The most memory that it had.
    """

    code: int
    out: str
    lines: list[str]
    cpu_seconds: float
    peak_bytes: int


BETWEEN = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, used = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
with open(sys.argv[1], "w") as told:
    json.dump([process.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss], told)
"""
"""Starts a command, and writes how it ended and what it took."""


def run_measured(*arguments, program=("-m", "wrg_onnx"), **environment) -> Ended:
    """Run the command line in another process to its end, and measure what it took.

    A process starts with the peak memory of the one that starts it: so a small one is between.
    """
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        tempfile.NamedTemporaryFile("r") as told,
    ):
        command = [sys.executable, *program, *map(str, arguments)]
        subprocess.run(
            [sys.executable, "-c", BETWEEN, told.name, *command], check=True,
            env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
        )  # fmt: skip
        code, cpu_seconds, most = json.load(told)
        out.seek(0)
        err.seek(0)
        return Ended(
            code,
            out.read(),
            err.read().splitlines(),
            cpu_seconds,
            most * (1 if sys.platform == "darwin" else 1024),
        )
