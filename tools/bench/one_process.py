"""A process of its own, and what the kernel says of it: what commands are measured by."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """One process: seconds, CPU seconds of it and its children, peak memory in bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def run(command: Sequence[str]) -> Run:
    """Run a command to its end.

    A child starts with its parent's peak memory: what is large is to be done in one of its own.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
