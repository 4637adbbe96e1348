"""Where zeros go: the proof silences channels by zeros, and must know where these end up.

Most operators answer by their traits. Code remains for some whose answer depends on the ids that
their node carries, or on its attributes: Concat, Reshape, ConstantOfShape and Einsum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from wrg_onnx.channels.answers import Coupling
from wrg_onnx.channels.axes import Axes, Call, Operand
from wrg_onnx.channels.ids import INERT, IdArray
from wrg_onnx.channels.ledger import Ledger
from wrg_onnx.channels.traits import traits_of
from wrg_onnx.graph import Node

NO_ZEROS = "computes this weight in a branch or loop body"


def moves_zeros(node: Node, plain: set[str], axes: Mapping[str, Axes]) -> bool:
    """Tell whether zeros in the constants behind a node are zeros in its outputs, at their ids."""
    if node.domain:
        return False
    made = axes[node.outputs[0]]
    if node.op != "Concat":
        first = node.input(0)
        if not traits_of(node).keeps_zeros or first not in plain or _makes_axis(axes[first], made):
            return False
        # Of ids that a Reshape ties, it carries one; zeros would stand at that one alone.
        return node.op != "Reshape" or bool(np.isin(axes[first].flat(), made.flat()).all())
    own = [axes[name] for name in node.inputs]
    if any(x.rank != made.rank for x in own) or not made.rank:
        return False  # of unknown shape
    axis = node.axis("axis", rank=made.rank)
    others = [a for a in range(made.rank) if a != axis]
    # On the other axes it carries the ids of its first operand; zeros stand at those of each.
    same = all(np.array_equal(x.at(a), made.at(a)) for x in own for a in others)
    return same and plain.issuperset(node.inputs)


def _makes_axis(first: Axes, made: Axes) -> bool:
    """Tell whether an Expand gives an axis of its result ids that its input does not have."""
    return not np.isin(made.flat(), np.append(first.flat(), INERT)).all()


def makes_zeros(node: Node, operands: Sequence[Operand | None]) -> bool:
    """Tell whether a node's outputs are zeros alone: an exporter's initial state, say."""
    if node.op == "ConstantOfShape" and not node.domain:
        value = node.attributes.get("value")
        return value is None or (isinstance(value, np.ndarray) and not value.any())
    if not traits_of(node).keeps_zeros:
        return False
    first = operands[0]
    value = None if first is None else first.value
    if value is None:
        return first is not None and first.is_zero
    return bool(value.size) and not value.reshape(-1)[0] and not value.any()


class Vanishing:
    """Finds along which axes tensors are zero once some constants are.

    Few rules ask for it: nodes are noted as they come, and looked at, in that order, when one does.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._noted: list[tuple[Call, Coupling]] = []
        self._found: dict[str, Mapping[int, IdArray]] = {}

    def note(self, call: Call, coupling: Coupling) -> None:
        """Note a node and what its rule says of it; those before it are noted already."""
        self._noted.append((call, coupling))

    def of(self, name: str) -> Mapping[int, IdArray]:
        """Return, by axis of a tensor, the ids of the constants that make it zero along it."""
        noted, self._noted = self._noted, []
        for call, coupling in noted:
            self._found.update(zip(call.node.outputs, _vanishing_axes(call, coupling), strict=True))
        return self._found.get(name, {})


def _vanishing_axes(call: Call, coupling: Coupling) -> tuple[dict[int, IdArray], ...]:
    """Find the axes of each output along which it is zero once some constants are.

    Returns:
        Per output, by axis, the ids of these constants: where those of some units are zero, so are
        the positions of these units.
    """
    found = []
    for made in coupling.outputs:
        by_axis = {axis: _zeroed_by(call, coupling, made, axis) for axis in made.live()}
        found.append({axis: ids for axis, ids in by_axis.items() if ids is not None})
    return tuple(found)


def _zeroed_by(call: Call, coupling: Coupling, made: Axes, axis: int) -> IdArray | None:
    """Return the ids of the constants that make an output zero along an axis."""
    traits = traits_of(call.node)
    operands = [operand for operand in call.inputs if operand is not None]
    if traits.rests_at_zero is not None:
        return traits.rests_at_zero(call)
    if traits.is_pointwise:
        return _by_element(call, operands, made, axis)
    if traits.zero_at_factor:
        factors = operands if call.node.op == "Einsum" else operands[:2]
        product = _any([factor.zeroed_along(made.at(axis)) for factor in factors])
        return _all([product, *(_of_bias(o, made, axis) for o in operands[len(factors) :])])
    if traits.zero_at_first is not None:
        return operands[0].zeroed_along(made.at(axis)) if traits.zero_at_first(call) else None
    return _moved(call, operands, coupling, made, axis) if traits.zero_at_zero else None


