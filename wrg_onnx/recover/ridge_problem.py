"""The rows of layers that read the same patches, and the weights that they are solved for from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from wrg_onnx.factors import Float64Array
from wrg_onnx.graph import Array, Graph
from wrg_onnx.graph.difference import gap_and_scale
from wrg_onnx.recover.gram_sums import GramSums, Origin, Waiting, gram_bytes, most_rows
from wrg_onnx.recover.layers import LinearLayer, bias_matrix, from_matrix, to_matrix
from wrg_onnx.recover.measured import Measured, rows_at
from wrg_onnx.recover.outcome import ROWS_DIFFER, TOO_FEW_ROWS, LayerFit, check_finite
from wrg_onnx.recover.patches import rows_shape, sampled_patches
from wrg_onnx.recover.ridge import Solution, solve
from wrg_onnx.recover.ridge_dual import Rows, best_gain, solve_rows
from wrg_onnx.recover.rows_left import left_of, places_left
from wrg_onnx.recover.walk import Walk

HELD_OUT_EVERY = 4
"""Every fourth sample chooses the penalty; of fewer samples, the last one."""

GRAM_BYTES = 1 << 30
"""How many bytes Gram matrices take at a time; a layer above it is solved for from rows."""

KERNEL_BYTES = 1 << 30
"""How many bytes are taken there: of more rows than that allows some are drawn."""

FEW_ROWS = 2
"""A layer that reads as many numbers for each of its rows is solved for from rows, too."""

WIDE = 1024
"""From how many numbers on that a layer reads a few of its rows are tried before all are."""

TRIED_ROWS = 2048
"""How many these are."""

LEAST_GAIN = 0.01
"""By which share these must lower the error so that a wide layer is solved for from all."""

_SAME = 1e-5
"""A layer whose output differs by less than this is reached by no removed channel."""

_LOOKED_AT = 8
"""How many samples tell whether a layer is reached: a blank one need not."""


class Problem:
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
        self._most: int | None = None  # rows of a sample
        # A kernel of all rows is the smaller one if there are few, and the only one if D is large.
        if groups == 1 and (self.gram_bytes > GRAM_BYTES or FEW_ROWS * rows <= inputs):
            if rows > most_rows(KERNEL_BYTES):
                self._most = max(1, most_rows(KERNEL_BYTES) // len(walk))
            self.gram_bytes = 0
            self._parts: tuple[Waiting, Waiting] | tuple[Rows, Rows] | None = (Rows(), Rows())
        else:
            self._parts = None
        self._differs = False  # whether the original makes another number of rows
        self._seen = 0
        last = len(walk) - 1 if len(walk) < HELD_OUT_EVERY else HELD_OUT_EVERY - 1
        self._is_held_out = [index % HELD_OUT_EVERY == last for index in range(len(walk))]

    @property
    def is_wide(self) -> bool:
        """Whether its layers read so much that a trial takes less than all rows do."""
        return self._parts is None and self._sizes[0] == 1 and self._sizes[1] >= WIDE

    def is_reached(self) -> bool:
        """Tell whether any output is no longer the original's, judged by a few samples."""
        matrix, bias = self._joined(self._constants, np.float32)
        for index, values in enumerate(self._walk.seen(self.read)):
            if index == _LOOKED_AT:
                break
            rows = self._pair(index, values)
            if rows is None:
                return True
            patches, goals = rows
            check_finite(self.layers[0].target, patches)
            found = matrix @ patches + bias[..., None].astype(np.float32)
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
        rows = self._pair(index, values, self._most)
        if rows is None:
            self._differs = True
            return
        patches, goals = rows
        if not patches.shape[2]:
            return
        self._seen += int(np.prod(self._rows[0][index].shape))
        self._sums()[int(self._is_held_out[index])].add(patches, goals)

    def _pair(
        self, index: int, values: Mapping[str, Array], most: int | None = None
    ) -> tuple[Array, Array] | None:
        """Return patches and what should become of them; nothing if the rows are others.

        Args:
            index: The number of the sample.
            values: The tensors that are read.
            most: How many rows are taken at most, drawn from all; None for all.

        Returns:
            (G, D, rows) and (G, sum of M / G, rows), float32.
        """
        x, first = values[self.layers[0].source], self._rows[0][index]
        shape = rows_shape(self.layers[0], self._weight_shape, x.shape)
        found = places_left(first, self.layers[0], shape)
        if found is None:
            return None
        chosen, places = found
        if most is not None and most < len(places):
            rng = np.random.default_rng(index)
            drawn = np.sort(rng.choice(len(places), most, replace=False))
            chosen, places = np.arange(len(first.places))[chosen][drawn], places[drawn]
        patches = sampled_patches(self.layers[0], self._weight_shape, x, places)
        goals = []
        for layer, rows, name in zip(self.layers, self._rows, self._shortcuts, strict=True):
            goal = left_of(layer, rows[index].goal, chosen)
            shortcut = rows[index].shortcut
            if name and shortcut is not None:
                goal = (
                    goal + left_of(layer, shortcut, chosen) - rows_at(layer, values[name], places)
                )
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

    def finish_wide(self, new: dict[str, Array]) -> list[LayerFit]:
        """Finish wide layers whose weights are best as they are, judged by a few of their rows.

        Their biases may move, and their outputs be spread out, as after a solution from all rows.

        Args:
            new: Gets new weights and biases, by name.

        Returns:
            What became of the layers; nothing where these rows gain so much that all are needed.
        """
        fit, held_out = Rows(), Rows()
        seen, most = 0, -(-TRIED_ROWS // len(self._walk))
        for index, values in enumerate(self._walk.seen(self.read)):
            rows = self._pair(index, values, most)
            if rows is None:
                return []
            (held_out if self._is_held_out[index] else fit).add(*rows)
            seen += math.prod(self._rows[0][index].shape)
        if not fit.rows or not held_out.rows:
            return []
        self._check(fit, held_out)
        old = self._joined(self._constants)
        if best_gain(fit, held_out, old[0]) > LEAST_GAIN:
            return []
        self._seen = seen
        solution = solve_rows(fit, held_out, *old, penalties=())
        return self._written(solution, old, (fit, held_out), new)

    def finish(self, new: dict[str, Array]) -> list[LayerFit]:
        """Solve, once ``why_left`` says nothing, and write new weights and biases into ``new``."""
        old = self._joined(self._constants)
        fit, held_out = self._complete()
        self._parts = None  # the matrices are large, and the next pass needs the room
        self._check(fit, held_out)
        if isinstance(fit, Rows) and isinstance(held_out, Rows):
            return self._written(solve_rows(fit, held_out, *old), old, (fit, held_out), new)
        assert isinstance(fit, GramSums)
        assert isinstance(held_out, GramSums)
        return self._written(solve(fit, held_out, *old), old, (fit, held_out), new)

    def _check(self, fit: GramSums | Rows, held_out: GramSums | Rows) -> None:
        """Refuse NaN and infinity."""
        for part in (fit, held_out):
            sums = part.arrays() if isinstance(part, Rows) else (part.x, part.yy)
            for one in sums:
                check_finite(self.layers[0].target, one)

    def _written(
        self,
        solution: Solution,
        old: tuple[Float64Array, Float64Array],
        parts: tuple[GramSums, GramSums] | tuple[Rows, Rows],
        new: dict[str, Array],
    ) -> list[LayerFit]:
        """Write a solution into ``new``, but for what is as it was, and say what it does.

        Args:
            solution: The new weights and biases, of all layers.
            old: The weights and biases as they were.
            parts: The rows it was solved for from, and those held out.
            new: Gets them, by name.
        """
        fit, held_out = parts
        matrix, bias = old
        before = held_out.error(*self._joined(self._graph.constants))
        fits = []
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
            fits.append(
                LayerFit(
                    layer.target,
                    float(before[:, own].sum()) / spread,
                    float(solution.after[:, own].sum()) / spread,
                    solution.penalty,
                    fit.rows + held_out.rows,
                    self._seen,
                )
            )
        return fits

    def _joined(
        self, constants: Mapping[str, Array], dtype: type[np.floating] = np.float64
    ) -> tuple[Array, Float64Array]:
        """Return the weights and biases of all layers, (G, sum of M / G, D) and without the D."""
        matrices = [to_matrix(layer, constants[layer.weight], dtype) for layer in self.layers]
        biases = [bias_matrix(layer, constants[layer.bias]) for layer in self.layers]
        return np.concatenate(matrices, axis=1), np.concatenate(biases, axis=1)
