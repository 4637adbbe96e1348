"""Records whose texts are fit to be shown: the names in them come from models and files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from wrg_onnx.printable import printable
from wrg_onnx.report.details import Picture

Value = TypeVar("Value")


def shown(value: Value) -> Value:
    """Return a record with every text in it made printable, as deep as it goes.

    Args:
        value: A record, or what is in one: texts, numbers, arrays, mappings, tuples, lists.

    Returns:
        The value itself where there is nothing to change.
    """
    found: Value = _shown(value)
    return found


def _shown(value: Any) -> Any:
    if isinstance(value, (Enum, Picture)):  # base64 has no character that does anything
        return value
    if isinstance(value, str):
        text = printable(value)
        return value if text == value else text
    if isinstance(value, Mapping):
        return _shown_table(value)
    if type(value) in (tuple, list):
        parts = [_shown(part) for part in value]
        return value if _are_same(parts, value) else type(value)(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _shown_record(value)
    return value


def _are_same(parts: Any, others: Any) -> bool:
    """Compare by identity: arrays among them have no equality that is one."""
    return all(part is other for part, other in zip(parts, others, strict=True))


def _shown_record(record: Any) -> Any:
    changed = {}
    for field in dataclasses.fields(record):
        before = getattr(record, field.name)
        after = _shown(before)
        if field.init and after is not before:
            changed[field.name] = after
    return dataclasses.replace(record, **changed) if changed else record


def _shown_table(table: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Show keys and values. Keys that look alike then are numbered, so that none gets lost.

    Tables of one record that have the same keys in the same order number them alike.
    """
    found: dict[Any, Any] = {}
    for key, value in table.items():
        name, number = _shown(key), 1
        while (own := name if number == 1 else f"{name} ({number})") in found:
            number += 1
        found[own] = _shown(value)
    is_same = _are_same(found, table) and _are_same(found.values(), table.values())
    return table if is_same else found
