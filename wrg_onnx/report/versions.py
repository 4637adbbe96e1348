"""What the JSON of each command is called, and in which version it is."""

from __future__ import annotations

from collections.abc import Mapping

from wrg_onnx.calibrate import CacheReport
from wrg_onnx.report.paged import PageReport
from wrg_onnx.report.records import (
    BenchReports,
    ExportReport,
    FinetuneReport,
    InspectReport,
    PruneReport,
    ValidateReport,
)
from wrg_onnx.report.sweep import SweepReport
from wrg_onnx.tsod import FilterReport, MakeReport

KEY = "schema"
"""Under which key a report in JSON says what it is."""

COMMANDS: Mapping[type, str] = {
    BenchReports: "bench",
    CacheReport: "cache",
    ExportReport: "export",
    FinetuneReport: "finetune",
    InspectReport: "inspect",
    PruneReport: "prune",
    PageReport: "report",
    SweepReport: "sweep",
    FilterReport: "tsod-filter",
    MakeReport: "tsod-make",
    ValidateReport: "validate",
}
"""The command of each report that is printed as one JSON object."""

VERSIONS: Mapping[str, int] = dict.fromkeys(COMMANDS.values(), 1)
"""Grows with a field that goes, or means something else; not with one that is added
(docs/json.md)."""


def schema_name(kind: type) -> str | None:
    """Return what the JSON of a report is, such as ``wrg-onnx/prune/v1``; None of other records."""
    command = COMMANDS.get(kind)
    return None if command is None else f"wrg-onnx/{command}/v{VERSIONS[command]}"


def without_schema(plain: object, kind: type) -> object:
    """Return what JSON holds without the key that says what it is.

    Args:
        plain: What JSON holds.
        kind: What it is to be. Of a record that is no report there is no such key.

    Raises:
        ValueError: If it says that it is something else.
    """
    name = schema_name(kind)
    if name is None or not isinstance(plain, Mapping) or KEY not in plain:
        return plain
    if plain[KEY] != name:
        raise ValueError(f"is of the schema '{plain[KEY]}', not '{name}'")
    return {key: value for key, value in plain.items() if key != KEY}
