"""The original and the pruned model run side by side, one level of layers after the other.

The level of a layer is the number of layers on the longest way to it, so that layers of one level
do not depend on each other. What the levels behind need of those before is held for all samples
where it fits into memory: then each layer is computed once in both models. Where it does not fit,
both models run again from the last values that did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from wrg_onnx.data.dataset import DataSet
from wrg_onnx.graph import Array, Graph, PartSessions, Provider
from wrg_onnx.graph.model import captured
from wrg_onnx.recover.layers import LinearLayer

Values: TypeAlias = Mapping[str, Array]

DEFAULT_BOUND_BYTES = 1 << 30


class PairedRun:
    """Runs both models up to a level, and holds what the levels behind it need.

    For each of ``levels``: ask for ``pairs`` as often as need be, or ``skip``; then ``advance``.

    Attributes:
        levels: The layers by level, those nearest to the inputs first.
    """

    def __init__(
        self,
        original: Graph,
        pruned: Graph,
        layers: Sequence[LinearLayer],
        data: DataSet,
        *,
        provider: Provider = Provider.CPU,
        bound_bytes: int = DEFAULT_BOUND_BYTES,
    ) -> None:
        """Start at the models' inputs.

        Args:
            original: The original model.
            pruned: The pruned one, as it is before any layer is solved for.
            layers: The layers to visit, of the pruned model.
            data: The samples, read one at a time.
            provider: Where ONNX Runtime computes.
            bound_bytes: How many bytes of tensors are held between levels.
        """
        self._original = _LevelledModel.of(original, layers, provider)
        self._pruned = _LevelledModel.of(pruned, layers, provider)
        self._data = data
        self._bound = bound_bytes
        self._constants: dict[str, Array] = {}
        self._held: list[tuple[Values, Values]] | None = None
        self._next: list[Values] | None = None
        depths = self._pruned.depths
        self.levels: tuple[tuple[LinearLayer, ...], ...] = tuple(
            tuple(layer for layer in layers if depths[layer.target] == depth)
            for depth in sorted({depths[layer.target] for layer in layers})
        )

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._data)

    def pairs(
        self, layers: Sequence[LinearLayer], seen: Sequence[str], *, most: int | None = None
    ) -> Iterator[tuple[Values, Values]]:
        """Run both models up to some layers of one level, sample by sample.

        Args:
            layers: The layers.
            seen: The tensors of the pruned model to return.
            most: After how many samples to stop; None takes all, and keeps what the next level
                needs.

        Yields:
            What the layers are to make, and the tensors of the pruned model. A layer is to make
            what it makes in the original, the channels that are left; where that is added to a
            shortcut, it is to make up for what the shortcut lacks, too.

        Source of the latter: He et al., "Channel Pruning for Accelerating Very Deep Neural
        Networks", ICCV 2017, arXiv:1707.06168, section 3.2.
        """
        level = self._pruned.depths[layers[0].target]
        shortcuts = {x.target: x.shortcut for x in layers if self._is_behind(x.shortcut, level)}
        targets = [*(layer.target for layer in layers), *shortcuts.values()]
        ahead = [] if most is not None else sorted(self._original.frontier(level + 1))
        wanted = [*targets, *(name for name in ahead if name not in targets)]
        stash = _Stash(ahead, len(self._data), self._bound)
        original: _Read | None = None
        pruned: _Read | None = None
        for start in self._starts(most):
            original = original or self._original.reader(start[0], wanted, {})
            pruned = pruned or self._pruned.reader(
                start[1], [*seen, *shortcuts.values()], self._constants
            )
            values = original(start[0])
            stash.add(values)
            found = pruned(start[1])
            yield _goals(layers, shortcuts, values, found), found
        if most is None and stash.values is not None:
            self._next = stash.values

    def skip(self, layers: Sequence[LinearLayer]) -> None:
        """Run the original through a level whose layers keep their weights."""
        for _ in self.pairs(layers, []):
            pass

    def advance(self, level: int, constants: Mapping[str, Array]) -> None:
        """Give the pruned model the new weights of a level, and move behind it.

        Args:
            level: Which of ``levels`` is done.
            constants: New values of constants, by name.
        """
        self._constants |= constants
        stash, self._next = self._next, None
        if stash is None:
            return
        depth = self._pruned.depths[self.levels[level][0].target]
        ahead = sorted(self._pruned.frontier(depth + 1))
        read: _Read | None = None
        held: list[tuple[Values, Values]] = []
        for values, (_, start) in zip(stash, self._starts(), strict=True):
            read = read or self._pruned.reader(start, ahead, self._constants)
            held.append((values, read(start)))
        self._held = held

    def _starts(self, most: int | None = None) -> Iterator[tuple[Values, Values]]:
        """Yield what is held of each sample, or its inputs."""
        for index in range(len(self._data))[:most]:
            if self._held is not None:
                yield self._held[index]
            else:
                feeds = self._data[index].feeds
                yield feeds, feeds

    def _is_behind(self, name: str, level: int) -> bool:
        """Tell whether a tensor is made before a level."""
        return self._pruned.depths.get(name, level) < level


class _Stash:
    """What the next levels need of the original, of each sample; as long as there is room for it.

    Attributes:
        values: One a sample; None once it is known that they will not fit.
    """

    def __init__(self, names: Sequence[str], samples: int, bound_bytes: int) -> None:
        self.values: list[Values] | None = []
        self._names = names
        self._samples = samples
        self._bound = bound_bytes
        self._bytes = 0.0

    def add(self, values: Values) -> None:
        """Add one sample's tensors, some of which are needed."""
        if self.values is None:
            return
        self.values.append({name: values[name] for name in self._names})
        self._bytes += sum(_bytes(value) for value in self.values[-1].values())
        # Both models' values will be held, hence the 2. What all samples need is judged by the mean
        # of those so far, bytes / number.
        if 2 * self._bytes * self._samples > self._bound * len(self.values):
            self.values = None


