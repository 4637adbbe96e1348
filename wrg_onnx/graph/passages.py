"""What goes into a loop's body, round from one iteration to the next, and out of it.

The three operators are named here: a Loop, a Scan, and a Scan of opset 8, which has batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wrg_onnx.graph.model import Node

BATCHED_SCAN = 8
"""The opset in which a Scan takes lengths, and a batch of sequences."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One value that a loop hands on: a state, a slice of a sequence, or what it gathers.

    Attributes:
        given: The position among the node's inputs of where it begins; None of what is gathered.
        fed: Its position among the body's inputs; None of what is gathered.
        returned: Its position among the body's outputs; None of a slice.
        output: The position among the node's outputs of where it ends; None of a slice.
        axes: Those that it has outside of the body alone; negative ones count from the end.
    """

    given: int | None
    fed: int | None
    returned: int | None
    output: int | None
    axes: tuple[int, ...] = ()

    @property
    def is_state(self) -> bool:
        """Whether each iteration gets what the one before has returned."""
        return self.fed is not None and self.returned is not None

    def outside(self, rank: int) -> tuple[int, ...] | None:
        """Return its axes outside of the body alone, counted from the front.

        Args:
            rank: How many axes it has outside.

        Returns:
            The axes, ascending; None if a tensor of that rank does not have them.
        """
        if any(not -rank <= axis < rank for axis in self.axes):
            return None
        return tuple(sorted(axis % rank for axis in self.axes))


def passages(node: Node, count: int) -> Iterator[Passage]:
    """Say what a Loop or a Scan hands on.

    Args:
        node: The node.
        count: How many inputs it has of its own; in the flat graph it reads more.

    Yields:
        States first, in their order, then slices, then what is gathered.

    Source: https://onnx.ai/onnx/operators/onnx__Scan.html
    """
    made = len(node.outputs)
    if node.op == "Loop":
        # The trip count and a condition go before the states, a condition returns before them.
        states = count - 2
        for k in range(states):
            yield Passage(2 + k, 2 + k, 1 + k, k)
        for k in range(states, made):
            yield Passage(None, None, 1 + k, k, (0,))
        return
    slices = node.int("num_scan_inputs")
    batched = node.version <= BATCHED_SCAN
    first = int(batched)  # behind the lengths
    states = count - first - slices
    for k in range(states):
        yield Passage(first + k, k, k, k, (0,) if batched else ())
    axes = (0,) * max(slices, made - states)
    read = node.ints("scan_input_axes", axes)
    stacked = node.ints("scan_output_axes", axes)
    for number, k in enumerate(range(states, states + slices)):
        yield Passage(first + k, k, None, None, (0, 1) if batched else (read[number],))
    for number, k in enumerate(range(states, made)):
        yield Passage(None, None, k, k, (0, 1) if batched else (stacked[number],))
