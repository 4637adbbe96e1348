"""What was written by ``wrg-onnx report``, and how that is told."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from wrg_onnx.report.rows import byte_size


@dataclass(frozen=True, slots=True)
class PageReport:
    """A page that was written.

    Attributes:
        output: The file.
        runs: The reports that it shows.
        file_bytes: Its size.
    """

    output: str
    runs: tuple[str, ...]
    file_bytes: int


def page_text(report: PageReport) -> Text:
    """Say what was written."""
    return Text(f"{' and '.join(report.runs)} -> {report.output}, {byte_size(report.file_bytes)}")
