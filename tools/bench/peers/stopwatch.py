"""The measurement that the scripts which prune share."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Read = TypeVar("Read")
Pruned = TypeVar("Pruned")


def measure(
    read: Callable[[], Read],
    work: Callable[[Read], Pruned],
    write: Callable[[Pruned], Mapping[str, object]],
    *,
    is_warm: bool = False,
    aside_s: float = 0.0,
) -> None:
    """Prune once and write the file; prune again for the warm time; print one JSON line.

    The first call of a process pays for pages, caches and imports on first use, the second does
    not. Peak memory is that up to the written file.

    Args:
        read: Reads the model; not counted as work.
        work: Analyses, selects and rewrites.
        write: Writes the file, not counted as work, and returns further entries of the answer.
        is_warm: Whether the same work was done in this process before, so that none is the first.
        aside_s: Seconds that this process spent on what no user needs.
    """
    source = read()
    start = time.perf_counter()
    pruned = work(source)
    work_s = time.perf_counter() - start
    more = write(pruned)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    again = time.perf_counter()
    source = read()
    start = time.perf_counter()
    work(source)
    end = time.perf_counter()
    answer = {
        "work_s": None if is_warm else work_s,
        "warm_s": end - start,
        "aside_s": aside_s + end - again,
        "peak_bytes": peak_bytes,
        **more,
    }
    print(json.dumps(answer))
