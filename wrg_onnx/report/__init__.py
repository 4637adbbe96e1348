"""What a run found out, as records, JSON and terminal text."""

from wrg_onnx.report.as_json import to_json, to_plain
from wrg_onnx.report.as_text import to_text
from wrg_onnx.report.cache import cache_text
from wrg_onnx.report.records import (
    BenchReport,
    BenchReports,
    ExportReport,
    FinetuneReport,
    InspectReport,
    PruneReport,
    ValidateReport,
)
from wrg_onnx.report.tables import (
    bench_text,
    export_text,
    finetune_text,
    inspect_text,
    prune_text,
    validate_text,
)
from wrg_onnx.report.tsod import filter_text, make_text

__all__ = [
    "BenchReport",
    "BenchReports",
    "ExportReport",
    "FinetuneReport",
    "InspectReport",
    "PruneReport",
    "ValidateReport",
    "bench_text",
    "cache_text",
    "export_text",
    "filter_text",
    "finetune_text",
    "inspect_text",
    "make_text",
    "prune_text",
    "to_json",
    "to_plain",
    "to_text",
    "validate_text",
]
