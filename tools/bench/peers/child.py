"""One command in a process of its own, under a time and a memory limit."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[3]
BENCH = Path(__file__).parents[1]
"""Where `peers` is found, by this process and by those it starts."""

MEMORY_WORDS = ("MemoryError", "bad_alloc", "Cannot allocate memory", "Failed to allocate memory",
                "can't allocate memory", "Unable to allocate")  # fmt: skip
"""What Python, C++, the kernel, ONNX Runtime, torch and numpy say when memory runs out."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may use.

    Attributes:
        seconds: Wall time.
        memory_bytes: Private writable memory, as ``RLIMIT_DATA`` counts it.
    """

    seconds: float = 120
    memory_bytes: int = 9_000_000_000


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Its exit code, negative for a signal.
        seconds: Wall time from its start, the interpreter and its imports included.
        peak_bytes: The largest resident set.
        stdout: All of it.
        stderr: All of it.
        timed_out: Whether it was killed for its time.
    """

    code: int
    seconds: float
    peak_bytes: int
    stdout: str
    stderr: str
    timed_out: bool

    @property
    def answer(self) -> dict[str, Any]:
        """The JSON object in the last line of standard output, which the scripts here print."""
        lines = self.stdout.strip().splitlines()
        return dict(json.loads(lines[-1])) if lines else {}

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether it died for want of memory."""
        return self.code != 0 and any(word in self.stderr for word in MEMORY_WORDS)

    @property
    def error(self) -> str:
        """The last line of standard error that says something."""
        lines = [line.strip() for line in self.stderr.splitlines() if line.strip(" ^~\t")]
        return lines[-1] if lines else f"ended with {self.code}"


def run(command: Sequence[str], limits: Limits) -> Ended:
    """Run a command to its end or its limit; time and peak memory are the kernel's.

    The process sees this checkout's package, models and `peers`, whatever is installed.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=_environment(), cwd=ROOT
        )
        ceiling = (limits.memory_bytes, limits.memory_bytes)
        resource.prlimit(process.pid, resource.RLIMIT_DATA, ceiling)
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(limits.seconds, stop)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            timer.cancel()
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        return Ended(
            code=process.returncode,
            seconds=seconds,
            peak_bytes=usage.ru_maxrss * 1024,
            stdout=_text(out),
            stderr=_text(err),
            timed_out=late.is_set(),
        )


def _environment() -> Mapping[str, str]:
    path = os.pathsep.join((str(ROOT), str(BENCH)))
    # Before the user's own, so that these win: ONNX Runtime would tell its vendor of each run.
    quiet = {"ORT_DISABLE_TELEMETRY": "1", **os.environ}
    return {**quiet, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "COLUMNS": "200"}


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")
