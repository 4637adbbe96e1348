"""Nodes compared by themselves, on values drawn for what they read.

What a node does to its input does not depend on where that comes from: if the pruned node and the
masked original's agree on any values, they agree on those of the model. A run of the whole model
shows less: behind what is zero, or saturated, a wrong weight makes no difference, or a small one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wrg_onnx.channels import Axes, alive_ids, traits_of
from wrg_onnx.errors import DataError, ModelError, WrgError
from wrg_onnx.graph import Array, Graph, Node, PartSessions, Shape, element_types
from wrg_onnx.rewrite.readings import CutNode
from wrg_onnx.rewrite.reference import Reference, tells
from wrg_onnx.rewrite.tolerance import difference_of, failure, tolerance_of

MOST_DRAWN_BYTES = 64 << 20
"""How much is drawn for one node at most; one that reads more is not compared by itself."""

FEW = 4
"""How many positions do on an axis of which a node treats all alike."""


@dataclass(frozen=True, slots=True)
class Alone:
    """What came of nodes that were compared by themselves.

    Attributes:
        compared: Their numbers in the graph.
        error: The largest relative difference.
        tensors: How many of their outputs could show one.
    """

    compared: frozenset[int]
    error: float
    tensors: int


def compare_alone(reference: Reference, pruned: Graph, nodes: Sequence[CutNode]) -> Alone:
    """Hold nodes of the pruned graph against those of the masked original.

    Args:
        reference: From ``run_masked``.
        pruned: What ``apply_plan`` made of the original.
        nodes: Which ones. Those are left out that read sizes which the model computes, or too much.

    Raises:
        ValidationError: If what one makes differs by more than rounding, or it does not run.
    """
    if not nodes:
        return Alone(frozenset(), 0.0, 0)
    original = replace(reference, bypassed={}, given={}, branch=None)
    bench = _Bench(original, pruned)
    compared, errors, tensors = set(), [0.0], 0
    for batch in bench.batches(nodes):
        for task, error, telling in bench.compare(batch):
            compared.add(task.node.index)
            errors.append(error)
            tensors += telling
    return Alone(frozenset(compared), max(errors), tensors)


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """A node to compare, and what it reads.

    Attributes:
        node: The node.
        fed: What was drawn, by name.
        names: The outputs to compare.
    """

    node: Node
    fed: dict[str, Array]
    names: list[str]

    @property
    def nbytes(self) -> int:
        """How much was drawn."""
        return sum(array.nbytes for array in self.fed.values())


class _Bench:
    """The masked original and the pruned graph in parts."""

    def __init__(self, reference: Reference, pruned: Graph) -> None:
        graph = reference.graph
        self._reference = reference
        self._masked, self._pruned = PartSessions(reference.masked()), PartSessions(pruned)
        self._alive = alive_ids(reference.plan.units, reference.plan.alive)
        self._read = {name: {*node.inputs} for node in pruned.nodes for name in node.outputs}
        self._counting = {index for index, _ in reference.plan.operands}
        self._copied = {index for index, _ in reference.plan.copies}
        self._types = {value.name: value.dtype for value in graph.inputs} | element_types(graph)
        self._sizes = {name: form.nbytes for name, form in graph.constants.forms.items()}

    def batches(self, nodes: Sequence[CutNode]) -> Iterator[list[_Task]]:
        """Yield the nodes that can be compared, as many at once as have room."""
        batch: list[_Task] = []
        held = 0
        for node in nodes:
            task = self._task(node)
            if task is None:
                continue
            size = task.nbytes + sum(self._sizes.get(name, 0) for name in node.node.inputs)
            if batch and held + size > MOST_DRAWN_BYTES:
                yield batch
                batch, held = [], 0
            batch.append(task)
            held += size
        if batch:
            yield batch

    def _task(self, node: CutNode) -> _Task | None:
        names = [name for name in node.node.outputs if name]
        axes = self._reference.plan.units.axes
        carried = [*node.reads.values(), *(axes[name] for name in names if name in axes)]
        if node.node.index in self._counting and not any(map(self._loses, carried)):
            return None  # what it makes are sizes, and those of the pruned model are others
        fed = self._draw(node)
        # The pruned node may read another tensor there, such as zeros of its own.
        if fed is None or any(not fed.keys() <= self._read.get(name, set()) for name in names):
            return None
        return _Task(node.node, fed, names)

    def _loses(self, axes: Axes) -> bool:
        return not all(self._alive(axes.at(axis)).all() for axis in axes.live())

    def compare(self, batch: Sequence[_Task]) -> Iterator[tuple[_Task, float, int]]:
        """Yield nodes, the difference of their outputs, and how many of these say something.

        Raises:
            ValidationError: As ``compare_alone``.
        """
        wanted: list[tuple[_Task, dict[str, Array]]] = []
        ran = _run(self._masked, [(task.fed, task.names) for task in batch])
        for task, made in zip(batch, ran, strict=True):
            if not isinstance(made, WrgError) and made.keys() == set(task.names):
                kept = self._reference.kept(made)
                if any(np.isfinite(_numbers(array)).any() for array in kept.values()):
                    wanted.append((task, kept))
            # Else it reads more than was drawn, or not what was.
        parts = [(self._reference.kept(task.fed), task.names) for task, _ in wanted]
        for (task, kept), found in zip(wanted, _run(self._pruned, parts), strict=True):
            if isinstance(found, WrgError):
                raise failure(
                    f"{task.node} of the pruned model does not run: {found}", math.inf
                ) from found
            yield task, *_held_against(task, kept, found)

    def _draw(self, node: CutNode) -> dict[str, Array] | None:
        """Draw what a node reads, zero in channels that are gone; None if that is not possible."""
        rng = np.random.default_rng(node.node.index)
        fed: dict[str, Array] = {}
        shapes = _shapes(node)
        size = sum(map(math.prod, shapes.values()))
        if node.node.index in self._copied or 8 * size > MOST_DRAWN_BYTES:
            return None
        for position, axes in node.reads.items():
            name = node.node.inputs[position]
            dtype = self._types.get(name)
            if dtype is None:
                return None
            drawn = _drawn(shapes[position], dtype, _bound(node, position), rng)
            for axis in axes.live():
                # A sum over channels without a weight has lost those that are gone, too.
                drawn[(slice(None),) * axis + (~self._alive(axes.at(axis)),)] = 0
            fed[name] = drawn
        return fed


def _run(
    sessions: PartSessions, parts: Sequence[tuple[Mapping[str, Array], Sequence[str]]]
) -> list[dict[str, Array] | WrgError]:
    """Run parts at once; where one cannot, each by itself, and say which and why."""
    if not parts:
        return []
    try:
        return [*sessions.run_apart(parts, exact=True)]
    except (ModelError, DataError) as error:
        if len(parts) == 1:
            return [error]
    return [found for part in parts for found in _run(sessions, [part])]


def _held_against(
    task: _Task, wanted: Mapping[str, Array], found: Mapping[str, Array]
) -> tuple[float, int]:
    """Return how far what the pruned node makes is from the original's, and how much tells it."""
    worst = 0.0
    for name, array in wanted.items():
        error = difference_of(name, array, found[name])
        if not error <= tolerance_of(array):
            raise failure(
                f"'{name}' differs by {error:.2g} from the masked original where {task.node} "
                f"by itself reads drawn values (tolerance {tolerance_of(array):g})",
                error,
            )
        worst = max(worst, error)
    return worst, sum(map(tells, wanted.values()))


