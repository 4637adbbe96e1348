"""How far a tensor of the pruned graph may be from the masked original's, and what is said else."""

from __future__ import annotations

import numpy as np

from wrg_onnx.errors import ValidationError
from wrg_onnx.graph import Array, relative_difference

TOLERANCE = 1e-4
"""Largest relative difference that float32 rounding explains in an ordinary network."""

TOLERANCE_16_BIT = 1e-2
"""The same for float16: ten of its rounding steps (9.8e-4); 1e-4 is below a single one."""


def tolerance_of(values: Array) -> float:
    """Return the largest relative difference that rounding explains, by the type of a tensor."""
    is_16_bit_float = values.dtype.kind == "f" and values.dtype.itemsize == 2
    return TOLERANCE_16_BIT if is_16_bit_float else TOLERANCE


def difference_of(name: str, reference: Array, found: Array) -> float:
    """Return the largest difference relative to the largest value, infinite where one is a hole.

    Raises:
        ValidationError: If the shapes differ.
    """
    if reference.shape != found.shape:
        raise failure(
            f"'{name}' has shape {list(found.shape)} in the pruned model, expected "
            f"{list(reference.shape)}",
            float("inf"),
        )
    if reference.dtype.kind != "f":
        return float(np.mean(reference != found)) if reference.size else 0.0
    # An infinity or NaN may stand in both, at the same places; numbers are compared elsewhere.
    finite = np.isfinite(reference)
    if not np.array_equal(finite, np.isfinite(found)):
        return float("inf")
    return relative_difference(reference[finite], found[finite])


def failure(what: str, error: float) -> ValidationError:
    """Return the error of a surgery that is wrong, which is a fault of this package."""
    return ValidationError(
        f"{what}; nothing was written: please report this model", error=error, tolerance=TOLERANCE
    )
