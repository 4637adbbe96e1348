"""The page of a report, written once the call that made it is over."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from wrg_onnx.pipeline.api.arguments import read_flag, read_optional_path

Options = ParamSpec("Options")
Made = TypeVar("Made", bound=Any)


def paged(function: Callable[Options, Made]) -> Callable[Options, Made]:
    """Let a function write its report as a page, where its parameter ``report`` names one.

    The name is looked at before the work. The page shows what the report holds in the end, the
    options of the call included; so this stands above ``recorded``.

    Args:
        function: Of the API, with ``report`` and ``force``. Its result's report has ``page``. If it
            has ``unfinished``, too, a page that cannot be written is told there, since the model is
            written; else it is raised.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Options.args, **kwargs: Options.kwargs) -> Made:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # which tells what does not fit
        given.apply_defaults()
        page = read_optional_path("report", given.arguments["report"])
        if page is None:
            return function(*args, **kwargs)
        from wrg_onnx.report.page import check_page

        check_page(page, force=read_flag("force", given.arguments["force"]))
        return _with_page(function(*args, **kwargs), page)

    return call


def _with_page(result: Made, page: Path) -> Made:
    from wrg_onnx.pipeline.attempts import Attempts
    from wrg_onnx.report.page import write_page

    report = result.report
    attempts = Attempts(proven=hasattr(report, "unfinished"))
    with attempts.stage("page"):
        write_page(report, page)
        return replace(result, report=replace(report, page=str(page)))
    missing = (*report.unfinished, *attempts.failed)
    return replace(result, report=replace(report, unfinished=missing))
