"""Shapes that the user gives, held against what the file says of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wrg_onnx.errors import UsageError
from wrg_onnx.graph.model import Shape, Value
from wrg_onnx.nearest import did_you_mean


def contradictions(inputs: Sequence[Value], given: Mapping[str, Shape]) -> dict[str, list[str]]:
    """Find symbols to which given shapes give several sizes, each with the inputs that do."""
    sizes: dict[str, set[int]] = {}
    names: dict[str, list[str]] = {}
    for value in inputs:
        if value.name in given and value.shape is not None:
            for dim, size in zip(value.shape, given[value.name], strict=True):
                if isinstance(dim, str):
                    sizes.setdefault(dim, set()).add(size)
                    names.setdefault(dim, []).append(value.name)
    return {symbol: names[symbol] for symbol, found in sizes.items() if len(found) > 1}


def given_symbols(inputs: Sequence[Value], given: Mapping[str, Shape]) -> dict[str, int]:
    """Read the sizes of symbolic axes off given shapes.

    Raises:
        UsageError: If a shape names no input, or does not fit its own.
    """
    found: dict[str, int] = {}
    for name, shape in given.items():
        value = find_input(inputs, name, f"shape '{name}={listed(shape)}'")
        own = value.shape if value.shape is not None else (None,) * len(shape)
        if len(own) != len(shape) or any(
            isinstance(dim, int) and dim != size for dim, size in zip(own, shape, strict=True)
        ):
            raise UsageError(
                f"shape '{name}={listed(shape)}' does not fit the input, which is {listed(own)}"
            )
        found.update({d: size for d, size in zip(own, shape, strict=True) if isinstance(d, str)})
    return found


def find_input(inputs: Sequence[Value], name: str, what: str) -> Value:
    """Return the input of a name.

    Raises:
        UsageError: If there is none; it starts with ``what``.
    """
    for value in inputs:
        if value.name == name:
            return value
    known = ", ".join(f"'{value.name}'" for value in inputs)
    meant = did_you_mean(name, [value.name for value in inputs])
    raise UsageError(f"{what}: the model has no such input, only {known}{meant}")


def listed(shape: Sequence[int | str | None]) -> str:
    """Return a shape as the command line takes it."""
    return "x".join("?" if dim is None else str(dim) for dim in shape)
