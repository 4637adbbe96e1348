"""Runs of several samples side by side, each on one thread, in order.

How ONNX Runtime divides a product among threads decides in which order it adds up, and with that
the last digits of what it makes. On one thread these are the same on any number of cores; samples
share the cores out instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeAlias

from wrg_onnx.graph.session import Session
from wrg_onnx.graph.threads import usable_cores
from wrg_onnx.graph.weights import Array

AHEAD_BYTES = 512 << 20
"""How many bytes of results may wait for whoever asked; one result always may."""

_Arrays: TypeAlias = Mapping[str, Array]


def run_side_by_side(
    session: Session,
    feeds: Iterable[_Arrays],
    names: Sequence[str] | None = None,
    *,
    ahead_bytes: int = AHEAD_BYTES,
) -> Iterator[tuple[_Arrays, dict[str, Array]]]:
    """Run a session on one sample after another, the next ones while one is looked at.

    Args:
        session: One of a single thread; on a GPU samples run one by one.
        feeds: The samples, each asked for as late as may be.
        names: Which of the outputs to return; None for all.
        ahead_bytes: How many bytes of results may wait; 0 runs them one by one, as must be what
            draws random numbers.

    Yields:
        Each sample and its outputs, in the order of the samples.

    Raises:
        DataError: If ONNX Runtime refuses a sample, or fails on it.
    """
    rest = iter(feeds)
    most = usable_cores() if session.is_on_cpu and ahead_bytes else 0
    if not most:
        yield from ((one, session.run(one, names)) for one in rest)
        return
    with ThreadPoolExecutor(most) as pool:

        def started(count: int) -> Iterator[tuple[_Arrays, Future[dict[str, Array]]]]:
            yield from ((one, pool.submit(session.run, one, names)) for one in islice(rest, count))

        waiting = deque(started(2))
        while waiting:
            done, future = waiting.popleft()
            found = future.result()
            size = sum(array.nbytes for array in found.values())
            ahead = max(1, min(most, ahead_bytes // max(1, size)))
            waiting.extend(started(max(0, ahead - len(waiting))))
            yield done, found
