"""From what a user hands in to the types that records hold; what does not fit is a UsageError."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from wrg_onnx.errors import UsageError
from wrg_onnx.nearest import did_you_mean

if TYPE_CHECKING:
    import onnx

    from wrg_onnx.channels import Limits
    from wrg_onnx.data.address import DataAddress
    from wrg_onnx.pipeline.config import DataOptions
    from wrg_onnx.select import Criterion

AnyPath: TypeAlias = "str | os.PathLike[str]"
AnyModel: TypeAlias = "str | os.PathLike[str] | bytes | onnx.ModelProto"
AnySize: TypeAlias = "int | Sequence[int]"
AnyShapes: TypeAlias = "Sequence[int] | Sequence[Sequence[int]]"

Kind = TypeVar("Kind", bound=enum.Enum)


def read_model(name: str, model: AnyModel) -> Path | bytes | onnx.ModelProto:
    """Take a path, the bytes of a file, or an ONNX message.

    Args:
        name: The parameter, for messages.
        model: What was handed in.

    Raises:
        UsageError: If it is something else.
    """
    if isinstance(model, (str, os.PathLike)):
        return Path(model)
    if isinstance(model, (bytes, bytearray, memoryview)):
        return bytes(model)
    import onnx

    if isinstance(model, onnx.ModelProto):
        return model
    raise UsageError(
        f"{name} must be a path, the bytes of a file or an onnx.ModelProto, got {_shown(model)}"
    )


def read_path(name: str, path: AnyPath) -> Path:
    """Take a path.

    Raises:
        UsageError: If it is something else.
    """
    if isinstance(path, (str, os.PathLike)):
        return Path(path)
    raise UsageError(f"{name} must be a path, got {_shown(path)}")


def read_optional_path(name: str, path: AnyPath | None) -> Path | None:
    """Take a path or None.

    Raises:
        UsageError: If it is something else.
    """
    return None if path is None else read_path(name, path)


def read_cache_folder(cache: AnyPath | bool) -> Path | None:
    """Take a folder, True for the user's cache folder, or False for none.

    Raises:
        UsageError: If it is something else, or what is there is no folder.
    """
    if cache is True:
        from wrg_onnx.calibrate import cache_folder

        return cache_folder()
    return None if cache is False else _folder(read_path("cache", cache))


def read_optional_folder(name: str, path: AnyPath | None) -> Path | None:
    """Take the path of a folder, which need not be there, or None.

    Raises:
        UsageError: If it is something else.
    """
    return None if path is None else _folder(read_path(name, path), name)


def _folder(path: Path, name: str = "cache") -> Path:
    if path.exists() and not path.is_dir():
        raise UsageError(f"{name} '{path}' is no folder")
    return path


def read_choice(name: str, kind: type[Kind], value: Kind | str) -> Kind:
    """Take a member of an enum, or its value.

    Raises:
        UsageError: If it is neither; it lists what there is.
    """
    try:
        return kind(value)
    except ValueError as error:
        raise UsageError(
            f"{name} must be one of {listed(member.value for member in kind)}, got "
            f"{_shown(value)}{_meant(value, [member.value for member in kind])}"
        ) from error


def read_criterion(value: Criterion | str) -> Criterion:
    """Take a criterion or one of its names.

    Raises:
        UsageError: If there is no such criterion; it lists those that there are.
    """
    from wrg_onnx.select import Criterion

    try:
        return value if isinstance(value, Criterion) else Criterion(value)
    except ValueError as error:
        meant = did_you_mean(value, criterion_names()) if isinstance(value, str) else ""
        raise UsageError(
            f"criterion must be one of {listed(criterion_names())}, got {_shown(value)}{meant}"
        ) from error


def criterion_names() -> tuple[str, ...]:
    """Return the names of all criteria that are registered, those that papers give them last."""
    from wrg_onnx import select

    return select.criterion_names()


def metric_names() -> tuple[str, ...]:
    """Return the names of all metrics, as a command line takes them without quotes."""
    from wrg_onnx.evaluate import metrics

    return metrics.metric_names()


def read_number(name: str, value: float) -> float:
    """Take a number. Whether it is in its range, the record says that holds it.

    Raises:
        UsageError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{name} must be a number, got {_shown(value)}")
    return float(value)


def read_count(name: str, value: int) -> int:
    """Take an integer. Whether it is in its range, the record says that holds it.

    Raises:
        UsageError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UsageError(f"{name} must be an integer, got {_shown(value)}")
    return int(value)


def read_counts(name: str, value: int | Sequence[int]) -> tuple[int, ...]:
    """Take an integer, or several. Whether they are in their range, the record says.

    Raises:
        UsageError: If it is something else.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(read_count(name, number) for number in value)
    return (read_count(name, value),)


def read_flag(name: str, value: bool) -> bool:
    """Take True or False.

    Raises:
        UsageError: If it is neither, such as the text ``"no"``, which Python holds to be true.
    """
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be True or False, got {_shown(value)}")
    return value


