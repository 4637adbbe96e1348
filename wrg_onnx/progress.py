"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[str, int, int], object]
"""Told a stage's name, how much of it is done, and how much there is (0 where that is unknown)."""


def silent(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""
