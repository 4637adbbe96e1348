"""A model that was written in other numbers, and which of its nodes were not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wrg_onnx.choices import Precision
from wrg_onnx.graph import Graph


@dataclass(frozen=True, slots=True)
class Left:
    """A node that computes in float32 still.

    Attributes:
        op: Its operator.
        node: Its name.
        why: What keeps it there, as the end of a sentence about it.
    """

    op: str
    node: str
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """A model in other numbers, with the inputs and outputs that it had.

    Attributes:
        graph: The model.
        precision: Its numbers.
        samples: How many samples its ranges were measured on; 0 for half precision.
        bytes_before: What a file of the model took in float32.
        left: The nodes that compute in float32 still, in the order of the graph.
    """

    graph: Graph
    precision: Precision
    samples: int
    bytes_before: int
    left: tuple[Left, ...] = ()

    @property
    def left_by_operator(self) -> Mapping[str, tuple[Left, ...]]:
        """The nodes that compute in float32 still, by operator; where there are most first."""
        found: dict[str, list[Left]] = {}
        for one in self.left:
            found.setdefault(one.op, []).append(one)
        return {op: tuple(nodes) for op, nodes in sorted(found.items(), key=_most_first)}


def _most_first(entry: tuple[str, list[Left]]) -> tuple[int, str]:
    op, nodes = entry
    return -len(nodes), op
