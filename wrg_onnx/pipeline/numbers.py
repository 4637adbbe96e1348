"""Refuses weights that are no numbers, before anything is run with them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wrg_onnx.channels import Units
from wrg_onnx.errors import ModelError
from wrg_onnx.graph import Array, Weights, is_float

MOST_NAMED = 3
"""How many weights are named."""


def check_numbers(units: Units) -> None:
    """Refuse a model whose layers' weights hold NaN or infinity.

    What only adds or compares, such as a mask of minus infinity, is left alone.

    Args:
        units: The analysis of the model.

    Raises:
        ModelError: If one does; it names the weights, and how many numbers are at fault.
    """
    found = [said for name in _of_layers(units) if (said := _holes(units.constants, name))]
    if found:
        more = len(found) - MOST_NAMED
        rest = f"; and {more} more weights" if more > 0 else ""
        raise ModelError(
            f"'{units.graph.name}': {'; '.join(found[:MOST_NAMED])}{rest}: export the model again "
            "from a checkpoint that trained well"
        )


def _of_layers(units: Units) -> Iterator[str]:
    """Yield the float constants that make channels, or are summed over."""
    of_layers = units.is_filter | units.is_consumed
    for name, slots in units.slots_of.items():
        own = (of_layers[slot.offset : slot.offset + slot.size] for slot in slots)
        if is_float(units.constants.forms[name].dtype) and any(ids.any() for ids in own):
            yield name


def _holes(constants: Weights, name: str) -> str:
    """Say how many numbers of a weight are none; nothing where all are."""
    nans = infinities = 0
    for _, block in constants.blocks(name):
        if not _may_hold(block):
            continue
        nans += int(np.isnan(block).sum())
        infinities += int(np.isinf(block).sum())
    if not nans and not infinities:
        return ""
    parts = [f"{nans:,} NaN"] if nans else []
    parts += [f"{infinities:,} infinite"] if infinities else []
    return f"weight '{name}' holds {' and '.join(parts)} of {constants.forms[name].size:,} numbers"


def _may_hold(block: Array) -> bool:
    """Tell whether a number may be none: a sum is none then, and takes a third of the time."""
    wide = np.float32 if block.dtype.itemsize < 4 else block.dtype
    with np.errstate(over="ignore", invalid="ignore"):
        return not np.isfinite(block.sum(dtype=wide))