def _any(factors: Sequence[IdArray | None]) -> IdArray | None:
    """Zero a product by its first factor that can be."""
    return next((ids for ids in factors if ids is not None), None)


def _all(summands: Sequence[IdArray | None]) -> IdArray | None:
    """Zero a sum by all that it adds."""
    found = [ids for ids in summands if ids is not None]
    if len(found) < len(summands) or not found:
        return None
    return found[0] if len(found) == 1 else np.unique(np.concatenate(found))


def _by_element(call: Call, operands: Sequence[Operand], made: Axes, axis: int) -> IdArray | None:
    """Zero what treats elements one by one."""
    traits = traits_of(call.node)
    # What is broadcast along the axis has one value for all positions.
    places = [_place(operand, made, axis) for operand in operands]
    zeroed = [
        None if place is None else operand.zeroed_by(place)
        for operand, place in zip(operands, places, strict=True)
    ]
    if traits.zero_at_factor:
        # A constant before what is made of it: zeros there leave the other factor's maker alone.
        order = sorted(range(len(zeroed)), key=lambda number: not operands[number].is_weight)
        return _any([zeroed[number] for number in order])
    if traits.zero_at_first is not None:
        # A divisor that has the axis may be zero there, too.
        is_plain = all(place is None for place in places[1:])
        return zeroed[0] if is_plain and traits.zero_at_first(call) else None
    return _all(zeroed) if traits.zero_at_zero else None


def _place(operand: Operand, made: Axes, axis: int) -> int | None:
    """Return which axis of an operand is aligned with that of the output; None for a broadcast."""
    place = axis - (made.rank - operand.axes.rank)
    return place if place >= 0 and operand.axes.shape[place] == made.shape[axis] else None


def _of_bias(bias: Operand, made: Axes, axis: int) -> IdArray | None:
    """Zero what a layer adds: one number for each of its channels, or aligned."""
    if bias.axes.rank == 1 < made.rank - 1:
        return bias.zeroed_by(0) if axis == 1 else None
    place = _place(bias, made, axis)
    return None if place is None else bias.zeroed_by(place)


def _moved(
    call: Call, operands: Sequence[Operand], coupling: Coupling, made: Axes, axis: int
) -> IdArray | None:
    """Zero what moves elements about, and a normalisation with fixed statistics."""
    if traits_of(call.node).scale_and_bias:  # all that it adds must be zero as well
        parts = [operand.zeroed_by(min(1, operand.axes.rank - 1)) for operand in operands]
        return _all(parts) if axis == 1 else None
    is_joined = call.node.op == "Concat"
    if is_joined and axis != call.node.axis("axis", rank=made.rank):
        return _all([operand.zeroed_by(axis) for operand in operands])
    ids = made.at(axis)
    whole = operands[0].zeroed_along(ids)
    if whole is not None:
        return whole
    # The ids at whose positions what is moved is zero, and what makes it so, axis by axis.
    known: list[IdArray] = [np.empty(0, np.int64)]
    by: list[IdArray] = []
    for operand in operands if is_joined else operands[:1]:
        for place in operand.axes.live():
            found, own = operand.zeroed_by(place), operand.axes.at(place)
            # On a trial pass the parts of a divided axis have ids of their own.
            for division in coupling.divisions:
                if np.isin(division.ids, own).all():
                    own = np.concatenate([own, *division.parts.values()])
            if found is not None and np.isin(ids, own[own != INERT]).any():
                known.append(own)
                by.append(found)
    is_covered = np.isin(ids[ids != INERT], np.concatenate(known)).all()
    return _all(by) if is_covered else None


def hold_consumed(call: Call, coupling: Coupling, inside: frozenset[str], ledger: Ledger) -> None:
    """Freeze what is summed over by a weight that a body computes.

    The proof zeroes the slices of removed units where they are consumed. Zeros in the file do not
    reach such a weight, and nobody can look into a body to write them there.
    """
    if not inside or not coupling.consumed:
        return
    consumed = np.concatenate(coupling.consumed)
    for operand in call.inputs:
        if operand is None or not operand.is_weight or operand.name not in inside:
            continue
        if operand.name not in ledger.plain:
            ids = operand.axes.flat()
            ledger.freeze(ids[np.isin(ids, consumed)], str(call.node), NO_ZEROS)