def _numbers(array: Array) -> Array:
    return array if array.dtype.kind == "f" else np.zeros(array.shape)


def _drawn(shape: Shape, dtype: np.dtype[Any], bound: int, rng: np.random.Generator) -> Array:
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) > 0.5)
    if dtype.kind not in "iu":
        return np.asarray(rng.standard_normal(shape, np.float32)).astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    low, high = (0, bound) if bound else (max(limits.min, -128), min(limits.max, 127) + 1)
    return np.asarray(rng.integers(low, high, shape)).astype(dtype)


def _bound(node: CutNode, position: int) -> int:
    """Return below what indices lie that a node looks up; 0 for any other numbers."""
    table = traits_of(node.node).look_ups.get(position)
    if table is None:
        return 0
    shape = node.analysed.call.axes(table).shape
    return shape[node.node.axis("axis", rank=len(shape), default=0)]


def _shapes(node: CutNode) -> dict[int, Shape]:
    """Return how much is drawn of what a node reads: less than a whole map, where that does."""
    shapes = {position: axes.shape for position, axes in node.reads.items()}
    if len(shapes) > 1:
        return shapes
    ((position, axes),) = node.reads.items()
    others = [
        operand.axes
        for place, operand in enumerate(node.analysed.call.inputs)
        if operand is not None and place != position
    ]
    traits = traits_of(node.node)
    least: dict[int, int] = {}
    inert = [axis for axis in range(axes.rank) if axis not in axes.live()]
    if traits.is_pointwise:
        least = {axis: FEW for axis in inert if not any(_spans(x, axes, axis) for x in others)}
    elif traits.gain is not None and traits.layer is None:
        least = dict.fromkeys(inert, FEW)  # it scales and shifts each channel
    elif traits.layer is not None and others[:1] and others[0].rank == 2:
        # Rows of a matrix product; an axis as long as one of the weight's may be summed over.
        weight, *further = others
        rows = [axis for axis in inert if axes.shape[axis] not in weight.shape]
        least = {axis: FEW for axis in rows if not any(_spans(x, axes, axis) for x in further)}
    elif traits.layer is not None and others[:1] and others[0].rank == axes.rank > 2:
        # A window and a step more, of a layer whose weight is (M, C, kernel...).
        steps = node.node.ints("dilations", (1,) * (axes.rank - 2))
        sizes = zip(others[0].shape[2:], steps, strict=True)
        windows = [(size - 1) * step + 1 + FEW for size, step in sizes]
        least = {axis: windows[axis - 2] for axis in inert if axis > 1}
    shape = (min(n, least.get(axis, n)) for axis, n in enumerate(axes.shape))
    return {position: tuple(shape)}


def _spans(other: Axes, axes: Axes, axis: int) -> bool:
    """Tell whether an operand has a length of its own on an axis of another one."""
    place = axis - (axes.rank - other.rank)
    return place >= 0 and other.shape[place] > 1
