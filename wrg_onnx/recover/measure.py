"""One pass over the original: what each layer reads, and what it makes of it, at drawn places.

The covariances serve the choice of what goes (``consumers``) and the first step of recovery
(``first_step``); the rows of what layers make are the goals of its second step (``walk``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wrg_onnx.channels import index_bounds
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.data.saliency_map import read_saliency
from wrg_onnx.errors import StatisticsError
from wrg_onnx.factors import Float64Array, IntArray
from wrg_onnx.graph import (
    Array,
    Graph,
    Provider,
    Shape,
    infer_shapes,
    one_blas_thread,
    open_session,
)  # fmt: skip
from wrg_onnx.progress import Progress, silent
from wrg_onnx.recover.gram_sums import GramSums, Origin, Waiting
from wrg_onnx.recover.grid_sums import GridSums, kernel_of_all_places
from wrg_onnx.recover.layers import LinearLayer, bias_matrix, find_layers, to_matrix
from wrg_onnx.recover.outcome import check_finite
from wrg_onnx.recover.patches import rows_shape, sampled_patches
from wrg_onnx.recover.places import RowOptions, draw_places, object_places
from wrg_onnx.recover.write_weights import current_bias

BOUND_BYTES = 1 << 30
"""How many bytes of the tensors that layers read are held at a time."""

GRAM_BYTES = 1 << 30
"""How many bytes all covariances have together; the choice takes half as much for inverses."""

MOST_ROWS = 4096
ROW_BYTES = 1 << 28
"""From how many rows, and bytes of rows, a layer is solved for that reads too much for this."""

_GEOMETRY = (
    "auto_pad", "dilations", "group", "output_padding", "output_shape", "pads", "strides",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """How layers are measured.

    Attributes:
        provider: Where ONNX Runtime computes.
        rows: Which rows are taken.
    """

    provider: Provider = Provider.CPU
    rows: RowOptions = field(default_factory=RowOptions)


@dataclass(frozen=True, slots=True, eq=False)
class LayerRows:
    """What a layer makes of one sample, at the places that were drawn.

    Attributes:
        shape: The shape of its output without the channels.
        places: (rows,) int64, of the flattened shape.
        goal: (M, rows) float32, what it makes, bias included.
        shortcut: (M, rows) float32, what is added to that; None where nothing is, or it is spread.
    """

    shape: tuple[int, ...]
    places: IntArray
    goal: Array
    shortcut: Array | None


@dataclass(slots=True, eq=False)
class MeasuredLayer:
    """What is known of one layer of the original.

    Attributes:
        layer: The layer.
        weight: Its weight, as in the file.
        bias: (G, M / G) float64.
        sums: Of what it reads; layers that read the same share them. None where they would not fit
            into memory.
        rows: What it makes of each sample, in the order of the data.
    """

    layer: LinearLayer
    weight: Array
    bias: Float64Array
    sums: GramSums | None = None
    rows: list[LayerRows] = field(default_factory=list)

    def matrix(self) -> Float64Array:
        """Return the weight as (G, M / G, D) float64; made anew each time."""
        return to_matrix(self.layer, self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What one pass over a model told.

    Attributes:
        graph: The model.
        layers: What is known of its linear layers, by what they make.
    """

    graph: Graph
    layers: Mapping[str, MeasuredLayer]


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
        _Problem(number, members, graph, len(data), options.rows)
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
        session = open_session(graph, outputs=made, provider=options.provider) if made else None
        for index in range(len(data)):
            feeds = data[index].feeds
            values = {**feeds, **(session.run(feeds) if session else {})}
            if saliency is not None and index not in maps:
                maps[index] = read_saliency(values[saliency.output], saliency)
            alike = _alike(feeds)
            for problem in part:
                problem.add(index, values, maps.get(index), alike)
            progress("measure", index + 1, len(data))
        for problem in part:
            problem.finish()
    return Measured(
        graph, {one.layer.target: one for problem in problems for one in problem.measured}
    )


