"""Reports again from the JSON that commands printed."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from wrg_onnx.errors import DataError, UnreadableError, UsageError
from wrg_onnx.files import read_ordinary
from wrg_onnx.report.from_plain import from_plain
from wrg_onnx.report.records import PruneReport, ValidateReport
from wrg_onnx.report.sweep import SweepReport
from wrg_onnx.report.versions import KEY

Paged: TypeAlias = PruneReport | SweepReport | ValidateReport
"""The reports that there are pages of."""

COMMANDS: Mapping[str, type[Paged]] = {
    "prune": PruneReport,
    "sweep": SweepReport,
    "validate": ValidateReport,
}
"""Which command prints which."""

MOST_BYTES = 2**26
"""A report takes some megabytes at most; what is larger is none, and is not read."""

MOST_NAMED = 4
"""Fields that are named of those that are missing or unknown."""


def read_report(path: Path) -> Paged:
    """Read what ``--json`` of a command printed.

    Args:
        path: The file.

    Raises:
        UnreadableError: If it cannot be read, or is no JSON.
        DataError: If it holds no report, or one of another version.
    """
    plain = _read_json(path)
    kind = _kind_of(plain)
    if kind is None:
        commands = ", ".join(f"`wrg-onnx {name} --json`" for name in COMMANDS)
        raise DataError(f"'{path}' is no report of a run: it holds nothing that {commands} print")
    command = next(name for name, one in COMMANDS.items() if one is kind)
    again = f"run `wrg-onnx {command} --json` again"
    assert isinstance(plain, Mapping)
    known = {one.name for one in dataclasses.fields(kind)}
    others = [*_named("has no", sorted(known - set(plain))),
              *_named("has the unknown", sorted(set(plain) - known - {KEY}))]  # fmt: skip
    if others:
        raise DataError(
            f"'{path}' is a report of another version of wrg-onnx: it {' and '.join(others)}; "
            f"{again}"
        )
    try:
        return from_plain(kind, plain, lost=math.nan)
    except (ValueError, OverflowError, UsageError, RecursionError) as error:
        raise DataError(
            f"'{path}' does not hold what `wrg-onnx {command}` of this version prints ({error}); "
            f"{again}"
        ) from error


def _read_json(path: Path) -> object:
    try:
        return json.loads(read_ordinary(path, MOST_BYTES))
    except OSError as error:
        raise UnreadableError(f"cannot read '{path}': {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"'{path}' is no JSON: {error}") from error


def _kind_of(plain: object) -> type[Paged] | None:
    """Return the report whose fields are most of what is there; None for none of them."""
    if not isinstance(plain, Mapping):
        return None
    shares = {kind: _share(plain, kind) for kind in COMMANDS.values()}
    best = max(shares, key=lambda kind: shares[kind])
    return best if shares[best] > 0.5 else None


def _share(plain: Mapping[Any, Any], kind: type[Paged]) -> float:
    known = {one.name for one in dataclasses.fields(kind)}
    return len(known & set(plain)) / max(len(known), len(plain))


def _named(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    listed = ", ".join(f"'{name}'" for name in names[:MOST_NAMED])
    return [f"{what} {listed}{more}"]
