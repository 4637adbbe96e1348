"""What a wheel asks for, as lines of requirements/ with their hashes."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).parents[1] / "requirements"


def locked(asked: Iterable[str], *, extra: str) -> str:
    """Return the lines of all that a distribution asks for with an extra, and what those ask for.

    What asks for what is known from the packages that are installed here, in the same versions.
    """
    lines = _lines("base") | _lines("cpu")
    found: dict[str, str] = {}
    waiting = _names(asked, extra)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = lines[name]
            waiting += _names(importlib.metadata.requires(name) or (), "")
    return "\n".join(found[name] for name in sorted(found)) + "\n"


def _names(asked: Iterable[str], extra: str) -> list[str]:
    wanted = (Requirement(one) for one in asked)
    return [
        canonicalize_name(one.name)
        for one in wanted
        if one.marker is None or one.marker.evaluate({"extra": extra})
    ]


def _lines(name: str) -> dict[str, str]:
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return {
        canonicalize_name(match[1]): match[0]
        for match in re.finditer(
            r"^([\w.-]+)(?:\[[^\]]*\])?==[^\n]*(?:\n    --hash=[^\n]*)+", text, re.MULTILINE
        )
    }
