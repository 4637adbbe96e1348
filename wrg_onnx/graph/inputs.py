"""What the inputs are fed: random values, but for those that the user gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from wrg_onnx.errors import UsageError
from wrg_onnx.graph.given import find_input
from wrg_onnx.graph.model import Array, Graph, Shape


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
        value = find_input(graph.inputs, name, what)
        limits = np.iinfo(value.dtype) if value.dtype.kind in "iu" else None
        if limits and not (number.is_integer() and limits.min <= number <= limits.max):
            raise UsageError(f"{what}: the input is of {value.dtype}")
    inputs = (replace(v, number=numbers.get(v.name, v.number)) for v in graph.inputs)
    return replace(graph, inputs=tuple(inputs)) if numbers else graph


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
        By input: the user's number where there is one; else normal floats; coin-flip bools, no
        row of them all alike; ints in [0, 50), or below their bound if that is lower.
    """
    feeds: dict[str, Array] = {}
    for value in graph.inputs:
        shape = shapes[value.name]
        if value.number is not None:
            feeds[value.name] = np.full(shape, value.number, value.dtype)
        elif value.dtype.kind == "b":
            feeds[value.name] = _flip_coins(shape, rng)
        elif value.dtype.kind in "iu":
            highest = min(LARGEST_INT, (bounds or {}).get(value.name, LARGEST_INT))
            feeds[value.name] = np.asarray(rng.integers(0, highest, shape)).astype(value.dtype)
        else:
            feeds[value.name] = np.asarray(rng.standard_normal(shape)).astype(value.dtype)
    return feeds


def _flip_coins(shape: Shape, rng: np.random.Generator) -> Array:
    """Draw truth values. A mask that hides all there is would make NaN of whatever looks there."""
    flags = np.asarray(rng.random(shape) > 0.5)
    if flags.ndim and flags.shape[-1] > 1:
        flags[..., 0] ^= (flags == flags[..., :1]).all(axis=-1)
    return flags
