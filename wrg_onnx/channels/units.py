"""The result of the analysis: which slices of which initializers make one removable unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np

from wrg_onnx.channels.answers import Demand, Division, Quantised, Statistics
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.ids import INERT, BoolArray, IdArray
from wrg_onnx.channels.reasons import Reason
from wrg_onnx.channels.sizes import Place
from wrg_onnx.graph import Flat, Form, Graph, Weights

Port: TypeAlias = tuple[int, int]
"""One input of one node: the node's index, and the position among its inputs."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One axis of one constant, and the ids that its positions were given.

    Attributes:
        name: The constant's name.
        axis: The axis.
        offset: The id of its first position; the others follow.
        size: Its length.
        reader: The one reader of a shared vector that these ids are for; None: all of them, or all
            that have none of their own.
    """

    name: str
    axis: int
    offset: int
    size: int
    reader: Port | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Analysed:
    """A node as it was analysed: what its derivation needs.

    Attributes:
        call: The node and its operands.
        outputs: The axes of its outputs.
        demands: The numbers in shape operands that count positions.
        makes_channels: Whether filters of a weight become channels of the output here.
        divisions: The axes that a Reshape divided.
        in_groups: The channels of a grouped convolution that could lose whole groups, too.
        choice: Which part carries the units, for the report.
        has_shapes: Whether the shapes around it are known; in a body they need not be.
        quantised: Operands of integers that stand for other numbers.
        statistics: What it takes statistics over, if positions may go there.
    """

    call: Call
    outputs: tuple[Axes, ...]
    demands: tuple[Demand, ...]
    makes_channels: bool = False
    divisions: tuple[Division, ...] = ()
    in_groups: IdArray | None = None
    choice: str = ""
    has_shapes: bool = True
    quantised: tuple[Quantised, ...] = ()
    statistics: Statistics | None = None

    def quantised_at(self, position: int) -> Quantised | None:
        """Tell how an operand is quantised; None for one that is not."""
        return next((one for one in self.quantised if one.operand == position), None)


@dataclass(frozen=True, eq=False)
class Units:
    """All units of a graph.

    Attributes:
        graph: The analysed graph.
        flat: The same with the bodies of its control flow laid out; all names below are its names.
        slots: The axes of constants that were given ids, in the order of the ids.
        labels: (ids,) int64, the unit of each id, numbered from 0; the slots' ids come first.
        reason: (units,) int64, index into ``reasons`` of the first one to freeze a unit, or -1.
        reasons: Why units stay.
        group: (units,) int64, the group of each unit: units with the same members, one layer width.
        is_filter: (ids,) bool, whether an id stands on the output axis of a layer's weight.
        is_consumed: (ids,) bool, whether an id stands on the axis of a weight that is summed over.
        is_contracted: (ids,) bool, whether zeros at an id silence what is summed up without a
            weight that consumes it.
        axes: The ids of every tensor, constants included.
        nodes: The analysed nodes by index.
        pinned: Numbers in the file that a further reader needs as they are.
        plain: Tensors that are constants, or constants whose elements were moved about.
        freezes: All that holds units: ids, and an index into ``reasons``.
    """

    graph: Graph
    flat: Flat
    slots: tuple[Slot, ...]
    labels: IdArray
    reason: IdArray
    reasons: tuple[Reason, ...]
    group: IdArray
    is_filter: BoolArray
    is_consumed: BoolArray
    is_contracted: BoolArray
    axes: Mapping[str, Axes] = field(repr=False)
    nodes: Mapping[int, Analysed] = field(repr=False)
    pinned: frozenset[Place] = field(default=frozenset(), repr=False)
    plain: frozenset[str] = field(default=frozenset(), repr=False)
    freezes: tuple[tuple[IdArray, int], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for mask in (self.is_filter, self.is_consumed, self.is_contracted):
            mask.setflags(write=False)
        for array in (self.labels, self.reason, self.group):
            array.setflags(write=False)

    @property
    def constants(self) -> Weights:
        """All constants, those of bodies included."""
        return self.flat.graph.constants

    @property
    def count(self) -> int:
        """Number of units."""
        return len(self.reason)

    @cached_property
    def removable(self) -> BoolArray:
        """(units,) bool: whether a unit may go."""
        return np.asarray(self.reason < 0)

    @cached_property
    def sizes(self) -> IdArray:
        """(units,) int64: how many positions of constants a unit has."""
        held = sum(slot.size for slot in self.slots)  # behind them are axes that nodes make
        return np.bincount(self.labels[:held], minlength=self.count)

    def of(self, ids: IdArray) -> IdArray:
        """Return the units of some ids, ``INERT`` where a position has none."""
        return self._labels_and_inert[ids]

    @cached_property
    def _labels_and_inert(self) -> IdArray:
        """(ids + 1,) int64: the labels, and behind them what ``INERT``, which is -1, reads."""
        return np.append(self.labels, INERT)

    def slot_units(self, slot: Slot) -> IdArray:
        """Return the units along a constant's axis, (size,) int64."""
        return self.labels[slot.offset : slot.offset + slot.size]

    @cached_property
    def slots_of(self) -> Mapping[str, tuple[Slot, ...]]:
        """The slots of each constant, one per axis: those of its first reader, if it is shared."""
        table: dict[str, dict[int, Slot]] = {}
        for slot in self.slots:
            table.setdefault(slot.name, {}).setdefault(slot.axis, slot)
        return {name: tuple(slots.values()) for name, slots in table.items()}

    @cached_property
    def shared(self) -> Mapping[str, tuple[Slot, ...]]:
        """The slots of each shared vector, one per reader, that of all others first."""
        table: dict[str, list[Slot]] = {}
        for slot in self.slots:
            table.setdefault(slot.name, []).append(slot)
        return {
            name: tuple(slots)
            for name, slots in table.items()
            if any(slot.reader is not None for slot in slots)
        }


def is_parameter(array: Form) -> bool:
    """Tell whether a constant counts as parameters: floats or 8-bit weights, scalars excluded."""
    return (
        array.ndim > 0
        and (array.dtype.kind in "fV" or array.dtype.itemsize == 1)
        and (array.dtype.kind != "b")
    )
