"""How a function of the API was called, as words: the command line, or the call from Python."""

from __future__ import annotations

import enum
import inspect
import os
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

COMMAND_LINE: ContextVar[tuple[str, ...]] = ContextVar("command_line", default=())
"""The words of the command that runs, the program's name first; empty without one."""

LONGEST = 1000
"""Characters of an argument."""


def words_of_call(function: Callable[..., object], arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the words of the command that runs, or else the call as a single one."""
    return COMMAND_LINE.get() or (spoken_call(function, arguments),)


def spoken_call(function: Callable[..., object], arguments: Mapping[str, Any]) -> str:
    """Write a call, its defaults left out.

    Args:
        function: What was called.
        arguments: Every parameter's value.

    Returns:
        A line of Python; what has no short form, such as a model in memory, is in angle brackets.
    """
    words = []
    for name, parameter in inspect.signature(function).parameters.items():
        value = arguments[name]
        if parameter.default is parameter.empty:
            words.append(_spoken(value))
        elif value is not parameter.default and not _are_same(value, parameter.default):
            words.append(f"{name}={_spoken(value)}")
    return f"wrg_onnx.{function.__name__}({', '.join(words)})"


def _are_same(value: object, default: object) -> bool:
    # Arrays have an equality that is no truth value; and True is no number here.
    return type(value) is type(default) and bool(value == default)


def _spoken(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value):,} bytes>"
    if isinstance(value, os.PathLike):
        return _short(repr(os.fspath(value)))
    if isinstance(value, enum.Enum):
        return repr(value.value)
    if isinstance(value, (str, int, float, tuple, list, dict, type(None))):
        return _short(repr(value))
    name = getattr(value, "name", None)  # of a criterion
    return repr(name) if isinstance(name, str) else f"<{type(value).__name__}>"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
