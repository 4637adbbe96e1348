"""An axis is an array of unit ids: the records that the operators' rules speak in.

Each axis of each tensor is *inert* (``None``: batch, height, time) or an int array with one id per
position. Positions with the same id live or die together; ``INERT`` (-1) marks a single position
that stays, such as a padded channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from wrg_onnx.channels.ids import INERT, IdArray
from wrg_onnx.channels.sizes import Sizes, constant_sizes, from_source, may_be_sizes
from wrg_onnx.graph import Array, Node, Shape, Weights

WHOLE_GROUPS = 0
"""Among the carriers of a grouped convolution: its groups carry the units, not positions in them.

Groups stand before the channels of a group, as the parts of an axis divided into both would."""


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
    vanishing: Callable[[str], Mapping[int, IdArray]] | None = None
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
        if self.is_constant or self.vanishing is None:
            return self.axes.ids[axis] if self.is_constant else None
        return self.vanishing(self.name).get(axis)

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
            None where it is too long. Without it such an axis is inert.
    """

    node: Node
    inputs: tuple[Operand | None, ...]
    output_shapes: tuple[Shape, ...]
    carriers: tuple[int, ...] = ()
    fresh: Callable[[int], IdArray] | None = None
    head_dims: bool = False
    through_norms: bool = False
    new_ids: Callable[[int], IdArray | None] | None = None

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
