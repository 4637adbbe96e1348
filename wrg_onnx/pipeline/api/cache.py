"""``wrg_onnx.cache``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrg_onnx.pipeline.api.arguments import AnyPath, read_flag, read_optional_folder

if TYPE_CHECKING:
    from wrg_onnx.calibrate import CacheReport
    from wrg_onnx.pipeline.result import Result


def cache(*, clear: bool = False, cache: AnyPath | None = None) -> Result[CacheReport]:
    """Find out what ``wrg_onnx.prune`` keeps of what it measured, or empty it.

    A later run on the same model and images measures only what is new. Where the files exceed 2 GiB
    together, or the size in the environment variable WRG_ONNX_CACHE_LIMIT (such as ``500MiB``), a
    run removes some: what layers read and make, which takes seconds to measure, before rows of
    factors, and of either what was used longest ago.

    Args:
        clear: Whether the files of kept statistics are removed; nothing else is touched.
        cache: The folder, if the runs were given one. None is the user's cache folder.

    Returns:
        The report: ``result.report.files`` and ``result.report.file_bytes`` say what is there now,
        ``result.report.removed_files`` how many were removed.

    Raises:
        UsageError: If a parameter is out of its range, or the environment says no size.
        OutputError: If a file cannot be removed.

    Examples:
        >>> import wrg_onnx
        >>> report = wrg_onnx.cache(cache="build/statistics").report
        >>> report.files, report.limit_bytes // 2**30
        (0, 2)
    """
    from wrg_onnx.calibrate import Cache, cache_folder, cache_limit
    from wrg_onnx.pipeline.result import Result

    kept = Cache(read_optional_folder("cache", cache) or cache_folder(), cache_limit())
    return Result(kept.report(kept.clear() if read_flag("clear", clear) else ()))
