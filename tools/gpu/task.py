"""What a part is given, and how it hands on what it found out, also if it is stopped half way."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wrg_onnx.files import renamed

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One part.

    Attributes:
        net: Which net, for parts that look at one; empty for others.
        folder: Where files may be left for other parts.
        device: Where torch and ONNX Runtime compute, ``cpu`` or ``cuda``.
        small: Whether narrow nets, small images and few rounds do, since nobody reads the figures.
        out: The file of figures.
    """

    net: str
    folder: Path
    device: str
    small: bool
    out: Path

    def pick(self, full: int, small: int) -> int:
        """Return a number of samples, rounds or steps."""
        return small if self.small else full


def run(work: Callable[[Task, Callable[..., None]], None]) -> None:
    """Read the command line, and do a part's work.

    Args:
        work: Gets the task, and a function that keeps figures by name. What it was given is in the
            file at once.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--net", default="")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--device", choices=DEVICES, required=True)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    task = Task(**vars(parser.parse_args()))
    figures: dict[str, Any] = {}

    def keep(**found: Any) -> None:
        figures.update(found)
        with renamed(task.out) as part:
            part.write_text(json.dumps(figures), encoding="utf-8")

    work(task, keep)


class Stopwatch:
    """Seconds since it was made, or since it was last read."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds, and begin anew."""
        now = time.perf_counter()
        passed, self._start = now - self._start, now
        return passed
