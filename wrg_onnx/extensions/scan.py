"""The entry points of installed packages. Looking for them reads texts, and imports nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from wrg_onnx.errors import ExtensionError, UsageError, one_line
from wrg_onnx.extensions.kind import Kind

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

SWITCH = "WRG_ONNX_EXTENSIONS"
"""The environment variable that, set to ``none``, leaves all packages of others alone."""

_FILE = "entry_points.txt"

_MARK = "[wrg_onnx."
"""What stands in the file of every package that brings something, and of hardly any other."""


@dataclass(frozen=True, slots=True)
class Extension:
    """Something that an installed package brings.

    Attributes:
        kind: What it is.
        name: What it is asked for by.
        package: The name of the distribution.
        version: The distribution's version.
        point: Its entry point.
    """

    kind: Kind
    name: str
    package: str
    version: str
    point: EntryPoint

    @property
    def owner(self) -> str:
        """The distribution, for messages."""
        return f"'{self.package}' {self.version}"

    def __str__(self) -> str:
        return f"{self.kind.value} '{self.name}' of {self.owner}"


def installed(kind: Kind) -> Mapping[str, tuple[Extension, ...]]:
    """Return what installed packages bring of a kind, by name; several where they clash.

    Raises:
        ExtensionError: If a package that brings something for us cannot be read.
        UsageError: If ``WRG_ONNX_EXTENSIONS`` is neither ``all`` nor ``none``.
    """
    return _scan(os.environ.get(SWITCH, "all"))[kind]


@cache
def _scan(switch: str) -> Mapping[Kind, Mapping[str, tuple[Extension, ...]]]:
    """Look once in a process; ``sys.path`` is as it is then."""
    found: dict[Kind, dict[str, tuple[Extension, ...]]] = {kind: {} for kind in Kind}
    if switch not in ("all", "none"):
        raise UsageError(f"{SWITCH} must be all or none, got '{switch}'")
    if switch == "none":
        return found
    kinds = {kind.group: kind for kind in Kind}
    for one in _distributions():
        for point in _points(one):
            if point.group.startswith("wrg_onnx.") and point.group not in kinds:
                raise ExtensionError(
                    f"'{one.name}' {one.version} has entry points in '{point.group}': the groups "
                    f"are {', '.join(kinds)}"
                )
            if point.group in kinds:
                kind = kinds[point.group]
                extension = Extension(kind, point.name, one.name, one.version, point)
                known = found[kind].get(point.name, ())
                found[kind][point.name] = (*known, extension)
    return found


def _distributions() -> Iterator[Distribution]:
    """Yield the distributions that bring something, each once, in the order of their names."""
    from importlib import metadata  # takes longer than to look

    names = {one.name for one in metadata.distributions() if _MARK in (one.read_text(_FILE) or "")}
    # Of two with the same name Python imports the first: what the other brings is not there.
    yield from (metadata.distribution(name) for name in sorted(names))


def _points(distribution: Distribution) -> list[EntryPoint]:
    try:
        return list(distribution.entry_points)
    except (TypeError, ValueError) as error:
        raise ExtensionError(
            f"'{distribution.name}' {distribution.version} has entry points that cannot be read "
            f"({one_line(error)}): mend or uninstall it"
        ) from error
