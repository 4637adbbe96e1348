"""What the layers of a model read, measured on images: what ``select.repair`` chooses by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from wrg_onnx.calibrate import constant_numbers
from wrg_onnx.channels import Units
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.errors import StatisticsError
from wrg_onnx.factors import Consumer, Float64Array, IntArray
from wrg_onnx.graph import Array, Provider, open_session
from wrg_onnx.progress import Progress, silent
from wrg_onnx.recover.layers import LinearLayer, find_layers, to_matrix
from wrg_onnx.recover.outcome import check_finite
from wrg_onnx.recover.patches import rows_shape, sampled_patches
from wrg_onnx.rewrite import find_kept_channels

ROWS_PER_INPUT = 40
"""How many rows are drawn for each number that a layer reads, over all images."""

BOUND_BYTES = 1 << 30
"""How many bytes of the tensors that layers read are held at a time."""

GRAM_BYTES = 1 << 30
"""How many bytes all covariances have together; the choice takes as much again for inverses."""


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """How consumers are measured.

    Attributes:
        provider: Where ONNX Runtime computes.
        rows_per_input: How many rows are drawn for each number that a layer reads.
        seed: Chooses the rows.
    """

    provider: Provider = Provider.CPU
    rows_per_input: int = ROWS_PER_INPUT
    seed: int = 0


def measure_consumers(
    units: Units, data: DataSet, options: ConsumerOptions, *, progress: Progress = silent
) -> list[Consumer]:
    """Take the covariance of what each layer reads, in the original model.

    Layers that `reconstruct` could solve for are measured, group by group, those that read least
    first, until ``GRAM_BYTES`` are taken. Of all other constants that are summed over (quantised,
    shared, recurrent ...) the sizes of the weights are all that is known: these have no ``gram``.
    So it is with a layer that a single row was drawn for, since that tells no variance.

    Args:
        units: The analysis of the model.
        data: The calibration samples, read one at a time.
        options: Where, and from how many rows.
        progress: Told how many samples are done.

    Returns:
        The consumers, in the order of the graph; those that no unit passes are left out.

    Raises:
        StatisticsError: If there is no sample, or a layer reads NaN or infinity.
    """
    if not len(data):
        raise StatisticsError("there is no image to take what layers read from")
    everything = find_kept_channels(units, np.ones(units.count, bool))
    layers = [
        layer
        for layer in find_layers(units.graph, everything).layers
        if (_inputs(units, layer) >= 0).any()
    ]
    layers = _within(units, layers, GRAM_BYTES)
    sums = [_Sums(layer, units, len(data), options) for layer in layers]
    parts = list(_parts(units, layers))
    for part in parts:
        sources = list(dict.fromkeys(layers[number].source for number in part))
        fed = {value.name for value in units.graph.inputs}
        made = [name for name in sources if name not in fed]
        session = open_session(units.graph, outputs=made, provider=options.provider)
        for index in range(len(data)):
            feeds = data[index].feeds
            values = {**feeds, **session.run(feeds)} if made else feeds
            for number in part:
                sums[number].add(values[layers[number].source])
            progress("consumers", index + 1, len(data))
    measured = [consumer for one in sums for consumer in one.consumers()]
    return [*measured, *_unmeasured(units, {layer.weight for layer in layers})]


def _within(units: Units, layers: Sequence[LinearLayer], bound: int) -> list[LinearLayer]:
    """Return the layers whose covariances fit together into a bound, in the order given."""
    sizes = {}
    for layer in layers:
        sizes[layer.target] = 8 * layer.group * _depth(units, layer) ** 2
    left, chosen = bound, set()
    for layer in sorted(layers, key=lambda layer: sizes[layer.target]):
        if sizes[layer.target] > left:
            break
        left -= sizes[layer.target]
        chosen.add(layer.target)
    return [layer for layer in layers if layer.target in chosen]


def _parts(units: Units, layers: Sequence[LinearLayer]) -> Iterator[list[int]]:
    """Divide the layers so that what one sample gives them to read fits into memory."""
    part: list[int] = []
    size = 0
    for number, layer in enumerate(layers):
        own = 4 * math.prod(units.axes[layer.source].shape)
        if part and size + own > BOUND_BYTES:
            yield part
            part, size = [], 0
        part.append(number)
        size += own
    if part:
        yield part


def _depth(units: Units, layer: LinearLayer) -> int:
    """Return how many numbers each output of a layer reads."""
    return units.constants[layer.weight].size // layer.width


def _inputs(units: Units, layer: LinearLayer) -> IntArray:
    """Return the unit of each channel that the weight sums over, (C / G,)."""
    return units.of(units.axes[layer.weight].at(layer.input_axis))


def _unmeasured(units: Units, measured: set[str]) -> Iterator[Consumer]:
    """Yield the other constants that are summed over.

    All that counts of their weights is the size of each column, so each is one row of these.
    """
    numbers = constant_numbers(units)
    for name, slots in units.slots_of.items():
        if name in measured:
            continue
        for slot in slots:
            ids = slice(slot.offset, slot.offset + slot.size)
            array = numbers(name) if units.is_consumed[ids].any() else None
            if array is None:
                continue
            columns = np.moveaxis(array, slot.axis, 0).reshape(slot.size, -1)
            sizes = np.sqrt(np.einsum("dm,dm->d", columns, columns))
            yield Consumer(name, sizes[None], None, units.slot_units(slot), np.full(1, -1))


@dataclass(slots=True, eq=False)
class _Sums:
    """The sums over the rows of one layer, (G, D) and (G, D, D), about the mean of the first."""

    layer: LinearLayer
    units: Units
    samples: int
    options: ConsumerOptions
    rows: int = 0
    origin: Array | None = None
    x: Float64Array = field(default_factory=lambda: np.zeros(0))
    xx: Float64Array = field(default_factory=lambda: np.zeros(0))
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.options.seed)

    def add(self, x: Array) -> None:
        """Add some rows of one sample."""
        weight = self.units.constants[self.layer.weight]
        depth = _depth(self.units, self.layer)
        places = math.prod(rows_shape(self.layer, weight.shape, x.shape))
        wanted = math.ceil(depth * self.options.rows_per_input / self.samples)
        chosen = (
            np.arange(places)
            if wanted >= places
            else np.sort(self.rng.choice(places, wanted, replace=False))
        )
        patches = sampled_patches(self.layer, weight.shape, x, chosen)
        if self.origin is None:
            self.origin = patches.mean(axis=2, keepdims=True)
            self.x = np.zeros(patches.shape[:2])
            self.xx = np.zeros((*patches.shape[:2], patches.shape[1]))
        patches = patches - self.origin
        self.x += patches.sum(axis=2, dtype=np.float64)
        self.xx += patches @ patches.swapaxes(1, 2)
        self.rows += patches.shape[2]

    def consumers(self) -> Iterator[Consumer]:
        """Yield one consumer for each group."""
        check_finite(self.layer.target, self.xx)
        mean = self.x / self.rows
        grams = self.xx / self.rows - mean[:, :, None] * mean[:, None]
        weight = to_matrix(self.layer, self.units.constants[self.layer.weight])
        groups, made, depth = weight.shape
        channels = _inputs(self.units, self.layer)
        # Of a ConvTranspose the weight has all channels, of a Conv those of one group: the same
        # place in each group is one unit.
        divided = self.layer.node.op == "ConvTranspose"
        of_group = channels.reshape(groups, -1) if divided else np.tile(channels, (groups, 1))
        outputs = self.units.of(self.units.axes[self.layer.target].at(self.layer.axis))
        for group in range(groups):
            inputs = np.repeat(of_group[group], depth // len(of_group[group]))
            own = slice(group * made, (group + 1) * made)
            gram = grams[group] if self.rows > 1 else None
            yield Consumer(self.layer.target, weight[group], gram, inputs, outputs[own], self.rows)
