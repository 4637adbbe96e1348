"""How long a run may take, and how much memory, where a loop in the file may go round for ever.

A graph without loops runs each of its nodes once. How often a loop runs the file says, or what it
is fed: nobody can tell beforehand, so such runs are watched from another thread, and ended.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wrg_onnx.errors import ModelError, UsageError
from wrg_onnx.graph.records import all_nodes
from wrg_onnx.graph.weights import Form

if TYPE_CHECKING:
    import onnx
    import onnxruntime

SECONDS = 5.0
"""After this a run with a loop is given up; weights add a second per ``BYTES_PER_SECOND``."""

BYTES_PER_SECOND = 50 << 20

SECONDS_VARIABLE = "WRG_ONNX_LOOP_SECONDS"
"""The environment variable that sets another limit."""

GROWN_BYTES = 1 << 29
"""How much memory it may take, beside so many times the weights and what it is fed."""

TIMES_WEIGHTS, TIMES_FED = 4, 64

BODY = "body"
"""The attribute of operators that go round; branches are called otherwise."""

_POLL_SECONDS = 0.02

_RUNNING: set[object] = set()
"""The runs that are watched now: memory that the process takes may be of each of them."""

_STATM = Path("/proc/self/statm")


class EndlessRunError(ModelError):
    """A run was ended because it took longer, or more memory, than one with a loop may."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What a run may take.

    Attributes:
        seconds: How long.
        grown_bytes: How much memory beside what it is fed; None for as much as there is.
        loop: The node that may go round for ever; empty where nobody says so.
    """

    seconds: float
    grown_bytes: int | None = None
    loop: str = ""

    def within(self, seconds: float) -> RunLimits:
        """Return what a run may take that is given up after some seconds anyway."""
        return replace(self, seconds=seconds, loop="") if seconds < self.seconds else self


def limits_of(graph: onnx.GraphProto, weights: Mapping[str, Form]) -> RunLimits | None:
    """Say what a run of a graph may take; None where nothing in it goes round.

    Args:
        graph: What is run.
        weights: Its large weights, which are outside of it.

    Raises:
        UsageError: If the environment says no number of seconds.
    """
    loop = next((n for n in all_nodes(graph) if _goes_round(n)), None)
    if loop is None:
        return None
    held = sum(form.nbytes for form in weights.values()) + graph.ByteSize()
    seconds = _asked_seconds() or SECONDS + held / BYTES_PER_SECOND
    name = loop.name or next(iter(loop.output), "")
    return RunLimits(seconds, GROWN_BYTES + TIMES_WEIGHTS * held, f"{loop.op_type} '{name}'")


def _goes_round(node: onnx.NodeProto) -> bool:
    return any(one.name == BODY and one.HasField("g") for one in node.attribute)


def _asked_seconds() -> float | None:
    text = os.environ.get(SECONDS_VARIABLE)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{SECONDS_VARIABLE} must be a number of seconds such as 60, got '{text}'")
    return seconds


@dataclass(slots=True)
class Watch:
    """What the other thread did.

    Attributes:
        ended: Of what the run took more; empty if it was not ended.
    """

    ended: str = ""


@contextmanager
def watched(
    watch: Watch, options: onnxruntime.RunOptions, limits: RunLimits, fed_bytes: int
) -> Iterator[None]:
    """End a run from another thread, at the end of the node that is running then.

    Args:
        watch: Gets to know why.
        options: Those of the run.
        limits: What it may take. Memory is not looked at where the system does not tell.
        fed_bytes: How much it is fed.
    """
    done = threading.Event()
    _RUNNING.add(done)
    thread = threading.Thread(
        target=_look, args=(watch, options, limits, fed_bytes, done), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        _RUNNING.discard(done)


def _look(
    watch: Watch,
    options: onnxruntime.RunOptions,
    limits: RunLimits,
    fed_bytes: int,
    done: threading.Event,
) -> None:
    end = time.monotonic() + limits.seconds
    first = None if limits.grown_bytes is None else _resident_bytes()
    most = TIMES_FED * fed_bytes + (limits.grown_bytes or 0)
    while not done.wait(limits.seconds if first is None else _POLL_SECONDS):
        if first is not None and (_resident_bytes() or 0) - first > most * len(_RUNNING):
            watch.ended = f"{most / 2**30:.1f} GiB"
        elif time.monotonic() >= end:
            watch.ended = f"{limits.seconds:.0f} s"
        if watch.ended:
            options.terminate = True
            return


def _resident_bytes() -> int | None:
    """Return how much memory this process has; None where the system does not tell."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
