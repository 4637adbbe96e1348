"""``NAME:WHERE``: how samples of a data source are asked for, where ``--data`` else takes a folder.

It is apart from the sources so that a run on a folder need not load them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ADDRESS = re.compile(r"([a-z][a-z0-9_-]+):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DataAddress:
    """Samples of a source.

    Attributes:
        source: Its name.
        where: What it is asked for.
    """

    source: str
    where: str

    def __str__(self) -> str:
        return f"{self.source}:{self.where}"


def as_address(text: str) -> DataAddress | None:
    """Take ``NAME:WHERE`` apart, whether there is such a source or not; None for anything else."""
    found = _ADDRESS.fullmatch(text)
    return None if found is None else DataAddress(found[1], found[2])
