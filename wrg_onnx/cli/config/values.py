"""From what a file holds for an option to what its command takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import click

from wrg_onnx.cli.choice import Choice
from wrg_onnx.cli.criterion import CriterionChoice
from wrg_onnx.cli.names import Known, Names
from wrg_onnx.cli.options import (
    Alignment,
    Amount,
    Counts,
    ImageSize,
    InputNumber,
    InputShape,
    Numbers,
    Ratios,
    Shape,
)
from wrg_onnx.errors import one_line

Reader: TypeAlias = Callable[[Any], Any]


class UnfitError(Exception):
    """A value is not what an option takes; the message says what that is."""


def read_value(option: click.Parameter, value: Any, folder: Path) -> Any:
    """Return what an option takes, as its command gets it.

    Args:
        option: The option, or argument.
        value: What the file holds: of TOML or JSON.
        folder: What a relative path counts from.

    Raises:
        UnfitError: If the option does not take that.
    """
    if isinstance(option, click.Option) and option.is_flag:
        return _flag(value)
    if isinstance(option.type, (InputShape, InputNumber)):
        return tuple(_converted(option, one) for one in _table(option.type, value))
    if isinstance(option.type, click.Path):
        return _paths(option, value, folder)
    several = option.nargs == -1 or getattr(option, "multiple", False)
    read = _READERS[type(option.type)]
    if not several:
        return _converted(option, read(value))
    # What is single stands for itself: a text, or the sizes of one input.
    is_single = not isinstance(value, list) or (read is _sizes and _is_sizes(value))
    parts = [value] if is_single else value
    return tuple(_converted(option, read(one)) for one in parts)


def is_same(value: Any, default: Any) -> bool:
    """Tell whether a value is that of an option which is not given."""
    if isinstance(value, tuple) and value and all(_is_pair(one) for one in value):
        value = dict(value)  # as the callback of the option makes of it
    is_default: bool = value == default
    return is_default or (value == () and default is None)


def _is_pair(one: Any) -> bool:
    return isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str)


def _converted(option: click.Parameter, value: Any) -> Any:
    """Let the option's own type look at a value of the right kind."""
    try:
        return option.type.convert(value, option, None)
    except click.BadParameter as error:
        raise UnfitError(f"is refused: {one_line(error.message)}") from error
    except ValueError as error:  # a path with a zero in it
        raise UnfitError(f"is refused: {one_line(error)}") from error


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UnfitError(f"must be true or false, got {said(value)}")
    return value


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnfitError(f"must be an integer, got {said(value)}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnfitError(f"must be a number, got {said(value)}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UnfitError(f"must be a text, got {said(value)}")
    return value


def _text_or_count(value: Any) -> str | int:
    return value if isinstance(value, str) else _count(value)


def _text_or_number(value: Any) -> str | float:
    return value if isinstance(value, str) else _number(value)


def _ratios(value: Any) -> str:
    """Take 0.5, "0.2:0.8:0.1" or [0.3, 0.5]."""
    parts = value if isinstance(value, list) else [value]
    return ",".join(str(_text_or_number(one)) for one in parts)


def _names(value: Any) -> str:
    return ",".join(_text(one) for one in (value if isinstance(value, list) else [value]))


def _numbers(value: Any) -> str | tuple[float, ...]:
    if isinstance(value, str):
        return value
    return tuple(float(_number(one)) for one in (value if isinstance(value, list) else [value]))


def _counts(value: Any) -> str:
    parts = value if isinstance(value, list) else [value]
    return ",".join(str(_text_or_count(one)) for one in parts)


def _sizes(value: Any) -> str:
    """Take 224, "240x320" or [240, 320]."""
    parts = value if isinstance(value, list) else [value]
    return "x".join(str(_text_or_count(one)) for one in parts)


def _is_sizes(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(one, int) for one in value)


_READERS: Mapping[type, Reader] = {
    type(click.INT): _count,
    click.IntRange: _count,
    type(click.FLOAT): _number,
    type(click.STRING): _text,
    Ratios: _ratios,
    Known: _text,
    Names: _names,
    Choice: _text,
    CriterionChoice: _text,
    ImageSize: _sizes,
    Shape: _sizes,
    Numbers: _numbers,
    Counts: _counts,
    Amount: _text_or_number,
    Alignment: _text_or_count,
}
"""By the type of an option."""


def _table(kind: click.ParamType[Any], value: Any) -> list[str]:
    """Take ``{ x = [1, 512] }``, ``{ x = "1x512" }``, or what the option takes: ``"x=1x512"``."""
    if isinstance(value, Mapping):
        read = _sizes if isinstance(kind, InputShape) else _text_or_number
        return [f"{name}={read(one)}" for name, one in value.items()]
    return [_text(one) for one in (value if isinstance(value, list) else [value])]


def _paths(option: click.Parameter, value: Any, folder: Path) -> Any:
    if option.nargs != -1:
        return _converted(option, folder / _text(value))
    parts = value if isinstance(value, list) else [value]
    return tuple(_converted(option, folder / _text(one)) for one in parts)


def said(value: Any) -> str:
    """Say what a file holds, shortly."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "a list"
    return f"the text '{value}'" if isinstance(value, str) else str(value)
