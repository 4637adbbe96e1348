"""A page as a file."""

from __future__ import annotations

from pathlib import Path

from wrg_onnx.errors import OutputError, UsageError
from wrg_onnx.files import check_output, renamed
from wrg_onnx.report.page.of_report import to_html

SUFFIXES = (".html", ".htm")


def check_page(path: Path, *, force: bool, option: str = "--report") -> None:
    """Refuse a path early, before the work is done.

    Args:
        path: Where the page is going to be written.
        force: Whether an existing file may be replaced.
        option: Names another file.

    Raises:
        UsageError: If the name does not end in .html: a browser would not show it.
        OutputError: As ``check_output``.
    """
    if path.suffix.lower() not in SUFFIXES:
        such = path.with_suffix(".html") if path.name else Path("report.html")
        raise UsageError(f"the report '{path}' must end in .html, such as '{such}'")
    check_output(path, force=force, option=option)


def write_page(report: object, path: Path) -> int:
    """Write the page of a report. The file appears whole or not at all.

    Returns:
        Its size in bytes.

    Raises:
        OutputError: If it cannot be written.
        UsageError: If there is no page of such a report.
    """
    return write_html(to_html(report), path)


def write_html(text: str, path: Path) -> int:
    """Write what is a page by now; arguments and errors as of ``write_page``."""
    # Names may hold halves of pairs, which no encoding has.
    content = text.encode("utf-8", errors="replace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with renamed(path) as part:
            part.write_bytes(content)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from error
    return len(content)
