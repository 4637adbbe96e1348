"""Which channels of the original a pruned model still has, tensor by tensor.

A plan says what is kept of each constant, and is gone after the cut. Recovery and fine-tuning hold
the pruned model's tensors against the original's, maybe much later: they need to know which
channel of the one is which of the other. A pruned file says it in a note of its metadata.

Beside the layers it speaks of BatchNormalization, by name: fine-tuning sets its scale and bias.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

from wrg_onnx.channels import BoolArray, IdArray, Units, alive_ids
from wrg_onnx.errors import ModelError
from wrg_onnx.graph import Array, Edit, Graph, edited, without_bias

NOTE = "wrg_onnx.kept"
"""The key in a file's metadata under which it says what it has kept of its original."""


MOST_AXES = 64
MOST_CHANNELS = 1 << 24
"""A note that speaks of more, or keeps more of all tensors together, is broken: a run of any
length is written in a few bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptChannels:
    """The channels of one tensor that are left: channel k was ``positions[k]`` in the original.

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


def find_kept_channels(units: Units, alive: BoolArray) -> dict[str, KeptChannels]:
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
        made = next(name for name in node.outputs if name)
        name, axes = without_bias(units.graph, made), units.axes[made]
        # Which positions stay, on each axis that carries channels.
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
        if first is None:
            continue
        # The second cut counts the channels that the first one left.
        follows = len(first.positions) == second.total
        if first.is_whole and second.is_whole:
            joined[name] = second
            continue
        if first.axis == second.axis and not follows:
            continue
        if first.is_whole or second.is_whole:
            joined[name] = second if first.is_whole else first
            continue
        if first.axis != second.axis:
            continue
        joined[name] = KeptChannels(first.axis, first.positions[second.positions], first.total)
    return joined


def with_note(graph: Graph, kept: Mapping[str, KeptChannels]) -> Graph:
    """Return a copy of a pruned model whose metadata say what it has kept.

    Where the model was cut from a pruned one, ``kept`` is of the first original (``compose``). The
    note is JSON: by tensor the axis, the number of channels in the original, and runs of
    positions, each as its first and its length.
    """
    table = {name: [one.axis, one.total, *_runs(one.positions)] for name, one in kept.items()}
    note = json.dumps(table, separators=(",", ":"), sort_keys=True)
    return edited(graph, Edit(metadata={NOTE: note}))


def read_note(graph: Graph) -> dict[str, KeptChannels]:
    """Read what ``with_note`` wrote.

    Returns:
        By tensor what is kept of it; empty if the file says nothing.

    Raises:
        ModelError: If the note is not of this form.
    """
    if NOTE not in graph.metadata:
        return {}
    try:
        table = json.loads(graph.metadata[NOTE])
        return _laid_out({str(name): _read(*entry) for name, entry in table.items()})
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"'{graph.name}': the note '{NOTE}' in its metadata is broken ({error}); prune the "
            "original again, or remove the note"
        ) from error


def _runs(positions: IdArray) -> list[list[int]]:
    """Write ascending positions as runs."""
    # A run starts where the step from the position before is not 1; -2 makes the first one start:
    # 0 2 3 5 has steps 2 2 1 2, starts at 0, 1 and 3, and lengths 1, 2 and 1.
    starts = np.flatnonzero(np.diff(positions, prepend=-2) != 1)
    lengths = np.diff(starts, append=len(positions))
    return [[int(positions[s]), int(n)] for s, n in zip(starts, lengths, strict=True)]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a note says of one tensor: its positions as runs, which are not laid out yet."""

    axis: int
    total: int
    runs: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        return sum(length for _, length in self.runs)

    def laid_out(self) -> KeptChannels:
        parts = [np.arange(first, first + length) for first, length in self.runs]
        positions = np.concatenate([np.empty(0, np.int64), *parts])
        return KeptChannels(self.axis, positions, self.total)


def _laid_out(entries: Mapping[str, _Entry]) -> dict[str, KeptChannels]:
    count = sum(entry.count for entry in entries.values())
    if count > MOST_CHANNELS:
        raise ValueError(f"it keeps {count} channels in all, {MOST_CHANNELS} are the most")
    return {name: entry.laid_out() for name, entry in entries.items()}


def _read(axis: int, total: int, *runs: tuple[int, int]) -> _Entry:
    numbers = [axis, total, *chain.from_iterable(runs)]
    if not all(type(number) is int for number in numbers):  # True would be 1
        raise TypeError("expected whole numbers")
    if not 0 <= axis <= MOST_AXES or not 0 <= total <= MOST_CHANNELS:
        raise ValueError(f"axis {axis} or {total} channels are out of range")
    end = 0
    for first, length in runs:
        if first < end or length < 1 or first + length > total:
            raise ValueError(f"run {first}, {length} does not fit among {total} channels")
        end = first + length
    return _Entry(axis, total, runs)
