"""What a model costs, as sums of products of axis lengths: exact for any removal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.channels.ids import INERT, IdArray
from wrg_onnx.channels.traits import LengthProduct, traits_of
from wrg_onnx.channels.units import Analysed, Units, is_parameter
from wrg_onnx.graph import Graph, flatten


@dataclass(frozen=True, slots=True, eq=False)
class CostTerm:
    """``weight`` times the product of the kept positions of some axes.

    Attributes:
        weight: What one combination of positions costs.
        axes: The unit at each position of each factor axis; ``INERT`` where a position stays.
        tables: Of each axis (length + 1,) float64, what 0, 1, ... kept positions count as; empty
            where they count as they are.
    """

    weight: float
    axes: tuple[IdArray, ...]
    tables: tuple[NDArray[np.float64], ...] = ()


def parameter_terms(units: Units) -> tuple[CostTerm, ...]:
    """Count parameters: the elements of float and 8-bit constants, scalars excluded."""
    terms = []
    for name, array in units.constants.forms.items():
        if not is_parameter(array):
            continue
        slots = units.slots_of.get(name, ())
        fixed = math.prod(array.shape) / math.prod(slot.size for slot in slots)
        terms.append(CostTerm(fixed, tuple(units.slot_units(slot) for slot in slots)))
    return tuple(terms)


def byte_terms(units: Units) -> tuple[CostTerm, ...]:
    """Count the bytes of all numeric constants, those that no removal reaches included."""
    terms = []
    for name, array in units.constants.forms.items():
        if array.dtype.hasobject:
            continue
        slots = units.slots_of.get(name, ())
        fixed = math.prod(array.shape) / math.prod(slot.size for slot in slots)
        axes = tuple(units.slot_units(slot) for slot in slots)
        terms.append(CostTerm(fixed * array.dtype.itemsize, axes))
    return tuple(terms)


def count_parameters(graph: Graph) -> int:
    """Count the parameters that a graph holds, as ``parameter_terms`` does."""
    constants = flatten(graph).graph.constants
    return sum(array.size for array in constants.forms.values() if is_parameter(array))


def mac_terms(units: Units) -> tuple[CostTerm, ...]:
    """Count multiply-accumulate operations of convolutions, products, attention and recurrence.

    Sizes are those of the analysis: batch 1, and the chosen height and width. Both branches of an
    If count, and the body of a loop counts once; a layer in a body at unknown shapes does not.
    """
    return tuple(
        _term(units, factors)
        for analysed in units.nodes.values()
        for factors in multiplications(analysed)
    )


def node_macs(units: Units) -> dict[str, int]:
    """Count the multiply-accumulate operations of each node, as ``mac_terms`` does.

    Returns:
        By the first tensor that a node makes; those that make none are not there.
    """
    counts: dict[str, int] = {}
    for analysed in units.nodes.values():
        macs = sum(
            math.prod(axes.shape[axis] for axes, chosen in factors for axis in chosen)
            for factors in multiplications(analysed)
        )
        if macs:
            counts[analysed.call.node.outputs[0]] = macs
    return counts


def multiplications(analysed: Analysed) -> Iterator[LengthProduct]:
    """Yield what a node multiplies; nothing for operators that treat elements one by one.

    Nor for a node in a branch or loop body whose shapes are not known before it runs.
    """
    count = traits_of(analysed.call.node).multiplications
    if count is not None and analysed.has_shapes:
        yield from count(analysed)


def _term(units: Units, parts: LengthProduct) -> CostTerm:
    weight = 1.0
    live = []
    for axes, chosen in parts:
        for axis in chosen:
            ids = axes.ids[axis]
            if ids is None:
                weight *= axes.shape[axis]
            else:
                live.append(units.of(ids))
    return CostTerm(weight, tuple(live))


def total_cost(terms: Iterable[CostTerm], alive: np.ndarray) -> float:
    """Sum up the terms.

    Args:
        terms: The terms.
        alive: (units,) bool.

    Returns:
        The cost with only those units left.
    """
    kept = np.append(alive, True)  # index INERT reads the last entry
    assert INERT == -1
    return sum(t.weight * math.prod(int(kept[axis].sum()) for axis in t.axes) for t in terms)
