"""One pass over the original: what each layer reads, and what it makes of it, at drawn places.

The covariances serve the choice of what goes (``consumers``) and the first step of recovery
(``first_step``); the rows of what layers make are the goals of its second step (``walk``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wrg_onnx.channels import draws_random, index_bounds
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.data.saliency_map import read_saliency
from wrg_onnx.errors import StatisticsError
from wrg_onnx.graph import (
    AHEAD_BYTES,
    Array,
    Graph,
    Provider,
    Shape,
    infer_shapes,
    one_blas_thread,
    open_session,
    run_side_by_side,
)
from wrg_onnx.progress import Progress, silent
from wrg_onnx.recover.gram_sums import GramSums, Origin, Waiting
from wrg_onnx.recover.grid_sums import GridSums, kernel_of_all_places
from wrg_onnx.recover.layers import LinearLayer, find_layers, to_matrix
from wrg_onnx.recover.measured import (
    LayerRows,
    Measured,
    MeasuredLayer,
    rows_at,
    sharing_patches,
)
from wrg_onnx.recover.outcome import check_finite
from wrg_onnx.recover.patches import rows_shape, sampled_patches
from wrg_onnx.recover.places import RowOptions, draw_places, object_places

VERSION = 2
"""Raised with every change of what is measured, so that what is kept of before is not read."""

BOUND_BYTES = 1 << 30
"""How many bytes of the tensors that layers read are held at a time."""

GRAM_BYTES = 1 << 30
"""How many bytes all covariances have together; the choice takes half as much for inverses."""

MOST_ROWS = 4096
ROW_BYTES = 1 << 28
"""From how many rows, and bytes of rows, a layer is solved for that reads too much for this."""


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """How layers are measured.

    Attributes:
        provider: Where ONNX Runtime computes.
        rows: Which rows are taken.
        halves: Whether covariances are kept of a half of the samples, drawn by the seed of the
            rows, beside those of all: to see how far a choice depends on which samples it saw.
    """

    provider: Provider = Provider.CPU
    rows: RowOptions = field(default_factory=RowOptions)
    halves: bool = False


@one_blas_thread()
def measure_layers(
    graph: Graph, data: DataSet, options: MeasureOptions, *, progress: Progress = silent
) -> Measured:
    """Run a model on each sample, and look at each of its linear layers at some places.

    Args:
        graph: The model.
        data: The samples, read one at a time.
        options: Where, and at which places.
        progress: Told how many samples are done.

    Returns:
        What was found. Covariances are taken of the layers that read least, until ``GRAM_BYTES``
        are full.

    Raises:
        StatisticsError: If there is no sample, or a layer reads NaN or infinity.
    """
    if not len(data):
        raise StatisticsError("there is no image to take what layers read from")
    problems = [
        _Problem(number, members, graph, len(data), options)
        for number, members in enumerate(sharing_patches(find_layers(graph).layers, graph))
    ]
    shapes = {name: array.shape for name, array in data[0].feeds.items()}
    sizes = infer_shapes(graph, shapes, index_bounds(graph))
    _give_sums(problems, sizes)
    saliency = options.rows.saliency
    fed = {value.name for value in graph.inputs}
    maps: dict[int, Array] = {}
    for part in _parts(problems, sizes):
        names = dict.fromkeys(name for problem in part for name in problem.read)
        if saliency is not None and not maps:
            names[saliency.output] = None
        made = [name for name in names if name not in fed]
        for index, values in enumerate(_values(graph, made, data, options.provider)):
            if saliency is not None and index not in maps:
                maps[index] = read_saliency(values[saliency.output], saliency)
            alike = _alike({name: values[name] for name in fed})
            for problem in part:
                problem.add(index, values, maps.get(index), alike)
            progress("measure", index + 1, len(data))
        for problem in part:
            problem.finish()
    return Measured(
        graph, {one.layer.target: one for problem in problems for one in problem.measured}
    )


def _values(
    graph: Graph, made: Sequence[str], data: DataSet, provider: Provider
) -> Iterator[dict[str, Array]]:
    """Yield what each sample feeds the model, and what this makes of it."""
    feeds = (data[index].feeds for index in range(len(data)))
    if not made:
        yield from (dict(one) for one in feeds)
        return
    session = open_session(graph, outputs=made, provider=provider, one_thread=True)
    ahead = 0 if draws_random(graph) else AHEAD_BYTES
    for one, found in run_side_by_side(session, feeds, ahead_bytes=ahead):
        yield {**one, **found}


def _give_sums(problems: Sequence[_Problem], sizes: Mapping[str, Shape]) -> None:
    """Let those that read least take covariances, as many as fit."""
    left = GRAM_BYTES
    for problem in sorted(problems, key=lambda problem: problem.gram_bytes):
        left -= problem.gram_bytes
        if left < 0:
            break
        problem.take_sums(sizes)


def _parts(problems: Sequence[_Problem], sizes: Mapping[str, Shape]) -> Iterator[list[_Problem]]:
    """Divide the layers so that what one sample gives them to read fits into memory."""
    part: list[_Problem] = []
    size = 0
    for problem in problems:
        own = sum(4 * math.prod(sizes.get(name, ())) for name in problem.read)
        if part and size + own > BOUND_BYTES:
            yield part
            part, size = [], 0
        part.append(problem)
        size += own
    if part:
        yield part


class _Problem:
    """Layers that read the same patches."""

    def __init__(
        self,
        number: int,
        layers: Sequence[LinearLayer],
        graph: Graph,
        samples: int,
        options: MeasureOptions,
    ) -> None:
        self.measured = [MeasuredLayer.of(graph, layer) for layer in layers]
        self.read = list(
            dict.fromkeys(n for x in layers for n in (x.source, x.shortcut) if n)
        )  # fmt: skip
        self._matrices = [
            (
                one,
                to_matrix(one.layer, one.weight, np.float32),
                one.bias[..., None].astype(np.float32),
            )
            for one in self.measured
        ]
        self._waiting: Sequence[Waiting | GridSums] = ()
        self._half = _halves(samples, options.rows.seed) if options.halves else [0] * samples
        self._number, self._options = number, options.rows
        self._weight_shape = graph.constants.forms[layers[0].weight].shape
        groups, _, inputs = self._matrices[0][1].shape
        self.gram_bytes = 8 * groups * inputs**2
        self._wanted = math.ceil(inputs * options.rows.per_input / samples)
        if self.gram_bytes > GRAM_BYTES:
            most = min(MOST_ROWS, ROW_BYTES // (4 * inputs))
            self._wanted = min(self._wanted, max(1, most // samples))

    def take_sums(self, sizes: Mapping[str, Shape]) -> None:
        """Add up what is read from now on.

        Args:
            sizes: The shapes of the first sample's tensors, by name.
        """
        groups, _, inputs = self._matrices[0][1].shape
        origin = Origin()
        parts = [GramSums.empty(groups, inputs, 0, origin) for _ in range(max(self._half) + 1)]
        for one in self.measured:
            one.sums = parts[0]
            one.halves = tuple(parts) if len(parts) > 1 else ()
        layer, rows = self.measured[0].layer, self._options
        kernel = None
        if rows.saliency is None or not rows.at_objects:
            shape = sizes.get(layer.source, ())
            kernel = kernel_of_all_places(layer, self._weight_shape, shape, self._wanted)
        if kernel is None:
            self._waiting = [Waiting(part) for part in parts]
        else:
            self._waiting = [GridSums(part, kernel) for part in parts]
            self.read += [one.layer.target for one in self.measured]

    def finish(self) -> None:
        """Add up what waits, once the last sample was looked at, and let the matrices go."""
        for waiting in self._waiting:
            waiting.flush()
        halves = self.measured[0].halves
        if halves:
            whole = halves[0].joined(halves[1])
            for one in self.measured:
                one.sums = whole
        self._matrices = []

    def add(
        self, index: int, values: Mapping[str, Array], saliency: Array | None, alike: int
    ) -> None:
        """Look at one sample.

        Args:
            index: Its number.
            values: What the model read and made of it.
            saliency: (H, W), the model's own saliency map; None if there is none.
            alike: How many times the sample holds the same; it is looked at once.
        """
        options = self._options
        layer = self.measured[0].layer
        x = values[layer.source]
        shape = rows_shape(layer, self._weight_shape, x.shape)
        once = (1, *shape[1:]) if shape[:1] == (alike,) else shape
        objects = np.zeros(0, np.int64)
        if saliency is not None and options.at_objects:
            objects = object_places(saliency, options.threshold, once)
        # Whatever else is looked at, a layer sees a sample at the same places.
        rng = np.random.default_rng((options.seed, self._number, index))
        waiting = self._waiting[self._half[index]] if self._waiting else None
        all_places = isinstance(waiting, GridSums)
        wanted = math.prod(once) if all_places else self._wanted
        places = draw_places(once, wanted, objects, options.at_objects, rng)
        patches = sampled_patches(layer, self._weight_shape, x, places)
        check_finite(layer.target, patches)
        if isinstance(waiting, GridSums):
            waiting.add(patches, once[1:])
        elif waiting is not None and len(places):
            waiting.add(patches, np.zeros((len(patches), 0, len(places)), np.float32))
        for one, matrix, bias in self._matrices:
            if all_places:  # as many products as the model makes
                goal = rows_at(one.layer, values[one.layer.target], places)
            else:
                with np.errstate(over="ignore"):  # whoever reads it says so
                    made = matrix @ patches + bias
                goal = made.reshape(one.layer.width, len(places))
            shortcut, added = values.get(one.layer.shortcut), None
            if shortcut is not None and _is_output(one.layer, shortcut, shape):
                added = rows_at(one.layer, shortcut, places)
            one.rows.append(LayerRows(shape, places, goal, added))


def _halves(samples: int, seed: int) -> list[int]:
    """Say of each sample in which half it is, 0 or 1."""
    order = np.random.default_rng(seed).permutation(samples)
    return [int(place >= samples // 2) for place in order]


def _alike(feeds: Mapping[str, Array]) -> int:
    """Return how many times a batch holds the same sample; 1 unless all of it is the same."""
    sizes = {array.shape[0] if array.ndim else 1 for array in feeds.values()}
    if len(sizes) != 1 or 0 in sizes:
        return 1
    return sizes.pop() if all((array == array[:1]).all() for array in feeds.values()) else 1


def _is_output(layer: LinearLayer, array: Array, shape: tuple[int, ...]) -> bool:
    """Tell whether a tensor has the shape of a layer's output."""
    axis = layer.axis % array.ndim if array.ndim else 0
    return array.shape[axis : axis + 1] == (layer.width,) and (
        array.shape[:axis] + array.shape[axis + 1 :] == shape
    )
