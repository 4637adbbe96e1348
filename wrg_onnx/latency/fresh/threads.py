"""How many threads a model is timed with."""

from __future__ import annotations

import os
from pathlib import Path

from wrg_onnx.errors import UsageError

TOPOLOGY = Path("/sys/devices/system/cpu")


def processors() -> tuple[int, ...]:
    """Return the numbers of the processors that this process may run on, hardware threads each."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def physical_cores(topology: Path = TOPOLOGY) -> int:
    """Return how many cores this process may run on, hardware threads of one core counted once.

    So many threads ONNX Runtime takes by itself where a process may run anywhere; where it may
    not, ONNX Runtime takes more than it can run. Where the system does not tell which hardware
    threads share a core, each counts.

    Args:
        topology: Where Linux tells it.
    """
    cores = set()
    for number in processors():
        siblings = topology / f"cpu{number}" / "topology" / "thread_siblings_list"
        cores.add(siblings.read_text(encoding="ascii") if siblings.exists() else str(number))
    return len(cores)


def check_threads(threads: int | None) -> int:
    """Return with how many threads to run.

    Args:
        threads: What was asked for; None for ``physical_cores``.

    Raises:
        UsageError: If there are fewer than 1, or more than may run at a time.
    """
    if threads is None:
        return physical_cores()
    most = len(processors())
    if not 1 <= threads <= most:
        raise UsageError(
            f"threads must be in 1 to {most}, as many as this process may run at a time, got "
            f"{threads}"
        )
    return threads
