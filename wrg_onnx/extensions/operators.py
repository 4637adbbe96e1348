"""Whose an operator is: what is said of one, in one table, comes from one package."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from wrg_onnx.extensions.kind import Kind
from wrg_onnx.extensions.origin import OURS, Origin

Operator: TypeAlias = tuple[str, str]
"""Domain and name."""

_OWNERS: dict[tuple[Kind, Operator], Origin] = {}


def claim(kind: Kind, operator: Operator, origin: Origin) -> None:
    """Let an operator be that of a package, in the table of rules or in that of the twin.

    Raises:
        ValueError: If it is another's.
    """
    owner = _OWNERS.setdefault((kind, operator), origin)
    if owner != origin:
        shown = ".".join(filter(None, operator))
        raise ValueError(f"there is a {kind.value} '{shown}' already, of {owner}")


def foreign(kind: Kind, operators: Iterable[Operator]) -> tuple[Origin, ...]:
    """Return who brings some operators, this package aside, in the order of their names."""
    others = {
        operator: origin
        for (one, operator), origin in _OWNERS.items()
        if one is kind and origin != OURS
    }
    found = {others[operator] for operator in operators if operator in others} if others else set()
    return tuple(sorted(found, key=str))
