"""Why something stays: what a user reads, and of what kind it is."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Self


class Kind(enum.Enum):
    """What kind of decision keeps channels: a way out, where there is one, is one of its kind."""

    OPERATOR = "operator"
    """What an operator does along the axis. The kind of every text that names no other."""
    MEETS = "meets"
    """An axis meets one without channels. What took the channels off that is the root of it."""
    INPUT = "input"
    """The model's interface."""
    OUTPUT = "output"
    """The model's interface."""
    KEPT = "kept"
    """The user's own limit, ``--keep``."""
    NOT_ONLY = "not-only"
    """The user's own limit, ``--only``, which names others."""
    NO_RULE = "no-rule"
    """An operator that nobody knows."""
    NO_SHAPE = "no-shape"
    """Shapes that are not known before run time."""
    NORMALISED = "normalised"
    """All positions of the axis make the statistics of each."""
    HEAD_DIMS = "head-dims"
    """Queries and keys are contracted over it, inside of heads."""
    VARYING = "varying"
    """A length that varies with the model's inputs."""
    CONVERTED = "converted"
    """What a quantiser or an optimiser wrote; the file before it can be pruned."""


class Why(str):  # noqa: SLOT000 - it adds one
    """A text of a freeze whose kind is another than ``OPERATOR``."""

    kind: Kind

    def __new__(cls, text: str, kind: Kind) -> Self:
        """Make a text of that kind."""
        made = super().__new__(cls, text)
        made.kind = kind
        return made


def kind_of(text: str) -> Kind:
    """Return the kind of a freeze's text."""
    return text.kind if isinstance(text, Why) else Kind.OPERATOR


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something stays.

    Attributes:
        node: The node that demands it, as ``Op 'name'``, or the name of a graph output.
        text: What it does with the axis; empty for positions that are no channels.
        kind: What kind of decision it is.
        index: The node's index, where the kind is ``MEETS``.
    """

    node: str
    text: str
    kind: Kind = Kind.OPERATOR
    index: int | None = None

    def __str__(self) -> str:
        return f"{self.node} {self.text}"
