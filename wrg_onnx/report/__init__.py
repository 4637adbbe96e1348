"""The result as JSON and as terminal text."""

from wrg_onnx.report.as_json import to_json
from wrg_onnx.report.cache import cache_text
from wrg_onnx.report.records import (
    BenchReport,
    FinetuneReport,
    InspectReport,
    PruneReport,
    ValidateReport,
)
from wrg_onnx.report.terminal import (
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
    "validate_text",
]
