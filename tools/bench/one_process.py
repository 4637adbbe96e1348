"""A process of its own, and what the kernel says of it: what commands are measured by.

A process starts with the peak memory of the one that starts it. So this file is run as a small
process between the two: `python one_process.py COMMAND...` prints one JSON line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """One process: seconds, CPU seconds of it and its children, peak memory in bytes."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def run(command: Sequence[str]) -> Run:
    """Run a command to its end; what it prints is not shown.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    between = [sys.executable, __file__, *command]
    ended = subprocess.run(between, stdout=subprocess.PIPE, text=True, check=True)
    return Run(**json.loads(ended.stdout))


def main() -> None:
    """Run a command, and print what it took; end as it ends."""
    start = time.perf_counter()
    process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s = usage.ru_utime + usage.ru_stime
    print(json.dumps(asdict(Run(wall_s, cpu_s, usage.ru_maxrss * 1024))))
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
