"""The result as one JSON object."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from wrg_onnx.report.versions import KEY, schema_name


def to_plain(record: Any) -> dict[str, Any]:
    """Return a record, and the records in it, as dicts, lists, texts and numbers.

    Numbers that JSON does not know (infinity, NaN) become None. A report of a command says first
    what it is (``schema``).
    """
    plain: dict[str, Any] = finite(dataclasses.asdict(record))
    name = schema_name(type(record))
    return plain if name is None else {KEY: name, **plain}


def to_json(record: Any) -> str:
    """Write a record, and the records in it, as one JSON object.

    Numbers that JSON does not know (infinity, NaN) become null.
    """
    return json.dumps(to_plain(record), indent=2, allow_nan=False)


def finite(value: Any) -> Any:
    """Return plain values with None for numbers that JSON does not know."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
