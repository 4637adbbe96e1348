"""A call in a process that was forked for it: what it needs is imported once, for thousands."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

MOST_FILE_BYTES = 2**28
"""No file may become larger."""

LATE = (signal.SIGXCPU, signal.SIGALRM)
"""What ends a process that computes, or waits, for too long, whatever it is doing."""

PATIENCE = 6
"""How many times as long it may wait as compute: other programs run, too."""


BASE = "base"
"""The file in which a process says what it held when it was forked."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a call may take.

    Attributes:
        seconds: Of computing, of all its threads together.
        memory_bytes: Private writable memory, beyond what the process held when it was forked.
    """

    seconds: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended.

    Attributes:
        code: The exit code; negative, the signal that killed it.
        seconds: Wall time.
        peak_bytes: The largest resident set beyond that of the process it was forked from.
        out: What it wrote to stdout.
        err: What it wrote to stderr.
    """

    code: int
    seconds: float
    peak_bytes: int
    out: bytes
    err: bytes

    @property
    def is_late(self) -> bool:
        """Whether it was killed for its time."""
        return -self.code in LATE


def forked(call: Callable[[], None], folder: Path, limits: Limits) -> Ended:
    """Run a call in a process of its own.

    Args:
        call: Ends as a program does: by returning, or with SystemExit.
        folder: Where its stdout and stderr go, and where it keeps temporary files; it works there.
        limits: What it may take.
    """
    start = time.perf_counter()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _run(call, folder, limits)
    _, status, usage = os.wait4(child, 0)
    base = int((folder / BASE).read_text(encoding="ascii"))
    return Ended(
        code=os.waitstatus_to_exitcode(status),
        seconds=time.perf_counter() - start,
        peak_bytes=max(0, usage.ru_maxrss * 1024 - base),
        out=(folder / "stdout").read_bytes(),
        err=(folder / "stderr").read_bytes(),
    )


def _run(call: Callable[[], None], folder: Path, limits: Limits) -> NoReturn:
    """Be the child; it never comes back, whatever happens, so that there are no two fuzzers."""
    code = 1
    try:
        os.setsid()
        (folder / BASE).write_text(f"{_status_bytes('VmRSS')}", encoding="ascii")
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), number)
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
        os.chdir(folder)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_FILE_BYTES, MOST_FILE_BYTES))
        most = _status_bytes("VmData") + limits.memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        resource.setrlimit(resource.RLIMIT_CPU, (limits.seconds, limits.seconds + 1))
        for late in LATE:
            signal.signal(late, signal.SIG_DFL)
        signal.alarm(PATIENCE * limits.seconds)
        code = _exit_code(call)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _exit_code(call: Callable[[], None]) -> int:
    """Run a call, and return the exit code that Python would end with."""
    try:
        call()
    except SystemExit as ended:
        if isinstance(ended.code, int) or ended.code is None:
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 - as Python does at the end of a program
        traceback.print_exc()
        return 1
    return 0


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name == field:
            return int(rest.split()[0]) * 1024
    raise LookupError(field)
