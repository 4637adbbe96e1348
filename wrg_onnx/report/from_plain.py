"""Records again from what they were written as."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from wrg_onnx.report.versions import without_schema

Record = TypeVar("Record")


def from_plain(kind: type[Record], plain: object, *, lost: float | None = None) -> Record:
    """Return the record that ``dataclasses.asdict`` made a dict of, sent through JSON.

    Args:
        kind: The record's class. Its fields are numbers, texts, records, tuples and tables by text
            of one kind or any, and None.
        plain: What JSON holds.
        lost: What stands for a number that JSON did not take, and has null for; None takes none.

    Raises:
        ValueError: If that is no such record; it names the field.
    """
    found: Record = _read(kind, without_schema(plain, kind), kind.__name__, lost)
    return found


def _read(kind: Any, plain: object, where: str, lost: float | None) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read_record(kind, plain, where, lost)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if plain is None and type(None) in get_args(kind):
            return None
        (other,) = (one for one in get_args(kind) if one is not type(None))
        return _read(other, plain, where, lost)
    if origin is tuple and isinstance(plain, list):
        return tuple(_read(get_args(kind)[0], one, where, lost) for one in plain)
    if origin is Mapping and isinstance(plain, Mapping):
        return {key: _read(get_args(kind)[1], one, where, lost) for key, one in plain.items()}
    return _read_value(kind, plain, where, lost)


def _read_value(kind: Any, plain: object, where: str, lost: float | None) -> Any:
    if kind is Any:
        return plain
    if kind is float and plain is None and lost is not None:
        return lost
    if kind is float and isinstance(plain, (int, float)) and not isinstance(plain, bool):
        return float(plain)
    if kind in (int, str, bool) and type(plain) is kind:
        return plain
    raise ValueError(f"{where} holds {type(plain).__name__}")


def _read_record(kind: type[Any], plain: object, where: str, lost: float | None) -> Any:
    names = {one.name for one in dataclasses.fields(kind)}
    if not isinstance(plain, Mapping) or set(plain) != names:
        raise ValueError(f"{where} has other fields than {kind.__name__}")
    hints = get_type_hints(kind)
    read = {name: _read(hints[name], plain[name], f"{where}.{name}", lost) for name in names}
    return kind(**read)
