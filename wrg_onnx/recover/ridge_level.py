"""Ridge reconstruction of one level of layers: weights whose output is near the original's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from wrg_onnx.factors import Float64Array, IntArray
from wrg_onnx.graph import Array, Graph
from wrg_onnx.graph.difference import gap_and_scale
from wrg_onnx.recover.gram_sums import GramSums, Origin, Waiting, gram_bytes
from wrg_onnx.recover.layers import LinearLayer, bias_matrix, from_matrix, to_matrix
from wrg_onnx.recover.measure import LayerRows, Measured, rows_at, sharing_patches
from wrg_onnx.recover.outcome import (
    ROWS_DIFFER,
    TOO_FEW_ROWS,
    LayerFit,
    Solved,
    check_finite,
)
from wrg_onnx.recover.patches import rows_shape, sampled_patches
from wrg_onnx.recover.ridge import solve
from wrg_onnx.recover.ridge_dual import Rows, solve_rows
from wrg_onnx.recover.walk import Walk

HELD_OUT_EVERY = 4
"""Every fourth sample chooses the penalty; of fewer samples, the last one."""

GRAM_BYTES = 1 << 30
"""How many bytes Gram matrices take at a time; a layer above it is solved for from rows."""

FEW_ROWS = 2
"""A layer that reads as many numbers for each of its rows is solved for from rows, too."""

_SAME = 1e-5
"""A layer whose output differs by less than this is reached by no removed channel."""

_LOOKED_AT = 8
"""How many samples tell whether a layer is reached: a blank one need not."""


def solve_level(
    walk: Walk,
    measured: Measured,
    layers: Sequence[LinearLayer],
    graph: Graph,
    constants: Mapping[str, Array],
) -> Solved:
    """Solve for the weights and biases whose output is nearest to the original's.

    Args:
        walk: At the level of the layers.
        measured: What the layers made in the original, at which places.
        layers: Layers of one level.
        graph: The pruned model, with the weights and biases as the cut left them.
        constants: The weights and biases as they are, by name.

    Returns:
        The new weights and biases. A layer whose output is the original's, or whose rows are not
        those of the original, keeps its own.

    Raises:
        StatisticsError: If an input or output is not finite; it names the layer.
    """
    new: dict[str, Array] = {}
    fits: list[LayerFit] = []
    left = Counter[str]()
    known = [layer for layer in layers if layer.target in measured.layers]
    problems = [
        _Problem(members, graph, constants, measured, walk)
        for members in sharing_patches(known, graph)
    ]
    problems = [problem for problem in problems if problem.is_reached()]
    for part in _passes(problems):
        names = list(dict.fromkeys(name for problem in part for name in problem.read))
        for index, values in enumerate(walk.seen(names)):
            for problem in part:
                problem.add(index, values)
        for problem in part:
            reason = problem.why_left()
            if reason:
                left[reason] += len(problem.layers)
            else:
                fits += problem.finish(new)
    return Solved(new, tuple(fits), left)


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
    if part:
        yield part


class _Problem:
    """Layers that read the same patches, and the sums over those.

    Attributes:
        layers: The layers.
        read: The tensors that are looked at: what they read, and what is added to their outputs.
        gram_bytes: What its Gram matrices take.
    """

    def __init__(
        self,
        layers: Sequence[LinearLayer],
        graph: Graph,
        constants: Mapping[str, Array],
        measured: Measured,
        walk: Walk,
    ) -> None:
        self.layers = layers
        self._graph, self._constants = graph, constants
        self._rows = [measured.layers[layer.target].rows for layer in layers]
        self._walk = walk
        # A shortcut that is made before the level: the layer makes up for what it lacks, too.
        self._shortcuts = [
            layer.shortcut if layer.shortcut and walk.is_behind(layer.shortcut, layer) else ""
            for layer in layers
        ]
        self.read = [layers[0].source, *filter(None, self._shortcuts)]
        weight, groups = constants[layers[0].weight], layers[0].group
        self._weight_shape = weight.shape
        inputs = weight.size // layers[0].width
        self._sizes = (groups, inputs, sum(layer.width // groups for layer in layers))
        self.gram_bytes = gram_bytes(groups, inputs)
        rows = sum(len(one.places) for one in self._rows[0][: len(walk)])
        # A kernel of all rows is the smaller one if there are few, and the only one if D is large.
        if groups == 1 and (self.gram_bytes > GRAM_BYTES or FEW_ROWS * rows <= inputs):
            self.gram_bytes = 0
            self._parts: tuple[Waiting, Waiting] | tuple[Rows, Rows] | None = (Rows(), Rows())
        else:
            self._parts = None
        self._differs = False  # whether the original makes another number of rows
        self._seen = 0

    def is_reached(self) -> bool:
        """Tell whether any output is no longer the original's, judged by a few samples."""
        matrix, bias = self._joined(self._constants)
        for index, values in enumerate(self._walk.seen(self.read)):
            if index == _LOOKED_AT:
                break
            rows = self._pair(index, values)
            if rows is None:
                return True
            patches, goals = rows
            check_finite(self.layers[0].target, patches)
            found = matrix.astype(np.float32) @ patches + bias[..., None].astype(np.float32)
            gap, scale = gap_and_scale(goals, found)
            if not gap <= _SAME * scale:
                return True
        return False

    def add(self, index: int, values: Mapping[str, Array]) -> None:
        """Add one sample.

        Args:
            index: Its number.
            values: The tensors that are read.
        """
        rows = self._pair(index, values)
        if rows is None:
            self._differs = True
            return
        patches, goals = rows
        if not patches.shape[2]:
            return
        self._seen += int(np.prod(self._rows[0][index].shape))
        samples = len(self._walk)
        last = samples - 1 if samples < HELD_OUT_EVERY else HELD_OUT_EVERY - 1
        self._sums()[int(index % HELD_OUT_EVERY == last)].add(patches, goals)

    def _pair(self, index: int, values: Mapping[str, Array]) -> tuple[Array, Array] | None:
        """Return patches and what should become of them; nothing if the rows are others.

        Returns:
            (G, D, rows) and (G, sum of M / G, rows), float32.
        """
        x, first = values[self.layers[0].source], self._rows[0][index]
        shape = rows_shape(self.layers[0], self._weight_shape, x.shape)
        found = _places_left(first, self.layers[0], shape)
        if found is None:
            return None
        chosen, places = found
        patches = sampled_patches(self.layers[0], self._weight_shape, x, places)
        goals = []
        for layer, rows, name in zip(self.layers, self._rows, self._shortcuts, strict=True):
            goal = _left(layer, rows[index].goal, chosen)
            shortcut = rows[index].shortcut
            if name and shortcut is not None:
                goal = goal + _left(layer, shortcut, chosen) - rows_at(layer, values[name], places)
            goals.append(goal.reshape(layer.group, len(goal) // layer.group, len(places)))
        return patches, np.concatenate(goals, axis=1)

    def _sums(self) -> tuple[Waiting, Waiting] | tuple[Rows, Rows]:
        """Return the sums to solve on, and those held out; made when they are first needed."""
        if self._parts is None:
            origin = Origin()
            self._parts = (
                Waiting(GramSums.empty(*self._sizes, origin)),
                Waiting(GramSums.empty(*self._sizes, origin)),
            )
        return self._parts

    def _complete(self) -> tuple[GramSums, GramSums] | tuple[Rows, Rows]:
        """Return the same with all rows in them."""
        fit, held_out = self._sums()
        if isinstance(fit, Rows) or isinstance(held_out, Rows):
            assert isinstance(fit, Rows)
            assert isinstance(held_out, Rows)
            return fit, held_out
        fit.flush()
        held_out.flush()
        return fit.sums, held_out.sums

    def why_left(self) -> str:
        """Say why the layers keep their weights; nothing where they can be solved for."""
        if self._differs:
            self._parts = None
            return ROWS_DIFFER
        return "" if all(part.rows for part in self._complete()) else TOO_FEW_ROWS

    def finish(self, new: dict[str, Array]) -> Iterator[LayerFit]:
        """Solve, once ``why_left`` says nothing, and write new weights and biases into ``new``."""
        matrix, bias = self._joined(self._constants)
        cut_matrix, cut_bias = self._joined(self._graph.constants)
        fit, held_out = self._complete()
        self._parts = None  # the matrices are large, and the next pass needs the room
        name = self.layers[0].target
        if isinstance(fit, Rows) and isinstance(held_out, Rows):
            for part in (*fit.arrays(), *held_out.arrays()):
                check_finite(name, part)
            solution = solve_rows(fit, held_out, matrix, bias)
            before = held_out.error(cut_matrix, cut_bias)
        elif isinstance(fit, GramSums) and isinstance(held_out, GramSums):
            check_finite(name, np.concatenate([fit.x, held_out.x, fit.yy, held_out.yy], axis=1))
            solution = solve(fit, held_out, matrix, bias)
            before = held_out.error(cut_matrix, cut_bias)
        # The layers' outputs stand one after the other on axis 1: (G, sum of M / G, D).
        at = 0
        for layer in self.layers:
            own = slice(at, at + layer.width // layer.group)
            at = own.stop
            weight, values = self._constants[layer.weight], self._constants[layer.bias]
            if solution.matrix is not matrix:
                new[layer.weight] = from_matrix(layer, solution.matrix[:, own], weight)
            if solution.bias is not bias:
                found = solution.bias[:, own] / layer.beta
                new[layer.bias] = found.reshape(values.shape).astype(values.dtype)
            spread = float(solution.spread[:, own].sum()) or 1.0
            yield LayerFit(
                layer.target,
                float(before[:, own].sum()) / spread,
                float(solution.after[:, own].sum()) / spread,
                solution.penalty,
                fit.rows + held_out.rows,
                self._seen,
            )

    def _joined(self, constants: Mapping[str, Array]) -> tuple[Float64Array, Float64Array]:
        """Return the weights and biases of all layers, (G, sum of M / G, D) and without the D."""
        matrices = [to_matrix(layer, constants[layer.weight]) for layer in self.layers]
        biases = [bias_matrix(layer, constants[layer.bias]) for layer in self.layers]
        return np.concatenate(matrices, axis=1), np.concatenate(biases, axis=1)


def _places_left(
    rows: LayerRows, layer: LinearLayer, shape: tuple[int, ...]
) -> tuple[IntArray | slice, IntArray] | None:
    """Find the places that are left in the pruned model.

    Tokens may be gone, too: these stand on another axis than the layer's channels.

    Args:
        rows: What was measured in the original.
        layer: The layer of the pruned model.
        shape: The shape of its output without the channels.

    Returns:
        Which of the rows are left, and their places in the flattened shape; nothing where the shape
        is not that of the original less what is gone.
    """
    kept, rank = layer.kept, len(shape) + 1
    axis = kept.axis
    if kept.is_whole or (layer.axis < 0 and axis == rank - 1) or axis == layer.axis:
        return (slice(None), rows.places) if shape == rows.shape else None
    axis -= int(layer.axis >= 0 and axis > layer.axis)
    at = list(np.unravel_index(rows.places, rows.shape))
    chosen = np.flatnonzero(np.isin(at[axis], kept.positions))
    wanted = (*rows.shape[:axis], len(kept.positions), *rows.shape[axis + 1 :])
    if shape != wanted:
        return None
    index = [part[chosen] for part in at]
    index[axis] = np.searchsorted(kept.positions, index[axis])
    return chosen, np.ravel_multi_index(tuple(index), shape)


def _left(layer: LinearLayer, array: Array, chosen: IntArray | slice) -> Array:
    """Take the channels and rows that are left of what the original made, (M, rows)."""
    array = array[:, chosen]
    return array[layer.kept.positions] if len(array) != layer.width else array
