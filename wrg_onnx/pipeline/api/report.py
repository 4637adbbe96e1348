"""``wrg_onnx.report``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrg_onnx.pipeline.api.arguments import AnyPath, read_flag, read_optional_path, read_path

if TYPE_CHECKING:
    from wrg_onnx.pipeline.result import Result
    from wrg_onnx.report.paged import PageReport


def report(
    run: AnyPath,
    other: AnyPath | None = None,
    *,
    output: AnyPath | None = None,
    force: bool = False,
) -> Result[PageReport]:
    """Write the page of an earlier run from its JSON, or two prunings side by side.

    Args:
        run: What ``--json`` of ``prune``, ``sweep`` or ``validate`` printed, in a file; or
            ``json.dumps(result.to_dict())``. With ``details`` the page of a pruning has all that
            ``report`` of ``wrg_onnx.prune`` writes.
        other: That of another pruning, to be shown beside it; None for none.
        output: The HTML file. None is ``run`` with .html.
        force: Whether an existing file may be replaced.

    Returns:
        The report: ``result.report.output`` is the file.

    Raises:
        DataError: If a file holds no such report, or one of another version.
        UsageError: If the output does not end in .html, or one of two runs is no pruning.
        OutputError: If it is there already, or cannot be written.

    Examples:
        >>> import json
        >>> from pathlib import Path
        >>> import wrg_onnx
        >>> found = wrg_onnx.prune("models/tiny_unet.onnx", ratio=0.5, criterion="l1", details=True)
        >>> written = Path("build/run.json").write_text(json.dumps(found.to_dict()))
        >>> wrg_onnx.report("build/run.json", force=True).report.output
        'build/run.html'
    """
    from wrg_onnx.pipeline.page import write_report_page
    from wrg_onnx.pipeline.result import Result

    made = write_report_page(
        read_path("run", run),
        read_optional_path("other", other),
        read_optional_path("output", output),
        force=read_flag("force", force),
    )
    return Result(made)
