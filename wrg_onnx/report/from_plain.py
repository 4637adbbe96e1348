"""Records again from what they were written as."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from wrg_onnx.report.versions import without_schema

Record = TypeVar("Record")


def from_plain(kind: type[Record], plain: object) -> Record:
    """Return the record that ``dataclasses.asdict`` made a dict of, sent through JSON.

    Args:
        kind: The record's class. Its fields are numbers, texts, records, tuples of one kind, and
            None.
        plain: What JSON holds.

    Raises:
        ValueError: If that is no such record; it names the field.
    """
    found: Record = _read(kind, without_schema(plain, kind), kind.__name__)
    return found


def _read(kind: Any, plain: object, where: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _read_record(kind, plain, where)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if plain is None and type(None) in get_args(kind):
            return None
        (other,) = (one for one in get_args(kind) if one is not type(None))
        return _read(other, plain, where)
    if origin is tuple and isinstance(plain, list):
        return tuple(_read(get_args(kind)[0], one, where) for one in plain)
    if kind is float and isinstance(plain, (int, float)) and not isinstance(plain, bool):
        return float(plain)
    if kind in (int, str, bool) and type(plain) is kind:
        return plain
    raise ValueError(f"{where} holds {type(plain).__name__}")


def _read_record(kind: type[Any], plain: object, where: str) -> Any:
    names = {one.name for one in dataclasses.fields(kind)}
    if not isinstance(plain, Mapping) or set(plain) != names:
        raise ValueError(f"{where} has other fields than {kind.__name__}")
    hints = get_type_hints(kind)
    return kind(**{name: _read(hints[name], plain[name], f"{where}.{name}") for name in names})
