"""Refuses weights that are no numbers, before anything is run with them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wrg_onnx.channels import Units, traits_of
from wrg_onnx.errors import ModelError
from wrg_onnx.graph import Array, Node, Weights, is_float

MOST_NAMED = 3
"""How many weights are named."""

EPSILON = 1e-5
"""What is added to a variance where the node does not say."""


def check_numbers(units: Units) -> None:
    """Refuse a model whose layers or normalisations hold NaN, infinity, or a negative variance.

    What only compares, or adds infinity, is left alone: a mask of minus infinity, the bounds of a
    Clip, the bias of a class that is never to be chosen. NaN is none of these.

    Args:
        units: The analysis of the model.

    Raises:
        ModelError: If one does; it names the weights, and how many numbers are at fault.
    """
    wanted = dict.fromkeys(_of_layers(units), True)
    for name, may_be_infinite in _read_as_numbers(units):
        wanted[name] = wanted.get(name, False) or not may_be_infinite
    constants = units.constants
    found = [_holes(constants, name, infinite=counts) for name, counts in wanted.items()]
    found += [_negative(constants, node) for node in units.flat.graph.nodes]
    found = [said for said in found if said]
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


def _read_as_numbers(units: Units) -> Iterator[tuple[str, bool]]:
    """Yield further float constants that nodes compute with, and whether infinity is one of them.

    All operands of a node that makes channels are, and what holds a number per channel: biases,
    scales, statistics.
    """
    forms = units.constants.forms
    for node in units.flat.graph.nodes:
        traits = traits_of(node)
        positions = {*traits.per_channel, *traits.never_infinite}
        if units.nodes[node.index].makes_channels:
            positions.update(range(len(node.inputs)))
        for position in sorted(positions):
            name = node.input(position)
            if name not in forms or not is_float(forms[name].dtype):
                continue
            # A single number that is added or multiplied may be there to be chosen by a Where.
            if forms[name].size > 1 or not traits.is_pointwise:
                yield name, position not in traits.never_infinite


def _negative(constants: Weights, node: Node) -> str:
    """Say how many variances of a node have no root."""
    position = traits_of(node).variance
    name = "" if position is None else node.input(position)
    if name not in constants or not is_float(constants.forms[name].dtype):
        return ""
    epsilon = node.attributes.get("epsilon", EPSILON)
    assert isinstance(epsilon, float), node
    variances = constants[name].astype(np.float64)
    count = int((variances + epsilon < 0).sum())
    total = f"of {variances.size:,} numbers"
    return f"variance '{name}' of {node} holds {count:,} below 0 {total}" if count else ""


def _holes(constants: Weights, name: str, *, infinite: bool) -> str:
    """Say how many numbers of a weight are none; nothing where all are.

    Args:
        constants: All weights.
        name: The weight.
        infinite: Whether infinity is none.
    """
    nans = infinities = 0
    # A single number has no axis to be read along.
    is_scalar = not constants.forms[name].shape
    blocks = [(0, constants[name])] if is_scalar else constants.blocks(name)
    for _, block in blocks:
        if not _may_hold(block):
            continue
        nans += int(np.isnan(block).sum())
        infinities += int(np.isinf(block).sum()) if infinite else 0
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
