"""Which channels of the original a pruned model still has, tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels import BoolArray, IdArray, Units, alive_ids
from wrg_onnx.graph import Array


@dataclass(frozen=True, slots=True, eq=False)
class KeptChannels:
    """The channels of one tensor that are left.

    Attributes:
        axis: The axis of the channels, counted from the front.
        positions: (C,) int64, ascending: the places in the original of the channels that are left.
        total: How many channels the original has.
    """

    axis: int
    positions: IdArray
    total: int

    def __post_init__(self) -> None:
        self.positions.setflags(write=False)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is gone."""
        return len(self.positions) == self.total

    def of(self, array: Array) -> Array:
        """Take what is left of the original's tensor."""
        return array if self.is_whole else array.take(self.positions, self.axis)


def kept_channels(units: Units, alive: BoolArray) -> dict[str, KeptChannels]:
    """Say for the tensors that layers make which of their channels stay.

    Args:
        units: The analysis.
        alive: (units,) bool, those that stay.

    Returns:
        By tensor: the first output of every node that makes channels from a weight, and of every
        BatchNormalization. Of one that stays whole, an axis is given all the same; one that loses
        positions on several axes is left out.
    """
    is_alive = alive_ids(units, alive)
    found: dict[str, KeptChannels] = {}
    for node in units.graph.nodes:
        if not (units.nodes[node.index].makes_channels or node.op == "BatchNormalization"):
            continue
        name = next(name for name in node.outputs if name)
        axes = units.axes[name]
        masks = {axis: is_alive(axes.at(axis)) for axis in axes.live()}
        cut = [axis for axis, mask in masks.items() if not mask.all()]
        if len(cut) > 1 or not axes.rank:
            continue
        axis = cut[0] if cut else min(1, axes.rank - 1)
        size = axes.shape[axis]
        found[name] = KeptChannels(axis, np.flatnonzero(masks.get(axis, np.ones(size, bool))), size)
    return found


def compose(
    earlier: Mapping[str, KeptChannels], later: Mapping[str, KeptChannels]
) -> dict[str, KeptChannels]:
    """Join two cuts, the second one of the result of the first, into one of the original.

    A tensor whose second cut does not continue the first is left out.
    """
    joined: dict[str, KeptChannels] = {}
    for name, second in later.items():
        first = earlier.get(name)
        if first is None or (first.axis, len(first.positions)) != (second.axis, second.total):
            continue
        joined[name] = KeptChannels(first.axis, first.positions[second.positions], first.total)
    return joined
