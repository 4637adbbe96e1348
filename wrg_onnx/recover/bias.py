"""Bias compensation: what the removed channels contributed on average goes into the bias."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels import BoolArray, IdArray, draws_random
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.graph import (
    AHEAD_BYTES,
    Array,
    Graph,
    PartSessions,
    open_session,
    run_side_by_side,
)
from wrg_onnx.progress import Progress, silent
from wrg_onnx.recover.gram_sums import Float64Array
from wrg_onnx.recover.layers import LinearLayer, find_layers
from wrg_onnx.recover.outcome import TOO_FEW_ROWS, LayerFit, check_finite, check_fits
from wrg_onnx.recover.reconstruct import Reconstruction, ReconstructOptions
from wrg_onnx.recover.removal import Removal
from wrg_onnx.recover.write_weights import LayerChange, current_bias, write_weights


def compensate(
    removal: Removal,
    data: DataSet,
    options: ReconstructOptions,
    *,
    progress: Progress = silent,
) -> Reconstruction:
    """Add to each layer's bias what the channels it lost contributed to its output on average.

    Layers do not depend on each other: each is looked at as it was, before anything was cut.

    Args:
        removal: What was removed.
        data: The calibration samples, read one at a time.
        options: Where to compute.
        progress: Told how many samples are done.

    Returns:
        The model with new biases.

    Raises:
        StatisticsError: If a layer reads NaN or infinity; it names the layer.

    Source: our own; the mean of the removed part of each layer's sum over samples and places.
    """
    before, pruned, slices = removal.before, removal.pruned, removal.slices
    found = find_layers(pruned, removal.kept)
    layers = [layer for layer in found.layers if _lost(before, layer, slices).any()]
    sources = {layer.target: before.producers[layer.made].inputs[0] for layer in layers}
    means = _means(before, sorted(set(sources.values())), data, options, progress)
    parts = PartSessions(before, options.provider, one_thread=True)
    changes, fits, left = [], [], Counter(found.left)
    # A layer makes W x + b of its input x; the channels that are gone made W_lost x of it, whose
    # mean over samples and places is W_lost (mean x): it goes into b. A tensor whose shape differs
    # from sample to sample has a mean of each shape, weighed by its number of rows.
    for layer in layers:
        source = sources[layer.target]
        total, rows = np.zeros(layer.width), 0
        for mean in means[source]:
            if not mean.total.size:
                continue
            part = _contribution(before, parts, layer, mean.value(), slices)
            total += part.sum(axis=1) * mean.count
            rows += part.shape[1] * mean.count
        if not rows:
            left[TOO_FEW_ROWS] += 1
            continue
        check_finite(layer.target, total)
        bias = current_bias(pruned, layer)
        added = (total / rows / layer.beta).reshape(bias.shape)
        with np.errstate(over="ignore"):  # told below
            new = (bias + added).astype(bias.dtype)
        check_fits(layer.target, new)
        changes.append(LayerChange(layer, None, new))
        fits.append(LayerFit(layer.target, None, None, None, rows, rows))
    return Reconstruction(write_weights(pruned, changes), tuple(fits), dict(left))


def _lost(
    before: Graph, layer: LinearLayer, slices: Mapping[str, tuple[IdArray | None, ...]]
) -> BoolArray:
    """Return which positions are gone on the axis of a layer's weight that is summed over."""
    axis = layer.input_axis
    lost = np.ones(before.constants.forms[layer.weight].shape[axis], bool)
    positions = slices.get(layer.weight, (None,) * (axis + 1))[axis]
    lost[slice(None) if positions is None else positions] = False
    return lost


def _contribution(
    before: Graph,
    parts: PartSessions,
    layer: LinearLayer,
    x: Array,
    slices: Mapping[str, tuple[IdArray | None, ...]],
) -> Float64Array:
    """Return what the lost positions make of an input: (channels, rows), the kept channels."""
    node = before.producers[layer.made]
    weight = before.constants[layer.weight].copy()
    weight[(slice(None),) * layer.input_axis + (~_lost(before, layer, slices),)] = 0
    constants = {layer.weight: weight}
    if node.op != "MatMul" and node.input(2):
        constants[node.input(2)] = np.zeros_like(before.constants[node.input(2)])
    section = parts.open({node.inputs[0]: x.dtype}, [layer.made], constants)
    # (N, M, places...) or (..., M) -> (M, rows)
    y = layer.kept.of(section.run({node.inputs[0]: x})[layer.made])
    return np.moveaxis(y, layer.axis, 0).reshape(layer.width, -1).astype(np.float64)


@dataclass(slots=True, eq=False)
class _Mean:
    """The mean of a tensor over the samples that give it one shape."""

    total: Float64Array
    dtype: np.dtype[np.generic]
    count: int = 0

    def value(self) -> Array:
        return np.asarray(self.total / self.count, self.dtype)


def _means(
    graph: Graph,
    names: Sequence[str],
    data: DataSet,
    options: ReconstructOptions,
    progress: Progress,
) -> dict[str, list[_Mean]]:
    """Average tensors over the samples, by shape; a layer is linear, so its mean is that of theirs.

    A graph input among them is taken from the samples.
    """
    made = [name for name in names if name in graph.producers]
    found: dict[str, dict[tuple[int, ...], _Mean]] = {name: {} for name in names}
    feeds = (sample.feeds for sample in data)
    runs: Iterable[tuple[Mapping[str, Array], dict[str, Array]]] = ((one, {}) for one in feeds)
    if made:
        session = open_session(graph, outputs=made, provider=options.provider, one_thread=True)
        ahead = 0 if draws_random(graph) else AHEAD_BYTES
        runs = run_side_by_side(session, feeds, ahead_bytes=ahead)
    for done, (fed, values) in enumerate(runs, start=1):
        for name in names:
            array = values.pop(name) if name in values else fed[name]
            mean = found[name].setdefault(array.shape, _Mean(np.zeros(array.shape), array.dtype))
            mean.total += array
            mean.count += 1
        progress("recover", done, len(data))
    return {name: list(by_shape.values()) for name, by_shape in found.items()}
