"""Where zeros go: the proof silences channels by zeros, and must know where these end up.

Most operators answer by their traits. Code remains for three whose answer depends on the ids that
their node carries, or on its attributes: Concat, Reshape and ConstantOfShape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from wrg_onnx.channels.axes import Axes, Call, Coupling, Operand
from wrg_onnx.channels.ids import INERT
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


def vanishes(call: Call, coupling: Coupling) -> bool:
    """Tell whether a channel of the outputs is zero once the constants of its unit are."""
    traits = traits_of(call.node)
    if traits.rests_at_zero is not None:
        return traits.rests_at_zero(call)
    if coupling.filters:
        return True
    if not traits.zero_at_zero or any(_makes_axis(call.axes(), made) for made in coupling.outputs):
        return False
    return all(o is None or o.is_weight or o.vanishes or not o.axes.live() for o in call.inputs)


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