def sharing_patches(layers: Sequence[LinearLayer], graph: Graph) -> list[tuple[LinearLayer, ...]]:
    """Join the layers that read the same patches of one tensor, such as queries, keys, values."""
    found: dict[tuple[object, ...], list[LinearLayer]] = {}
    for layer in layers:
        key: tuple[object, ...] = (layer.source,)
        if layer.node.op in ("Conv", "ConvTranspose"):
            geometry = (str(layer.node.attributes.get(name)) for name in _GEOMETRY)
            kernel = graph.constants[layer.weight].shape[2:]
            key += (layer.node.op, kernel, *geometry)
        found.setdefault(key, []).append(layer)
    return [tuple(members) for members in found.values()]


def rows_at(layer: LinearLayer, array: Array, places: IntArray) -> Array:
    """Return a layer's output at some places, channels first.

    Args:
        layer: The layer.
        array: (N, M, ...), or (..., M) for Gemm and MatMul.
        places: (rows,) int64, of the flattened shape without the channels.

    Returns:
        (M, rows) float32.
    """
    if layer.axis < 0:
        return np.asarray(array.reshape(-1, array.shape[-1])[places].T, np.float32)
    sample, place = np.divmod(places, math.prod(array.shape[2:]))
    flat = array.reshape(*array.shape[:2], -1)
    return np.asarray(flat[sample, :, place].T, np.float32)


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
        options: RowOptions,
    ) -> None:
        self.measured = [
            MeasuredLayer(
                layer,
                graph.constants[layer.weight],
                bias_matrix(layer, current_bias(graph, layer)),
            )
            for layer in layers
        ]
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
        self._waiting: Waiting | GridSums | None = None
        self._number, self._options = number, options
        self._weight_shape = graph.constants[layers[0].weight].shape
        groups, _, inputs = self._matrices[0][1].shape
        self.gram_bytes = 8 * groups * inputs**2
        self._wanted = math.ceil(inputs * options.per_input / samples)
        if self.gram_bytes > GRAM_BYTES:
            most = min(MOST_ROWS, ROW_BYTES // (4 * inputs))
            self._wanted = min(self._wanted, max(1, most // samples))

    def take_sums(self, sizes: Mapping[str, Shape]) -> None:
        """Add up what is read from now on.

        Args:
            sizes: The shapes of the first sample's tensors, by name.
        """
        groups, _, inputs = self._matrices[0][1].shape
        sums = GramSums.empty(groups, inputs, 0, Origin())
        for one in self.measured:
            one.sums = sums
        layer, rows = self.measured[0].layer, self._options
        kernel = None
        if rows.saliency is None or not rows.at_objects:
            shape = sizes.get(layer.source, ())
            kernel = kernel_of_all_places(layer, self._weight_shape, shape, self._wanted)
        if kernel is None:
            self._waiting = Waiting(sums)
        else:
            self._waiting = GridSums(sums, kernel)
            self.read += [one.layer.target for one in self.measured]

    def finish(self) -> None:
        """Add up what waits, once the last sample was looked at, and let the matrices go."""
        if self._waiting is not None:
            self._waiting.flush()
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
        all_places = isinstance(self._waiting, GridSums)
        wanted = math.prod(once) if all_places else self._wanted
        places = draw_places(once, wanted, objects, options.at_objects, rng)
        patches = sampled_patches(layer, self._weight_shape, x, places)
        check_finite(layer.target, patches)
        if isinstance(self._waiting, GridSums):
            self._waiting.add(patches, once[1:])
        elif self._waiting is not None and len(places):
            self._waiting.add(patches, np.zeros((len(patches), 0, len(places)), np.float32))
        for one, matrix, bias in self._matrices:
            if all_places:  # as many products as the model makes
                goal = rows_at(one.layer, values[one.layer.target], places)
            else:
                goal = (matrix @ patches + bias).reshape(one.layer.width, len(places))
            shortcut, added = values.get(one.layer.shortcut), None
            if shortcut is not None and _is_output(one.layer, shortcut, shape):
                added = rows_at(one.layer, shortcut, places)
            one.rows.append(LayerRows(shape, places, goal, added))


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
