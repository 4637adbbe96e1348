"""Einsum: every letter of its equation is one axis, wherever it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels.axes import Axes, Call, Coupling, Freeze, Operand, Tie
from wrg_onnx.channels.ids import INERT, IdArray
from wrg_onnx.channels.table import op_rule

SUMMED = "sums over this axis, which no weight consumes"


@dataclass(frozen=True, slots=True)
class Place:
    """An axis of an operand that a label stands for."""

    operand: Operand
    axis: int

    @property
    def size(self) -> int:
        """The axis's length."""
        return self.operand.axes.shape[self.axis]

    @property
    def ids(self) -> IdArray | None:
        """The axis's ids, None where it is inert."""
        return self.operand.axes.ids[self.axis]


def places_by_label(call: Call) -> tuple[Mapping[str, Sequence[Place]], tuple[str, ...]]:
    """Read an Einsum's equation.

    An axis behind an ellipsis gets a label of its own, counted from the end: ``...0`` is the last.

    Returns:
        The places where each label stands, and the labels of the output's axes. An axis of length
        1 that is broadcast against a longer one is no place.
    """
    left, arrow, right = call.node.str("equation", "").replace(" ", "").partition("->")
    found: dict[str, list[Place]] = {}
    hidden = 0
    for position, term in enumerate(left.split(",")):
        operand = call.operand(position)
        rank = operand.axes.rank
        hidden = max(hidden, rank - len(term.replace("...", "")))
        for axis, label in enumerate(_labels(term, rank)):
            found.setdefault(label, []).append(Place(operand, axis))
    if not arrow:
        # The implicit form: the broadcast axes, then each letter that stands once, sorted.
        letters = sorted(a for a in found if len(a) == 1 and left.count(a) == 1)
        right = "..." * ("..." in left) + "".join(letters)
    output = _labels(right, hidden + len(right.replace("...", "")))
    for places in found.values():
        longest = max(place.size for place in places)
        places[:] = [place for place in places if place.size == longest]
    return found, output


def _labels(term: str, rank: int) -> tuple[str, ...]:
    """Return one label per axis of a term."""
    before, dots, after = term.partition("...")
    count = rank - len(before) - len(after) if dots else 0
    return (*before, *(f"...{number}" for number in reversed(range(count))), *after)


@op_rule("Einsum", since=12)
def couple_einsum(call: Call) -> Coupling:
    """Tie the axes that share a letter; a summed one needs a weight that consumes it.

    Shapes:
        X_k (one axis per letter of term k) -> Y (one axis per letter of the output's term).

    Source: https://onnx.ai/onnx/operators/onnx__Einsum.html
    """
    found, output = places_by_label(call)
    carried: dict[str, IdArray | None] = {}
    ties: list[Tie] = []
    frozen: list[Freeze] = []
    filters: list[IdArray] = []
    consumed: list[IdArray] = []
    for label, places in found.items():
        live = [place.ids for place in places if place.ids is not None]
        carried[label] = live[0] if live else None
        ties += [Tie(live[0], other) for other in live[1:]]
        if 0 < len(live) < len(places):
            ties.append(Tie(live[0], np.full(len(live[0]), INERT, np.int64)))
        weights = [p.ids for p in places if p.operand.is_weight and p.ids is not None]
        if label not in output:
            consumed += weights
            frozen += [] if weights else [Freeze(ids, SUMMED) for ids in live]
        elif len(weights) == len(places):
            filters += weights
    ids = tuple(carried.get(label) for label in output)
    return Coupling(
        (Axes(call.output_shapes[0], ids),),
        tuple(ties),
        tuple(frozen),
        tuple(filters),
        tuple(consumed),
        dropped=tuple(consumed),
    )
