"""The pruned model, one level of layers after the other, each computed once.

The level of a layer is the number of layers on the longest way to it, so that layers of one level
do not depend on each other. What the levels behind need of those before is held for every sample
that is walked with: as many as fit into memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from wrg_onnx.channels import draws_random
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.graph import AHEAD_BYTES, Array, Graph, PartSessions, Provider, run_side_by_side
from wrg_onnx.graph.model import captured
from wrg_onnx.recover.layers import LinearLayer

FEWEST = 2
"""Samples that are walked with, whatever they take: one solves, one chooses the penalty."""


class Walk:
    """Holds what the next level reads, sample by sample.

    For each of ``levels``: ask for ``seen`` as often as need be, then ``advance``.

    Attributes:
        levels: The layers by level, those nearest to the inputs first.
    """

    def __init__(
        self,
        graph: Graph,
        layers: Sequence[LinearLayer],
        data: DataSet,
        *,
        provider: Provider,
        bound_bytes: int,
    ) -> None:
        """Start at the model's inputs.

        Args:
            graph: The pruned model, as it is before any layer is solved for.
            layers: The layers to visit.
            data: The samples, read one at a time.
            provider: Where ONNX Runtime computes.
            bound_bytes: How many bytes of tensors are held between levels.
        """
        self._parts = PartSessions(graph, provider, one_thread=True)
        self._ahead = 0 if draws_random(graph) else AHEAD_BYTES
        self._depths, self._last_read = _levels(graph, layers)
        self.levels: tuple[tuple[LinearLayer, ...], ...] = tuple(
            tuple(layer for layer in layers if self._depths[layer.made] == depth)
            for depth in sorted({self._depths[layer.made] for layer in layers})
        )
        first = self._first(data[0].feeds)
        samples = len(data)
        most = self._most_bytes(first)
        if most:
            samples = min(samples, max(FEWEST, int(bound_bytes // most)))
        rest = (self._first(data[index].feeds) for index in range(1, samples))
        self._held: list[Mapping[str, Array]] = [first, *rest]
        self._constants: dict[str, Array] = {}

    def __len__(self) -> int:
        """Return with how many samples it walks."""
        return len(self._held)

    def seen(self, names: Sequence[str]) -> Iterator[Mapping[str, Array]]:
        """Yield of each sample some tensors that are made before the level."""
        return self._read(self._held, names, self._constants)

    def is_behind(self, name: str, layer: LinearLayer) -> bool:
        """Tell whether a tensor is made before a layer's level."""
        level = self._depths[layer.made]
        return self._depths.get(name, level) < level

    def advance(self, level: int, constants: Mapping[str, Array]) -> None:
        """Move behind a level, or stay where it is if a sequence would have to be held.

        Args:
            level: Which of ``levels`` is done.
            constants: New values of its weights and biases, by name.
        """
        self._constants |= constants
        if level + 1 == len(self.levels):
            return
        names = self._frontier(self._depths[self.levels[level + 1][0].made])
        held = []
        for values in self._read(self._held, names, self._constants):
            if math.inf in map(_bytes, values.values()):
                return
            held.append(values)
        self._held = held

    def _first(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        """Return what the first level reads; it lies behind no layer."""
        names = self._frontier(self._depths[self.levels[0][0].made])
        (values,) = self._read([feeds], names, {})
        return values

    def _most_bytes(self, first: Mapping[str, Array]) -> float:
        """Return how many bytes one sample takes at the level where it takes most."""
        levels = {self._depths[layers[0].made] for layers in self.levels}
        fronts = [self._frontier(level) for level in sorted(levels)]
        names = list(dict.fromkeys(name for front in fronts for name in front))
        (values,) = self._read([first], names, {})
        sizes = [sum(_bytes(values[name]) for name in front) for front in fronts]
        return max((size for size in sizes if size < math.inf), default=0.0)

    def _frontier(self, level: int) -> list[str]:
        """Return the tensors that are made before a level and read at or behind it."""
        last = self._last_read
        return sorted(name for name in last if self._depths[name] < level <= last[name])

    def _read(
        self,
        starts: Sequence[Mapping[str, Array]],
        names: Sequence[str],
        constants: Mapping[str, Array],
    ) -> Iterator[Mapping[str, Array]]:
        """Yield tensors of each sample, from what is held of it."""
        rest = [name for name in names if name not in starts[0]]
        if not rest:
            yield from ({name: start[name] for name in names} for start in starts)
            return
        types: dict[str, np.dtype[np.generic]] = {k: v.dtype for k, v in starts[0].items()}
        session = self._parts.open(types, rest, constants)
        fed = [value.name for value in session.engine.get_inputs()]
        feeds = ({name: start[name] for name in fed} for start in starts)
        made = run_side_by_side(session, feeds, ahead_bytes=self._ahead)
        for start, (_, found) in zip(starts, made, strict=True):
            yield {name: found[name] if name in found else start[name] for name in names}


def _levels(graph: Graph, layers: Sequence[LinearLayer]) -> tuple[dict[str, int], dict[str, int]]:
    """Find the level at which each tensor is made, and the last at which it is read for a layer."""
    steps = {layer.made for layer in layers}
    # Forwards: a node is at the level of the deepest tensor that it reads, a layer one behind.
    depths = {value.name: 0 for value in graph.inputs}
    for node in graph.nodes:
        read = [depths[n] for n in {*node.inputs, *captured(node)} if n in depths]
        depth = max(read, default=0) + bool(steps.intersection(node.outputs))
        depths.update({name: depth for name in node.outputs if name})
    # Backwards: what leads to no layer is not needed; what does is read at its reader's level.
    # A layer's shortcut is needed, too, though it leads to what lies behind the layer.
    needed = set(steps)
    last_read: dict[str, int] = {}
    for layer in layers:
        if layer.shortcut and depths.get(layer.shortcut, 0) < depths[layer.made]:
            last_read[layer.shortcut] = depths[layer.made]
            needed.add(layer.shortcut)
    for node in reversed(graph.nodes):
        if needed.isdisjoint(node.outputs):
            continue
        depth = max(depths[name] for name in node.outputs if name)
        for name in {*node.inputs, *captured(node)} & depths.keys():
            needed.add(name)
            last_read[name] = max(last_read.get(name, 0), depth)
    return depths, last_read


def _bytes(value: object) -> float:
    """Return the size of a tensor; of a sequence, which no part can be fed, infinity."""
    return value.nbytes if isinstance(value, np.ndarray) else math.inf
