"""What a rule answers about a node: ties, freezes, numbers that follow, what the outputs carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from wrg_onnx.channels.axes import Axes
from wrg_onnx.channels.ids import INERT, IdArray
from wrg_onnx.graph import Array, Shape


class ShapeConflictError(ValueError):
    """Two axes that an operator holds against each other differ in length."""


@dataclass(frozen=True, slots=True, eq=False)
class Tie:
    """Two id arrays of one length whose positions are pairwise the same unit."""

    left: IdArray
    right: IdArray

    def __post_init__(self) -> None:
        if self.left.shape != self.right.shape:
            raise ShapeConflictError(f"{len(self.left)} positions against {len(self.right)}")


@dataclass(frozen=True, slots=True, eq=False)
class Freeze:
    """Ids that must stay, and why.

    Attributes:
        ids: The ids.
        reason: What a user reads after the node's name; empty for positions that are no channels
            (kernel sizes), which ``inspect`` does not list.
    """

    ids: IdArray
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """A number in a shape operand that must follow the ids of an axis.

    Attributes:
        position: The operand's input position.
        element: The flat index in it.
        ids: The ids that it counts; None where it must keep its value.
        rest: Further ids that the number as it is written depends on: those behind a bound that
            counts from the end, those of an axis whose length a 0 copies.
    """

    position: int
    element: int
    ids: IdArray | None
    rest: IdArray | None = None


@dataclass(frozen=True, slots=True)
class Quantised:
    """An operand whose elements stand for ``(element - zero point) * scale``.

    Attributes:
        operand: Its input position.
        scale: The scale's input position; None where another node scales.
        zero_point: The zero point's input position.
        axis: The axis that a scale and zero point of rank 1 run along.
        block: How many positions of that axis share a scale.
    """

    operand: int
    scale: int | None
    zero_point: int
    axis: int = 0
    block: int = 1

    def spread(self, parameter: Array, shape: Shape) -> Array:
        """Give the scale or zero point a shape that broadcasts to the operand's."""
        if parameter.size == 1:
            return parameter.reshape(())
        if parameter.ndim == 1:
            return parameter.reshape([-1 if axis == self.axis else 1 for axis in range(len(shape))])
        if self.block == 1:
            return parameter
        repeated = np.repeat(parameter, self.block, axis=self.axis)
        return np.take(repeated, np.arange(shape[self.axis]), axis=self.axis)


@dataclass(frozen=True, slots=True, eq=False)
class Division:
    """An axis that a Reshape divided; one of the parts carries its units.

    Attributes:
        ids: The ids of the divided axis, each once.
        parts: By output axis, the ids along each part that could carry them.
    """

    ids: IdArray
    parts: Mapping[int, IdArray]


AxisPlace: TypeAlias = tuple[int, int]
"""An axis of one input, or of one output, of a node: the position, and the axis there."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a node takes statistics over: with fewer positions there it computes something else.

    The proof holds a pruned node against the original's on the positions that are left.

    Attributes:
        over: The axes of its inputs whose positions make the statistics, or follow them.
        carried: The axes of its outputs that have these positions, too.
    """

    over: tuple[AxisPlace, ...]
    carried: tuple[AxisPlace, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Coupling:
    """A rule's answer: what the outputs carry, what is equal, what stays.

    Attributes:
        outputs: Axes of each output.
        ties: Positions that are the same unit.
        frozen: Positions that stay.
        filters: Ids along the output axis of a weight: the filters that make a channel.
        consumed: Ids along the axis of a weight that sums the input's channels up.
        contracted: Where ids are summed up over without a weight that consumes them, by two
            activations or in a reduction: the constants' ids that must be zeroed to see what the
            model computes without them.
        demands: Numbers in shape operands that count positions.
        dropped: Positions that the operator leaves out, such as what a Slice does not take. A
            position that a rule names nowhere is frozen.
        divisions: The axes that a Reshape divided.
        quantised: Operands of integers that stand for other numbers.
        in_groups: The channels that a grouped convolution reads and makes, where it could lose
            whole groups as well as equal positions of all of them; None where it has no choice.
        choice: Which part carries the units, for the report; empty where there was no choice.
        statistics: What it takes statistics over, if positions may go there.
    """

    outputs: tuple[Axes, ...]
    ties: tuple[Tie, ...] = ()
    frozen: tuple[Freeze, ...] = ()
    filters: tuple[IdArray, ...] = ()
    consumed: tuple[IdArray, ...] = ()
    contracted: tuple[IdArray, ...] = ()
    demands: tuple[Demand, ...] = ()
    dropped: tuple[IdArray, ...] = ()
    divisions: tuple[Division, ...] = ()
    quantised: tuple[Quantised, ...] = ()
    in_groups: IdArray | None = None
    choice: str = ""
    statistics: Statistics | None = None

    def also(self, *, ties: Iterable[Tie] = (), frozen: Iterable[Freeze] = ()) -> Coupling:
        """Return the answer with more ties and freezes."""
        return replace(self, ties=(*self.ties, *ties), frozen=(*self.frozen, *frozen))


def freeze_axes(axes: Axes, which: Iterable[int], reason: str) -> tuple[Freeze, ...]:
    """Freeze the ids along some axes; nothing where they are inert."""
    ids = axes.flat(which)
    return (Freeze(ids, reason),) if ids.size else ()


def broadcast(operands: Sequence[Axes], shape: Shape) -> tuple[Axes, tuple[Tie, ...]]:
    """Align operands from the right, as pointwise operators do, and tie what meets.

    Args:
        operands: The axes of each operand.
        shape: The broadcast shape.

    Returns:
        The axes of the result, and a tie of every operand's ids to them. A position that meets an
        inert one is tied to ``INERT``, which freezes it.
    """
    ids: list[IdArray | None] = []
    ties: list[Tie] = []
    for axis, size in enumerate(shape):
        met = []
        for operand in operands:
            own = axis - (len(shape) - operand.rank)
            if own >= 0 and operand.shape[own] == size:
                met.append(operand.ids[own])
        live = [i for i in met if i is not None]
        if not live:
            ids.append(None)
            continue
        first = live[0]
        ties += [Tie(first, other) for other in live[1:]]
        if len(live) < len(met):
            ties.append(Tie(first, np.full(size, INERT, np.int64)))
        ids.append(first)
    return Axes(shape, tuple(ids)), tuple(ties)


def tie_rows(ids: IdArray, rows: int) -> tuple[Tie, ...]:
    """Tie the same position across equal consecutive blocks."""
    table = ids.reshape(rows, -1)
    return tuple(Tie(table[0], row) for row in table[1:])