def _goals(
    layers: Sequence[LinearLayer],
    shortcuts: Mapping[str, str],
    original: Values,
    pruned: Values,
) -> dict[str, Array]:
    """Return what the layers are to make of one sample.

    Args:
        layers: The layers.
        shortcuts: By a layer's target, what is added to it, where that is made before it.
        original: The original's values of all of these.
        pruned: The pruned model's values of the shortcuts.
    """
    goals = {layer.target: layer.kept.of(original[layer.target]) for layer in layers}
    for layer in layers:
        name = shortcuts.get(layer.target, "")
        if name and original[name].shape == original[layer.target].shape:
            other = layer.kept.of(original[name])
            # The data may decide how many rows there are; the layer is then left.
            if other.shape == pruned[name].shape:
                goals[layer.target] = goals[layer.target] + other - pruned[name]
    return goals


def _bytes(value: object) -> float:
    """Return the size of a tensor; of a sequence, which no part can be fed, infinity."""
    return value.nbytes if isinstance(value, np.ndarray) else math.inf


_Read: TypeAlias = Callable[[Values], Values]


@dataclass(frozen=True, slots=True, eq=False)
class _LevelledModel:
    """One of the two models, with the level of each of its tensors.

    Attributes:
        parts: Makes sessions of its parts.
        depths: The level at which each tensor is made; 0 before the first layer.
        last_read: The last level at which each tensor is read on the way to a layer.
    """

    parts: PartSessions
    depths: Mapping[str, int]
    last_read: Mapping[str, int]

    @classmethod
    def of(cls, graph: Graph, layers: Sequence[LinearLayer], provider: Provider) -> _LevelledModel:
        """Find the levels of a model's tensors.

        Args:
            graph: The model.
            layers: The layers, of the pruned model; the original has their tensors by the same
                names, but for a bias that the pruned one got behind a layer.
            provider: Where ONNX Runtime computes.
        """
        made = {name for node in graph.nodes for name in node.outputs}
        steps = {layer.made if layer.made in made else layer.target for layer in layers}
        # Forwards: a node is at the level of the deepest tensor that it reads, a layer one behind.
        depths = {value.name: 0 for value in graph.inputs}
        for node in graph.nodes:
            read = [depths[n] for n in {*node.inputs, *captured(node)} if n in depths]
            depth = max(read, default=0) + bool(steps.intersection(node.outputs))
            depths.update({name: depth for name in node.outputs if name})
        # Backwards: what leads to no layer is not needed; what does is read at its reader's level.
        needed = {layer.target for layer in layers}
        last_read: dict[str, int] = {}
        for node in reversed(graph.nodes):
            if needed.isdisjoint(node.outputs):
                continue
            depth = max(depths[name] for name in node.outputs if name)
            for name in {*node.inputs, *captured(node)} & depths.keys():
                needed.add(name)
                last_read[name] = max(last_read.get(name, 0), depth)
        return cls(PartSessions(graph, provider), depths, last_read)

    def frontier(self, level: int) -> Iterator[str]:
        """Yield the tensors that are made before a level and read at or behind it."""
        return (name for name, last in self.last_read.items() if self.depths[name] < level <= last)

    def reader(self, start: Values, names: Sequence[str], constants: Values) -> _Read:
        """Return a function from what is held of a sample to some tensors of it."""
        held = [name for name in names if name in start]
        rest = [name for name in dict.fromkeys(names) if name not in start]
        if not rest:
            return lambda values: {name: values[name] for name in held}
        types: dict[str, np.dtype[np.generic]] = {k: v.dtype for k, v in start.items()}
        session = self.parts.open(types, rest, constants)
        fed = [value.name for value in session.engine.get_inputs()]

        def read(values: Values) -> Values:
            found = session.run({name: values[name] for name in fed})
            return {**{name: values[name] for name in held}, **found}

        return read
