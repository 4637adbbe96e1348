"""The layers that consume units, as ``select.repair`` chooses by them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wrg_onnx.calibrate import constant_numbers
from wrg_onnx.channels import Units
from wrg_onnx.factors import Consumer, IntArray
from wrg_onnx.recover.gram_sums import GramSums
from wrg_onnx.recover.layers import LinearLayer
from wrg_onnx.recover.measured import Measured, MeasuredLayer
from wrg_onnx.recover.outcome import check_finite


def consumers_of(units: Units, measured: Measured, *, half: int | None = None) -> list[Consumer]:
    """Say what each layer reads, of which the rest is to make up for what goes.

    Of the constants that are summed over and no measured layer's (quantised, shared, recurrent ...)
    the sizes of the weights are all that is known: these have no ``gram``. So it is with a layer
    that a single row was drawn for, since that tells no variance, and with one whose covariance
    would not fit into memory.

    Args:
        units: The analysis of the model.
        measured: What one pass over it told.
        half: Which half of the samples is asked, 0 or 1, if they were kept; None for all.

    Returns:
        The consumers, in the order of the graph; those that no unit passes are left out.

    Raises:
        StatisticsError: If a covariance is not finite; it names the layer.
    """
    found: list[Consumer] = []
    weights: set[str] = set()
    for known in measured.layers.values():
        if known.sums is not None and (_inputs(units, known.layer) >= 0).any():
            found += _consumers(units, known, known.sums if half is None else known.halves[half])
            weights.add(known.layer.weight)
    return [*found, *_unmeasured(units, weights)]


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


def _consumers(units: Units, known: MeasuredLayer, sums: GramSums) -> Iterator[Consumer]:
    """Yield one consumer for each group of a layer."""
    layer = known.layer
    check_finite(layer.target, sums.xx)
    grams = sums.covariance_x() if sums.rows > 1 else None
    matrix = known.matrix()
    groups, made, depth = matrix.shape
    channels = _inputs(units, layer)
    # Of a ConvTranspose the weight has all channels, of a Conv those of one group: the same place
    # in each group is one unit.
    divided = layer.node.op == "ConvTranspose"
    of_group = channels.reshape(groups, -1) if divided else np.tile(channels, (groups, 1))
    outputs = units.of(units.axes[layer.target].at(layer.axis))
    for group in range(groups):
        inputs = np.repeat(of_group[group], depth // len(of_group[group]))
        own = slice(group * made, (group + 1) * made)
        gram = None if grams is None else grams[group]
        yield Consumer(layer.target, matrix[group], gram, inputs, outputs[own], sums.rows)
