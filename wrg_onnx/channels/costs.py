"""What a model costs, as sums of products of axis lengths: exact for any removal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels.axes import Axes
from wrg_onnx.channels.ids import INERT, IdArray
from wrg_onnx.channels.units import Analysed, Units, is_parameter


@dataclass(frozen=True, slots=True, eq=False)
class CostTerm:
    """``weight`` times the product of the kept positions of some axes.

    Attributes:
        weight: What one combination of positions costs.
        axes: The unit at each position of each factor axis; ``INERT`` where a position stays.
    """

    weight: float
    axes: tuple[IdArray, ...]


def parameter_terms(units: Units) -> tuple[CostTerm, ...]:
    """Count parameters: the elements of float and 8-bit constants, scalars excluded."""
    terms = []
    for name, array in units.graph.constants.items():
        if not is_parameter(array):
            continue
        slots = units.slots_of.get(name, ())
        fixed = math.prod(array.shape) / math.prod(slot.size for slot in slots)
        terms.append(CostTerm(fixed, tuple(units.slot_units(slot) for slot in slots)))
    return tuple(terms)


def mac_terms(units: Units) -> tuple[CostTerm, ...]:
    """Count multiply-accumulate operations of convolutions and matrix products.

    Sizes are those of the analysis: batch 1, and the chosen height and width.
    """
    return tuple(term for node in units.nodes.values() for term in _mac_terms(units, node))


_PRODUCTS = {
    ("", "Conv"): ("Conv", (0, 1)),
    ("", "ConvInteger"): ("Conv", (0, 1)),
    ("", "ConvTranspose"): ("ConvTranspose", (0, 1)),
    ("", "Gemm"): ("Gemm", (0, 1)),
    ("", "MatMul"): ("MatMul", (0, 1)),
    ("", "MatMulInteger"): ("MatMul", (0, 1)),
    ("", "QLinearConv"): ("Conv", (0, 3)),
    ("", "QLinearMatMul"): ("MatMul", (0, 3)),
    ("com.microsoft", "DynamicQuantizeMatMul"): ("MatMul", (0, 1)),
    ("com.microsoft", "MatMulIntegerToFloat"): ("MatMul", (0, 1)),
    ("com.microsoft", "MatMulNBits"): ("MatMul", (0, 1)),
    ("com.microsoft", "QGemm"): ("Gemm", (0, 3)),
    ("com.microsoft", "QLinearConv"): ("Conv", (0, 3)),
}
"""The kind of product that an operator is, and the positions of its two factors."""


def _mac_terms(units: Units, analysed: Analysed) -> Iterator[CostTerm]:
    node = analysed.call.node
    kind, factors = _PRODUCTS.get((node.domain, node.op), ("", ()))
    call = analysed.call.only(*factors)
    match kind:
        case "Conv":
            w, y = call.axes(1), analysed.outputs[0]
            rest = range(y.rank - 1) if node.int("channels_last", 0) else (0, *range(2, y.rank))
            yield _term(units, [(w, range(w.rank)), (y, rest)])
        case "ConvTranspose":
            x, w = call.axes(0), call.axes(1)
            yield _term(units, [(w, range(w.rank)), (x, [0, *range(2, x.rank)])])
        case "Gemm":
            a, b = call.axes(0), call.axes(1)
            outer = 0 if node.int("transB", 0) else 1
            yield _term(units, [(a, range(a.rank)), (b, [outer])])
        case "MatMul":
            a, b, y = call.axes(0), call.axes(1), analysed.outputs[0]
            yield (
                _term(units, [(y, range(y.rank)), (a, [a.rank - 1])])
                if a.rank > 1
                else _term(units, [(b, range(b.rank))])
            )
        case _:
            return


def _term(units: Units, parts: Iterable[tuple[Axes, Iterable[int]]]) -> CostTerm:
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
