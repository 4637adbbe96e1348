"""How long work tells how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], object]
"""Told a stage's name, how much of it is done, and how much there is (0 where that is unknown)."""


OFTEN_S = 0.1
"""What is told more often nobody reads."""


class Counter:
    """Counts the parts of a stage, and tells of them at most ten times a second.

    What is timed is hardly disturbed by that, and what takes microseconds hardly slower.

    Args:
        progress: Told how far the stage is.
        stage: Its name.
        total: How many parts there are; may grow.
    """

    def __init__(self, progress: Progress, stage: str, total: int = 0) -> None:
        self._progress, self._stage = progress, stage
        self.done, self.total = 0, total
        self._last = time.monotonic()

    def add(self) -> None:
        """Count one more part as done."""
        self.done += 1
        now = time.monotonic()
        if now - self._last >= OFTEN_S or self.done == self.total:
            self._last = now
            self._progress(self._stage, self.done, self.total)


def silent(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""
