"""The JSON Schema of what ``--json`` prints, made from the records that are printed."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from wrg_onnx.report.versions import COMMANDS, KEY, schema_name

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema: TypeAlias = dict[str, Any]

_PLAIN: Mapping[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    # Infinity and NaN, which JSON does not have, are null.
    float: {"type": ["number", "null"]},
    type(None): {"type": "null"},
    Any: {},
}

_FIELD = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)$", re.MULTILINE)
"""A field in the section ``Attributes`` of a docstring, with the lines that it goes on in."""


def json_schema(kind: type) -> Schema:
    """Return the schema of a command's JSON: draft 2020-12, with all records under ``$defs``.

    Every field is there in every output. That others may come is allowed: a field that is added
    makes no new version.

    Args:
        kind: The report of the command, such as ``PruneReport``.

    Raises:
        TypeError: If a field is of a type that has no schema here, or two records have one name.
    """
    name = schema_name(kind)
    assert name is not None, kind  # a report
    records: dict[type, Schema] = {}
    own = _record(kind, records)
    by_name = {one.__name__: records[one] for one in sorted(records, key=lambda one: one.__name__)}
    if len(by_name) < len(records):
        raise TypeError(f"two records of '{name}' have the same name")
    return {
        "$schema": DIALECT,
        "$id": f"urn:{name.replace('/', ':')}",
        "title": f"wrg-onnx {COMMANDS[kind].replace('-', ' ')} --json",
        "description": own["description"],
        "type": "object",
        "required": [KEY, *own["required"]],
        "properties": {
            KEY: {"const": name, "description": "What this is, and in which version."},
            **own["properties"],
        },
        "$defs": by_name,
    }


def _record(kind: type, records: dict[type, Schema]) -> Schema:
    """Describe a record, and note those that its fields are of."""
    said, told = _told(kind)
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    properties = {}
    for name in names:
        found = _value(hints[name], records)
        properties[name] = {**found, "description": told[name]} if name in told else found
    return {"description": said, "type": "object", "required": names, "properties": properties}


def _value(kind: Any, records: dict[type, Schema]) -> Schema:
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if kind not in records:
            records[kind] = {}  # it may hold records of its own kind
            records[kind] = _record(kind, records)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    if get_origin(kind) is Literal:
        return {"enum": [*get_args(kind)]}
    if get_origin(kind) in (Union, types.UnionType):
        return _any_of([_value(one, records) for one in get_args(kind)])
    return _several(kind, records)


def _several(kind: Any, records: dict[type, Schema]) -> Schema:
    """Describe what holds values: a tuple, a list or a table by text."""
    origin, of = get_origin(kind), get_args(kind)
    if not isinstance(origin, type):
        raise TypeError(f"no JSON Schema for {kind}")
    if origin is tuple and of[-1] is not Ellipsis:
        return {
            "type": "array", "prefixItems": [_value(one, records) for one in of],
            "minItems": len(of), "maxItems": len(of),
        }  # fmt: skip
    if issubclass(origin, Sequence):
        return {"type": "array", "items": _value(of[0], records)}
    if issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _value(of[1], records)}
    raise TypeError(f"no JSON Schema for {kind}")


def _any_of(schemas: Sequence[Schema]) -> Schema:
    """Join alternatives: those that name nothing but types become one list of types."""
    if all(set(schema) == {"type"} for schema in schemas):
        types_of = dict.fromkeys(one for schema in schemas for one in _types(schema))
        return {"type": [*types_of]}
    return {"anyOf": [*schemas]}


def _types(schema: Schema) -> Iterator[str]:
    found = schema["type"]
    yield from [found] if isinstance(found, str) else found


def _told(kind: type) -> tuple[str, Mapping[str, str]]:
    """Return the first line of a record's docstring, and what it says of each field."""
    text = inspect.getdoc(kind) or ""
    head, _, fields = text.partition("\nAttributes:\n")
    told = {name: _line(said) for name, said in _FIELD.findall(fields)}
    return _line(head.partition("\n\n")[0]), told


def _line(text: str) -> str:
    """Return a text of a docstring as one line, as a reader of JSON knows its words."""
    words = " ".join(text.split()).replace("``", "`")
    return re.sub(r"\bNone\b", "null", words)
