"""Which of the rows that were measured in the original are left in a pruned model."""

from __future__ import annotations

import numpy as np

from wrg_onnx.factors import IntArray
from wrg_onnx.graph import Array
from wrg_onnx.recover.layers import LinearLayer
from wrg_onnx.recover.measured import LayerRows


def places_left(
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


def left_of(layer: LinearLayer, array: Array, chosen: IntArray | slice) -> Array:
    """Take the channels and rows that are left of what the original made, (M, rows)."""
    array = array[:, chosen]
    return array[layer.kept.positions] if len(array) != layer.width else array
