"""The command that makes a cut again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from wrg_onnx.channels import Limits
from wrg_onnx.pipeline.config import DataOptions, Precision, PruneConfig

SAID_OTHERWISE = frozenset(
    {
        "ratio",
        "criterion",
        "limits",
        "data",
        "timing",
        "cache",
        "workers",
        "evaluate",
        "max_drop",
        "limit",
        "precision",
    }
)
"""Fields of ``PruneConfig`` that are written below by another name, or change no byte of the
model."""


def prune_command(model: str, config: PruneConfig, output: str | None = None) -> str:
    """Return the ``wrg-onnx prune`` line that makes the model of a configuration, to the byte.

    Args:
        model: The file.
        config: What to prune, and how. Its criterion is one that the command knows, its recovery is
            written out.
        output: Where the model goes; None leaves that to the command.
    """
    parts = ["wrg-onnx", "prune", model, *([] if output is None else [output])]
    parts += [f"--ratio={config.ratio!r}", f"--criterion={config.criterion.name}"]
    parts += options_of(config)
    return shlex.join(part for option in parts for part in _apart(option))


def options_of(config: PruneConfig) -> list[str]:
    """Return the options that are not the command's defaults, but for ratio and criterion."""
    found: list[str] = []
    for one in fields(PruneConfig):
        value = getattr(config, one.name)
        if one.name in SAID_OTHERWISE or value == one.default:
            continue
        found += _option(one.name, value)
    if config.precision is not None:
        found.append("--half" if config.precision is Precision.HALF else "--int8")
    if config.evaluate is not None:
        found.append("--evaluate" if config.evaluate else "--no-evaluate")
    return [*found, *_of_data(config.data), *_of_limits(config.limits)]


def _option(name: str, value: Any) -> Iterator[str]:
    """Yield the option of a field; a flag where the value is True."""
    dashed = f"--{name.replace('_', '-')}"
    if value is True:
        yield dashed
    elif value is not False and value is not None:
        yield f"{dashed}={getattr(value, 'value', value)}"


def _of_data(data: DataOptions) -> Iterator[str]:
    if data.path is not None:
        yield f"--data={data.path}"
    if data.samples != DataOptions().samples:
        yield f"--samples={data.samples}"
    if data.size is not None:
        yield f"--size={_joined(data.size, 'x')}"
    yield from _option("scale", data.scale)
    for name, numbers in (("mean", data.mean), ("std", data.std)):
        if numbers is not None:
            yield f"--{name}={_joined(numbers, ',')}"
    yield from _option("order", data.order)
    yield from _option("layout", data.layout)
    for name, shape in sorted(data.shapes.items()):
        yield f"--shape={name}={_joined(shape, 'x')}"
    for name, value in sorted(data.values.items()):
        yield f"--value={name}={value!r}"


def _of_limits(limits: Limits) -> Iterator[str]:
    yield from (f"--keep={glob}" for glob in limits.keep)
    yield from (f"--only={glob}" for glob in limits.only)
    yield from _option("head_dims", limits.head_dims)
    yield from _option("through_norms", limits.through_norms)


def _joined(values: tuple[Any, ...], by: str) -> str:
    return by.join(map(str, values))


def _apart(option: str) -> list[str]:
    """Write ``--name value``; ``--name=-value`` where the value would be taken for an option."""
    name, equals, value = option.partition("=")
    if not name.startswith("--") or not equals or value.startswith("-"):
        return [option]
    return [name, value]
