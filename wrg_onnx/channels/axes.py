"""An axis is an array of unit ids: the records that the operators' rules speak in.

Each axis of each tensor is *inert* (``None``: batch, height, time) or an int array with one id per
position. Positions with the same id live or die together; ``INERT`` (-1) marks a single position
that stays, such as a padded channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np

from wrg_onnx.channels.ids import INERT, IdArray
from wrg_onnx.channels.sizes import Sizes, constant_sizes, from_source, may_be_sizes
from wrg_onnx.graph import Array, Node, Shape, Weights

WHOLE_GROUPS = 0
"""Among the carriers of a grouped convolution: its groups carry the units, not positions in them.

Groups stand before the channels of a group, as the parts of an axis divided into both would."""


class ShapeConflictError(ValueError):
    """Two axes that an operator holds against each other differ in length."""


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """The ids along each axis of one tensor.

    Attributes:
        shape: The tensor's concrete shape.
        ids: Per axis ``(size,)`` int64, or None for an inert axis.
    """

    shape: Shape
    ids: tuple[IdArray | None, ...]

    def __post_init__(self) -> None:
        assert len(self.shape) == len(self.ids), (self.shape, len(self.ids))
        assert all(i is None or len(i) == n for i, n in zip(self.ids, self.shape, strict=True))

    @classmethod
    def inert(cls, shape: Shape) -> Axes:
        """Make axes that carry no ids."""
        return cls(shape, (None,) * len(shape))

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def at(self, axis: int) -> IdArray:
        """Return the ids along an axis, all ``INERT`` where it is inert."""
        ids = self.ids[axis]
        return np.full(self.shape[axis], INERT, np.int64) if ids is None else ids

    def live(self) -> list[int]:
        """Return the axes that carry at least one id."""
        return [
            axis
            for axis, ids in enumerate(self.ids)
            if ids is not None and ids.max(initial=INERT) >= 0
        ]

    def flat(self, axes: Iterable[int] | None = None) -> IdArray:
        """Return the ids of some axes (all by default) behind each other."""
        chosen = range(self.rank) if axes is None else axes
        parts = [self.ids[axis] for axis in chosen]
        live = [ids for ids in parts if ids is not None]
        if len(live) == 1:
            return live[0]
        return np.concatenate(live) if live else np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Operand:
    """One input of a node, as a rule sees it.

    Attributes:
        name: The tensor's name.
        axes: Its ids.
        is_weight: Whether it depends on constants alone.
        constants: Where its value is, if it is a constant of the file.
        computed: Its elements as sizes, where it is a small tensor computed from shapes.
        vanishing: Of a computed one, by axis along which it is zero once some constants are: the
            ids of these.
        is_zero: Whether the graph makes it of zeros alone.
        elsewhere: Its shape at other sizes of the model's inputs; None where that is not known.
        port: The node that reads it, and at which place.
    """

    name: str
    axes: Axes
    is_weight: bool = False
    constants: Weights | None = None
    computed: Sizes | None = None
    vanishing: Mapping[int, IdArray] = field(default_factory=dict)
    is_zero: bool = False
    elsewhere: Shape | None = None
    port: tuple[int, int] = (0, 0)

    @property
    def value(self) -> Array | None:
        """Its value, where it is a constant of the file: read when it is asked for."""
        return None if self.constants is None else self.constants[self.name]

    @property
    def is_constant(self) -> bool:
        """Whether it is a constant of the file."""
        return self.constants is not None

    def zeroed_by(self, axis: int) -> IdArray | None:
        """Return the constants' ids at which zeros make it zero along an axis, if there are any.

        Where the ids that belong to some units are zero, so are the positions of these units.
        """
        if self.is_zero:
            return np.empty(0, np.int64)
        return self.axes.ids[axis] if self.is_constant else self.vanishing.get(axis)

    def zeroed_along(self, ids: IdArray) -> IdArray | None:
        """Return the same for the axis that carries these ids."""
        for axis, own in enumerate(self.axes.ids):
            if own is not None and (own is ids or np.array_equal(own, ids)):
                found = self.zeroed_by(axis)
                if found is not None:
                    return found
        return None

    @cached_property
    def sizes(self) -> Sizes | None:
        """Its elements as sizes, where it is a small tensor computed from shapes and constants."""
        if self.computed is not None or self.constants is None:
            return self.computed
        # Few nodes ask for the elements of their constants: these are looked at when one does.
        if not may_be_sizes(self.constants.forms[self.name]):
            return None
        return from_source(constant_sizes(self.constants[self.name]), self.port)


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A node with its operands: what a rule is asked about.

    Attributes:
        node: The node.
        inputs: One operand per input; None where an optional input is absent.
        output_shapes: Concrete shapes of the outputs; ``()`` where one is absent.
        carriers: The output axes that are to carry the units of an axis that is divided; of a
            division that none of them belongs to, the part with most units does. Of a grouped
            convolution, ``WHOLE_GROUPS`` where these carry them.
        fresh: Makes ids for the parts of a division, on a trial pass alone: each part then gets
            ids of its own, and what freezes them tells which ones can carry the units.
        head_dims: Whether activations that are contracted with each other may lose positions.
        through_norms: Whether statistics may be taken over fewer positions.
        new_ids: Makes ids for an axis that the node makes from a number, and not from a constant;
            without it such an axis is inert.
    """

    node: Node
    inputs: tuple[Operand | None, ...]
    output_shapes: tuple[Shape, ...]
    carriers: tuple[int, ...] = ()
    fresh: Callable[[int], IdArray] | None = None
    head_dims: bool = False
    through_norms: bool = False
    new_ids: Callable[[int], IdArray] | None = None

    def operand(self, position: int) -> Operand:
        """Return an input that the operator cannot be without."""
        operand = self.inputs[position] if position < len(self.inputs) else None
        assert operand is not None, f"{self.node}: input {position} is absent"
        return operand

    def axes(self, position: int = 0) -> Axes:
        """Return the axes of a required input."""
        return self.operand(position).axes

    def optional(self, position: int) -> Operand | None:
        """Return an optional input, None where it is absent."""
        return self.inputs[position] if position < len(self.inputs) else None

    def integers(self, position: int) -> tuple[int, ...] | None:
        """Return an integer input's values at the analysed sizes, None where they are unknown."""
        operand = self.optional(position)
        if operand is None or operand.sizes is None:
            return None
        return tuple(int(size.value) for size in operand.sizes.reshape(-1))

    def only(self, *positions: int) -> Call:
        """Return the call with some of its inputs, as the rule of a plainer operator expects."""
        return replace(self, inputs=tuple(self.optional(position) for position in positions))


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
