"""What a run found out, as records, JSON and terminal text."""

from wrg_onnx.report.as_json import to_json, to_plain
from wrg_onnx.report.as_text import to_text
from wrg_onnx.report.records import (
    BenchReport,
    BenchReports,
    ExportReport,
    FinetuneReport,
    InspectReport,
    PruneReport,
    ValidateReport,
)
from wrg_onnx.report.sweep import SweepReport

__all__ = [
    "BenchReport",
    "BenchReports",
    "ExportReport",
    "FinetuneReport",
    "InspectReport",
    "PruneReport",
    "SweepReport",
    "ValidateReport",
    "to_json",
    "to_plain",
    "to_text",
]