def read_text(name: str, value: str) -> str:
    """Take a text.

    Raises:
        UsageError: If it is something else.
    """
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a text, got {_shown(value)}")
    return value


def read_texts(name: str, value: str | Sequence[str]) -> tuple[str, ...]:
    """Take texts; a single one stands for itself, not for its letters.

    Raises:
        UsageError: If it is something else.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and all(isinstance(text, str) for text in value):
        return tuple(value)
    raise UsageError(f"{name} must be a text or a list of texts, got {_shown(value)}")


def read_size(name: str, value: AnySize) -> tuple[int, int]:
    """Take a height and a width, or one number for both.

    Raises:
        UsageError: If it is something else.
    """
    if isinstance(value, Integral):
        value = (int(value), int(value))
    if isinstance(value, Sequence) and len(value) == 2 and not isinstance(value, str):
        height, width = (read_count(name, side) for side in value)
        if min(height, width) > 0:
            return height, width
    raise UsageError(f"{name} must be (height, width) in pixels or one number, got {_shown(value)}")


def read_shape(name: str, value: Sequence[int]) -> tuple[int, ...]:
    """Take a tensor's shape.

    Raises:
        UsageError: If it is something else.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise UsageError(f"{name} must be sizes such as (1, 3, 224, 224), got {_shown(value)}")
    return tuple(read_count(name, size) for size in value)


def read_shapes(name: str, value: AnyShapes) -> tuple[tuple[int, ...], ...]:
    """Take the shapes of several inputs, or that of a single one.

    Raises:
        UsageError: If it is something else.
    """
    shapes: Any = value
    if isinstance(shapes, Sequence) and shapes and isinstance(shapes[0], Integral):
        shapes = (shapes,)
    if not isinstance(shapes, Sequence) or isinstance(shapes, str):
        raise UsageError(f"{name} must be sizes such as (1, 3, 224, 224), got {_shown(value)}")
    return tuple(read_shape(name, shape) for shape in shapes)


def read_limits(
    keep: str | Sequence[str],
    only: str | Sequence[str],
    head_dims: bool = False,
    through_norms: bool = False,
) -> Limits:
    """Take what is to be left alone.

    Raises:
        UsageError: If a parameter is of another type.
    """
    from wrg_onnx.channels import Limits

    return Limits(
        read_texts("keep", keep),
        read_texts("only", only),
        read_flag("head_dims", head_dims),
        read_flag("through_norms", through_norms),
    )


def read_data(
    *,
    size: AnySize | None,
    scale: float | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    order: str | None,
    layout: str | None,
    shape: Mapping[str, Sequence[int]] | None,
    value: Mapping[str, float] | None,
    data: AnyPath | None = None,
    samples: int = 32,
) -> DataOptions:
    """Take where samples come from, and how inputs are fed.

    Raises:
        UsageError: If a parameter is of another type, or out of its range.
    """
    from wrg_onnx.data.preprocess import Layout, Order
    from wrg_onnx.pipeline.config import DataOptions

    shapes = _read_table("shape", shape)
    values = _read_table("value", value)
    return DataOptions(
        path=_read_place(data),
        samples=read_count("samples", samples),
        size=None if size is None else read_size("size", size),
        scale=None if scale is None else read_number("scale", scale),
        mean=None if mean is None else _read_numbers("mean", mean),
        std=None if std is None else _read_numbers("std", std),
        order=_read_literal("order", Order, order),
        layout=_read_literal("layout", Layout, layout),
        shapes={name: read_shape("shape", sizes) for name, sizes in shapes.items()},
        values={name: read_number("value", number) for name, number in values.items()},
    )


def _read_place(data: AnyPath | None) -> Path | DataAddress | None:
    """Take a folder, or ``NAME:WHERE`` of a data source, as a text."""
    from wrg_onnx.data.address import as_address

    if isinstance(data, str) and as_address(data) is not None:
        from wrg_onnx.data.sources import read_address

        return read_address(data) or Path(data)
    return read_optional_path("data", data)


def _read_numbers(name: str, value: Sequence[float]) -> tuple[float, ...]:
    if not isinstance(value, Iterable) or isinstance(value, str):
        raise UsageError(f"{name} must be a number per channel, got {_shown(value)}")
    return tuple(read_number(name, number) for number in value)


def _read_literal(name: str, kind: Any, value: str | None) -> Any:
    known = kind.__args__
    if value is None or value in known:
        return value
    raise UsageError(
        f"{name} must be one of {listed(known)}, got {_shown(value)}{_meant(value, known)}"
    )


def _read_table(name: str, value: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UsageError(f"{name} must be a dict with inputs as keys, got {_shown(value)}")
    return value


def listed(values: Iterable[str]) -> str:
    """Return texts in quotes, with commas between."""
    return ", ".join(f"'{value}'" for value in values)


def _meant(value: object, known: Iterable[str]) -> str:
    """Ask for what is most like a text, where it is one."""
    return did_you_mean(value, known) if isinstance(value, str) else ""


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
