"""The page of runs whose reports are in files."""

from __future__ import annotations

from pathlib import Path

from wrg_onnx.errors import DataError
from wrg_onnx.report.from_file import Paged, read_report
from wrg_onnx.report.page import check_page, to_html, to_html_of_two, write_html
from wrg_onnx.report.paged import PageReport

_DO_NOT_FIT = (ArithmeticError, AssertionError, LookupError, ValueError)
"""What showing figures raises that no run of ours gives, such as layers of a negative width."""


def write_report_page(
    run: Path, other: Path | None, output: Path | None, *, force: bool
) -> PageReport:
    """Write the page of a run, or of two side by side.

    Args:
        run: The JSON of a report.
        other: That of another one; None for none.
        output: Where the page goes; None is beside ``run``.
        force: Whether an existing file may be replaced.

    Raises:
        DataError: If a file holds no report of this version.
        UsageError: If the output is no name of a page, or one of two reports is of no pruning.
        OutputError: If the page cannot be written.
    """
    target = run.with_suffix(".html") if output is None and run.name else output or run
    check_page(target, force=force, option="--output")
    paths = [run, *([] if other is None else [other])]
    reports = [read_report(path) for path in paths]
    size = write_html(_html_of(reports, paths), target)
    return PageReport(str(target), tuple(map(str, paths)), size)


def _html_of(reports: list[Paged], paths: list[Path]) -> str:
    try:
        return to_html(*reports) if len(reports) == 1 else to_html_of_two(*reports)
    except _DO_NOT_FIT as error:
        names = " or ".join(f"'{path}'" for path in paths)
        raise DataError(
            f"{names}: its figures do not fit each other ({type(error).__name__}: {error}), so "
            "that it is no report of a run"
        ) from error
