"""What ``wrg-onnx cache`` says on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from wrg_onnx.calibrate import CacheReport


def cache_text(report: CacheReport) -> RenderableType:
    """Show what the folder of kept statistics holds, and what was removed from it."""
    lines = [Text(report.folder, "bold")]
    if report.removed_files:
        lines.append(
            Text(f"{_files(report.removed_files)} removed, {_binary_size(report.removed_bytes)}")
        )
    held = (
        f"{_files(report.files)}, {_binary_size(report.file_bytes)}" if report.files else "no file"
    )
    lines.append(Text(f"{held}; the limit is {_binary_size(report.limit_bytes)}"))
    return Group(*lines)


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _binary_size(count: int) -> str:
    """Return a size in the units in which the limit is given."""
    for size, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
