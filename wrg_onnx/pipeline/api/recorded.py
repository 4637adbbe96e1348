"""The options of a call, kept in its report."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

from wrg_onnx.version import __version__

Options = ParamSpec("Options")
Made = TypeVar("Made", bound=Any)

NOT_KEPT = frozenset({"details", "force", "progress", "report", "workers"})
"""Parameters that do not say what is made: whether a file may be replaced is asked each time, and
the page of a run and its details are asked for by who wants to see them."""


def recorded(function: Callable[Options, Made]) -> Callable[Options, Made]:
    """Let the report of a function carry all its options, so that the run can be made again.

    Args:
        function: Of the API. Its result has a report with ``config`` and ``origin``.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Options.args, **kwargs: Options.kwargs) -> Made:
        from wrg_onnx.report.origin import Origin

        result = function(*args, **kwargs)
        # Later than the call: what does not fit the parameters raises as it does without this.
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        report = replace(
            result.report,
            config={name: _plain(value) for name, value in given.arguments.items()
                    if name not in NOT_KEPT},
            origin=Origin(function.__name__, __version__),
        )  # fmt: skip
        return replace(result, report=report)

    return call


def _plain(value: Any) -> Any:
    """Return an argument as JSON holds it; a model in memory, which JSON cannot hold, is None."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        return [_plain(one) for one in value]
    return _plain_one(value)


def _plain_one(value: Any) -> Any:
    from wrg_onnx.select import Criterion

    kept: Any = None
    if isinstance(value, (bool, str)):
        kept = value
    elif isinstance(value, os.PathLike):
        kept = os.fspath(value)
    elif isinstance(value, Enum):
        kept = value.value
    elif isinstance(value, Criterion):
        kept = value.name
    elif isinstance(value, Integral):
        kept = int(value)
    elif isinstance(value, Real):
        kept = float(value)
    return kept
