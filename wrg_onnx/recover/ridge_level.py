"""Ridge reconstruction of one level of layers: weights whose output is near the original's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from wrg_onnx.graph import Array
from wrg_onnx.recover.gram_sums import Float64Array, GramSums, Origin, gram_bytes
from wrg_onnx.recover.layers import LinearLayer, from_matrix, to_matrix
from wrg_onnx.recover.outcome import (
    ROWS_DIFFER,
    TOO_FEW_ROWS,
    LayerFit,
    Solved,
    check_finite,
)
from wrg_onnx.recover.paired_run import PairedRun, Values
from wrg_onnx.recover.patches import STRIP_BYTES, patch_strips, rows_shape
from wrg_onnx.recover.ridge import solve
from wrg_onnx.recover.ridge_dual import Rows, solve_rows

HELD_OUT_EVERY = 4
"""Every fourth sample chooses the penalty; of fewer samples, the last one."""

GRAM_BYTES = 1 << 30
"""How many bytes Gram matrices take at a time; a layer above it is solved for from rows."""

ROW_BYTES = 1 << 28
MOST_ROWS = 4096
"""From how many bytes of rows, and how many rows, such a layer is solved for at most."""

_GEOMETRY = (
    "auto_pad", "dilations", "group", "output_padding", "output_shape", "pads", "strides",
)  # fmt: skip


def solve_level(
    run: PairedRun, layers: Sequence[LinearLayer], constants: Values, rng: np.random.Generator
) -> Solved:
    """Solve for the weights and biases whose output is nearest to the original's.

    Args:
        run: At the level of the layers; of at least two samples.
        layers: Layers of one level.
        constants: The weights and biases as they are, by name.
        rng: Chooses rows where not all are used.

    Returns:
        The new weights and biases. A layer whose rows are not those of the original keeps its own.

    Raises:
        StatisticsError: If an input or output is not finite; it names the layer.
    """
    new: dict[str, Array] = {}
    fits: list[LayerFit] = []
    left = Counter[str]()
    problems = [
        _Problem(members, constants, len(run), rng)
        for members in _sharing_patches(layers, constants)
    ]
    for part in _passes(problems):
        members = [layer for problem in part for layer in problem.layers]
        sources = list(dict.fromkeys(layer.source for layer in members))
        for index, (originals, found) in enumerate(run.pairs(members, sources)):
            for problem in part:
                goals = tuple(originals[layer.target] for layer in problem.layers)
                problem.add(index, found[problem.layers[0].source], goals)
        for problem in part:
            reason = problem.why_left()
            if reason:
                left[reason] += len(problem.layers)
            else:
                fits += problem.finish(new)
    return Solved(new, tuple(fits), left)


def _sharing_patches(
    layers: Sequence[LinearLayer], constants: Values
) -> list[tuple[LinearLayer, ...]]:
    """Join the layers that read the same patches of one tensor, such as queries, keys, values."""
    found: dict[tuple[object, ...], list[LinearLayer]] = {}
    for layer in layers:
        key: tuple[object, ...] = (layer.source,)
        if layer.node.op in ("Conv", "ConvTranspose"):
            geometry = (str(layer.node.attributes.get(name)) for name in _GEOMETRY)
            key += (layer.node.op, constants[layer.weight].shape[2:], *geometry)
        found.setdefault(key, []).append(layer)
    return [tuple(members) for members in found.values()]


def _passes(problems: Sequence[_Problem]) -> Iterator[list[_Problem]]:
    """Divide problems so that the Gram matrices of one pass fit their bound."""
    part: list[_Problem] = []
    size = 0
    for problem in problems:
        if part and size + problem.gram_bytes > GRAM_BYTES:
            yield part
            part, size = [], 0
        part.append(problem)
        size += problem.gram_bytes
    yield part


@dataclass(slots=True, eq=False)
class _Waiting:
    """Samples that wait until there are enough for one product."""

    x: list[Array] = field(default_factory=list)
    goals: list[tuple[Array, ...]] = field(default_factory=list)


class _Problem:
    """Layers that read the same patches, and the sums over those."""

    def __init__(
        self,
        layers: tuple[LinearLayer, ...],
        constants: Values,
        samples: int,
        rng: np.random.Generator,
    ) -> None:
        self.layers = layers
        self._constants = constants
        self._samples = samples
        self._matrices = [to_matrix(layer, constants[layer.weight]) for layer in layers]
        groups, _, inputs = self._matrices[0].shape
        outputs = sum(matrix.shape[1] for matrix in self._matrices)
        self.gram_bytes = gram_bytes(groups, inputs)
        self._sizes = (groups, inputs, outputs)
        self._rng = rng
        self._quota = 0  # of rows from each sample, where the layer is solved for from rows
        if self.gram_bytes > GRAM_BYTES and groups == 1:
            rows = min(MOST_ROWS, ROW_BYTES // (4 * inputs))
            self._quota = max(1, rows // samples)
            self.gram_bytes = 0
        self._parts: tuple[GramSums, GramSums] | tuple[Rows, Rows] | None = None
        self._waiting = (_Waiting(), _Waiting())
        self._differs = False  # whether the original makes another number of rows

    def add(self, index: int, x: Array, goals: tuple[Array, ...]) -> None:
        """Add one sample: the layers' input, and what each of them should make of it."""
        first = self.layers[0]
        rows = rows_shape(first, self._constants[first.weight].shape, x.shape)
        self._differs = self._differs or any(_without(y.shape, first.axis) != rows for y in goals)
        if self._differs or not math.prod(rows):
            return
        if first.axis < 0:  # rows of a matrix, however they are arranged
            x = x.reshape(-1, x.shape[-1])
            goals = tuple(y.reshape(-1, y.shape[-1]) for y in goals)
        last = self._samples - 1 if self._samples < HELD_OUT_EVERY else HELD_OUT_EVERY - 1
        which = int(index % HELD_OUT_EVERY == last)
        waiting = self._waiting[which]
        if waiting.x and waiting.x[0].shape[1:] != x.shape[1:]:
            self._flush(which)
        waiting.x.append(x)
        waiting.goals.append(goals)
        inputs = self._matrices[0].shape[2] * self._matrices[0].shape[0]
        if 4 * inputs * math.prod(rows) * len(waiting.x) >= STRIP_BYTES:
            self._flush(which)

    def _flush(self, which: int) -> None:
        """Add the samples that wait to the sums."""
        waiting, part, first = self._waiting[which], self._sums()[which], self.layers[0]
        if not waiting.x:
            return
        x = np.concatenate(waiting.x)
        goals = [np.concatenate(arrays) for arrays in zip(*waiting.goals, strict=True)]
        shape = self._constants[first.weight].shape
        for patches, wanted in patch_strips(first, shape, x, goals):
            if isinstance(part, Rows):
                # The quota is for each sample: a strip gets the share of it that it has of the
                # places of all samples that waited.
                places = goals[0].size // goals[0].shape[first.axis]
                share = self._quota * len(waiting.x) * wanted.shape[2] / places
                part.add(patches, wanted, math.ceil(share))
            else:
                part.add(patches, wanted)
        waiting.x.clear()
        waiting.goals.clear()

    def _sums(self) -> tuple[GramSums, GramSums] | tuple[Rows, Rows]:
        """Return the sums to solve on, and those held out; made when they are first needed."""
        if self._parts is None and self._quota:
            self._parts = (Rows(self._rng), Rows(self._rng))
        elif self._parts is None:
            origin = Origin()
            self._parts = (
                GramSums.empty(*self._sizes, origin), GramSums.empty(*self._sizes, origin)
            )  # fmt: skip
        return self._parts

    def why_left(self) -> str:
        """Say why the layers keep their weights; nothing where they can be solved for."""
        if self._differs:
            self._parts = None
            return ROWS_DIFFER
        self._flush(0)
        self._flush(1)
        return "" if all(part.rows for part in self._sums()) else TOO_FEW_ROWS

    def finish(self, new: dict[str, Array]) -> Iterator[LayerFit]:
        """Solve, once ``why_left`` says nothing, and write new weights and biases into ``new``."""
        matrix = np.concatenate(self._matrices, axis=1)
        bias = np.concatenate([self._bias(layer) for layer in self.layers], axis=1)
        fit, held_out = self._sums()
        self._parts = None  # the matrices are large, and the next pass needs the room
        name = self.layers[0].target
        if isinstance(fit, Rows) and isinstance(held_out, Rows):
            for part in (*fit.arrays(), *held_out.arrays()):
                check_finite(name, part)
            solution = solve_rows(fit, held_out, matrix, bias)
            seen = fit.seen + held_out.seen
        elif isinstance(fit, GramSums) and isinstance(held_out, GramSums):
            check_finite(name, np.concatenate([fit.x, held_out.x, fit.yy, held_out.yy], axis=1))
            solution = solve(fit, held_out, matrix, bias)
            seen = fit.rows + held_out.rows
        # The layers' outputs stand one after the other on axis 1: (G, sum of M / G, D).
        at = 0
        for layer, old in zip(self.layers, self._matrices, strict=True):
            own = slice(at, at + old.shape[1])
            at += old.shape[1]
            weight, values = self._constants[layer.weight], self._constants[layer.bias]
            if solution.penalty is not None:
                new[layer.weight] = from_matrix(layer, solution.matrix[:, own], weight)
            if solution.bias is not bias:
                found = solution.bias[:, own] / layer.beta
                new[layer.bias] = found.reshape(values.shape).astype(values.dtype)
            yield LayerFit(
                layer.target, *solution.shares(own), solution.penalty,
                fit.rows + held_out.rows, seen,
            )  # fmt: skip

    def _bias(self, layer: LinearLayer) -> Float64Array:
        bias = layer.beta * self._constants[layer.bias].astype(np.float64)
        return np.asarray(bias.reshape(layer.group, -1))


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """Return a shape less one of its axes."""
    axis %= len(shape)
    return shape[:axis] + shape[axis + 1 :]
