"""Any report as the text that its command prints."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from wrg_onnx.calibrate import CacheReport
from wrg_onnx.report.bench import bench_text
from wrg_onnx.report.cache import cache_text
from wrg_onnx.report.paged import PageReport, page_text
from wrg_onnx.report.records import (
    BenchReport,
    BenchReports,
    ExportReport,
    FinetuneReport,
    InspectReport,
    PruneReport,
    ValidateReport,
)
from wrg_onnx.report.shown import shown
from wrg_onnx.report.sweep import SweepReport, sweep_text
from wrg_onnx.report.tables import (
    export_text,
    finetune_text,
    inspect_text,
    prune_text,
    validate_text,
)
from wrg_onnx.report.tsod import filter_text, make_text
from wrg_onnx.tsod import FilterReport, MakeReport

COLUMNS = 80
"""Of a terminal that nothing is known of."""

NARROWEST = 20
"""Columns of the narrowest terminal that text is folded for."""


def to_text(record: object, width: int = COLUMNS) -> str:
    """Show a report as its command does.

    Args:
        record: One of the reports.
        width: Columns of the terminal; commands are longer, so that a copy of one is one line.

    Returns:
        Lines without blanks at their ends. What does not fit is folded; where figures would not
        stay whole, the rows of a table are written one below the other. Names are printable.
    """
    # A name is no markup, and :fire: in it no picture.
    console = Console(
        width=max(NARROWEST, width), highlight=False, soft_wrap=False, markup=False, emoji=False
    )
    with console.capture() as captured:
        console.print(_glued(_TEXTS[type(record)](shown(record))), crop=False)
    # Tables are filled up to their width.
    lines = captured.get().replace(_GLUE, " ").splitlines()
    return "\n".join(line.rstrip() for line in lines)


_GLUE = "\ufdd0"
"""Stands for a blank that no line ends at: no character, so that no text has it."""

_UNITS = re.compile(r"(?<=\d) (?=(?:%|ms|s|[KMG](?:i?B)?|x)(?![\w/]))")
"""The blank between a number and its unit."""


def _glued(part: RenderableType) -> RenderableType:
    """Keep numbers and their units together in sentences; in tables figures are whole anyway."""
    if isinstance(part, Group):
        return Group(*map(_glued, part.renderables))
    if isinstance(part, Text) and not part.spans and not part.no_wrap:
        return Text(_UNITS.sub(_GLUE, part.plain), part.style)
    return part


def _bench_texts(record: BenchReports) -> RenderableType:
    return Group(*(bench_text(report) for report in record.providers))


_TEXTS: Mapping[type, Callable[[Any], RenderableType]] = {
    PruneReport: prune_text,
    InspectReport: inspect_text,
    ValidateReport: validate_text,
    FinetuneReport: finetune_text,
    BenchReport: bench_text,
    BenchReports: _bench_texts,
    ExportReport: export_text,
    SweepReport: sweep_text,
    MakeReport: make_text,
    FilterReport: filter_text,
    CacheReport: cache_text,
    PageReport: page_text,
}
