"""What the inputs are fed: their sizes where the file leaves them open, and random values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from wrg_onnx.errors import ModelError, UsageError
from wrg_onnx.graph.model import Array, Graph, Shape, Value

DEFAULT_IMAGE_SIZE = 224
DEFAULT_SIZE = 16


def bind_sizes(
    inputs: tuple[Value, ...],
    *,
    sizes: Mapping[str, int] | None = None,
    image_size: int | None = None,
    given: Mapping[str, Shape] | None = None,
) -> dict[str, Shape]:
    """Give every input a concrete shape.

    Args:
        inputs: The graph's inputs.
        sizes: Sizes of named symbolic axes.
        image_size: Height and width of a rank-4 input that leaves them open; None for 224.
        given: Shapes of inputs by name; their sizes are those of the symbols they stand for.

    Returns:
        A shape per input: axis 0 is 1 where it is open, height and width are ``image_size``,
        other open axes 16. The same symbol has the same size everywhere.

    Raises:
        ModelError: If an input has no rank.
        UsageError: If a given shape names no input, or does not fit its own.
    """
    chosen: dict[str, int] = dict(sizes or {})
    for name, shape in (given or {}).items():
        value = _find_input(inputs, name, f"shape '{name}={_listed(shape)}'")
        chosen.update(_symbols(value, shape))
    shapes: dict[str, Shape] = {}
    for value in inputs:
        if value.name in (given or {}):
            shapes[value.name] = (given or {})[value.name]
            continue
        if value.shape is None:
            raise ModelError(f"input '{value.name}' has no rank in the file: export it with one")
        dims = []
        for axis, dim in enumerate(value.shape):
            if isinstance(dim, int):
                dims.append(dim)
                continue
            default = _default_size(value, axis, image_size or DEFAULT_IMAGE_SIZE)
            dims.append(chosen.setdefault(dim, default) if dim else default)
        shapes[value.name] = tuple(dims)
    return shapes


def _find_input(inputs: tuple[Value, ...], name: str, what: str) -> Value:
    for value in inputs:
        if value.name == name:
            return value
    known = ", ".join(f"'{value.name}'" for value in inputs)
    raise UsageError(f"{what}: the model has no such input, only {known}")


def _symbols(value: Value, shape: Shape) -> dict[str, int]:
    """Read the sizes of symbolic axes off a given shape."""
    own = value.shape if value.shape is not None else (None,) * len(shape)
    if len(own) != len(shape) or any(
        isinstance(dim, int) and dim != size for dim, size in zip(own, shape, strict=True)
    ):
        raise UsageError(
            f"shape '{value.name}={_listed(shape)}' does not fit the input, which is {_listed(own)}"
        )
    return {d: size for d, size in zip(own, shape, strict=True) if isinstance(d, str)}


def _listed(shape: Sequence[int | str | None]) -> str:
    return "x".join("?" if dim is None else str(dim) for dim in shape)


def fill_inputs(graph: Graph, numbers: Mapping[str, float]) -> Graph:
    """Say what inputs are filled with where they would be random.

    Args:
        graph: The model.
        numbers: A number by input.

    Returns:
        The model with the numbers among its inputs.

    Raises:
        UsageError: If there is no such input, or its type cannot hold the number.
    """
    for name, number in numbers.items():
        what = f"value '{name}={number:g}'"
        value = _find_input(graph.inputs, name, what)
        limits = np.iinfo(value.dtype) if value.dtype.kind in "iu" else None
        if limits and not (number.is_integer() and limits.min <= number <= limits.max):
            raise UsageError(f"{what}: the input is of {value.dtype}")
    inputs = (replace(v, number=numbers.get(v.name, v.number)) for v in graph.inputs)
    return replace(graph, inputs=tuple(inputs)) if numbers else graph


def other_sizes(inputs: tuple[Value, ...], shapes: Mapping[str, Shape]) -> dict[str, Shape] | None:
    """Choose larger sizes for every axis that the file leaves open.

    Args:
        inputs: The graph's inputs.
        shapes: A concrete shape per input.

    Returns:
        One more for axis 0, 64 more for a side of 64 or above, 8 more elsewhere; the same symbol
        has the same size everywhere. None if every axis is fixed.
    """
    chosen: dict[str, int] = {}
    others: dict[str, Shape] = {}
    for value in inputs:
        dims = []
        for axis, (dim, size) in enumerate(zip(value.shape or (), shapes[value.name], strict=True)):
            larger = size + (1 if axis == 0 else 64 if size >= 64 else 8)
            if isinstance(dim, int):
                dims.append(size)
            else:
                dims.append(chosen.setdefault(dim, larger) if dim else larger)
        others[value.name] = tuple(dims)
    return None if others == dict(shapes) else others


def _default_size(value: Value, axis: int, image_size: int) -> int:
    if axis == 0:
        return 1
    # An image is (N, C, H, W), or (N, H, W, C) where only that leaves 1 or 3 channels.
    shape = value.shape or ()
    spatial = (2, 3) if len(shape) != 4 or shape[1] in (1, 3) or shape[3] not in (1, 3) else (1, 2)
    return image_size if len(shape) == 4 and axis in spatial else DEFAULT_SIZE


LARGEST_INT = 50
"""Random integers lie below this: small enough for a token or a length."""


def draw_feeds(
    graph: Graph,
    shapes: Mapping[str, Shape],
    rng: np.random.Generator,
    bounds: Mapping[str, int] | None = None,
) -> dict[str, Array]:
    """Draw one random array per input.

    Args:
        graph: The model.
        shapes: A concrete shape per input.
        rng: The source of randomness.
        bounds: By input of integers, what they lie below.

    Returns:
        By input: the user's number where there is one; else normal floats; coin-flip bools; ints in
        [0, 50), or below their bound if that is lower.
    """
    feeds: dict[str, Array] = {}
    for value in graph.inputs:
        shape = shapes[value.name]
        if value.number is not None:
            feeds[value.name] = np.full(shape, value.number, value.dtype)
        elif value.dtype.kind == "b":
            feeds[value.name] = np.asarray(rng.random(shape) > 0.5)
        elif value.dtype.kind in "iu":
            highest = min(LARGEST_INT, (bounds or {}).get(value.name, LARGEST_INT))
            feeds[value.name] = np.asarray(rng.integers(0, highest, shape)).astype(value.dtype)
        else:
            feeds[value.name] = np.asarray(rng.standard_normal(shape)).astype(value.dtype)
    return feeds
