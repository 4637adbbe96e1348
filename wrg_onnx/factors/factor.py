"""A factor: something that is measured of every channel, under one name from probe to score."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from wrg_onnx.extensions.origin import OURS, Origin

LARGEST = float(np.finfo(np.float64).max)
"""What a factor may be at most, unless it says less: the largest float64."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Source(enum.Enum):
    """What a factor is measured on."""

    WEIGHTS = "weights"
    MAPS = "maps"
    BACKWARD = "backward"

    @property
    def needs_maps(self) -> bool:
        """Whether feature maps must be looked at."""
        return self is Source.MAPS

    @property
    def needs_gradient(self) -> bool:
        """Whether a backward pass is needed."""
        return self is Source.BACKWARD

    @property
    def needs_data(self) -> bool:
        """Whether images are needed at all."""
        return self is not Source.WEIGHTS


@dataclass(frozen=True, slots=True)
class Factor:
    """Something that is measured of every channel; the key of all that is known of it.

    Attributes:
        name: What reports and kept files call it: lower-case letters, digits and underscores.
        version: Grows with every change of the formula, so that numbers that were kept from before
            the change are not read.
        source: What it is measured on.
        most: The largest value that it can take; the least is 0.
        origin: Who brings the function that measures it. What a distribution of others measures is
            known again by its name and version, too.
    """

    name: str
    version: int
    source: Source
    most: float = LARGEST
    origin: Origin = OURS

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"a factor's name has lower-case letters, digits and underscores, got '{self.name}'"
            )
        if self.version < 1:
            raise ValueError(f"factor '{self.name}': version must be at least 1")

    def __str__(self) -> str:
        brought = "" if self.origin == OURS else f" of {self.origin}"
        return f"{self.name} {self.version}{brought}"


def from_source(factors: Iterable[Factor], source: Source) -> tuple[Factor, ...]:
    """Pick the factors that are measured on one thing, in the order of their names."""
    return tuple(sorted((f for f in factors if f.source is source), key=lambda f: f.name))
