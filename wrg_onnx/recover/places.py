"""At which places of its output a layer is looked at: the rows of its regression."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.factors import BoolArray, IntArray
from wrg_onnx.graph import Array

ROWS_PER_INPUT = 40
"""How many rows are drawn for each number that a layer reads, over all samples."""

AT_OBJECTS = 0.5
"""Which share of the rows lies on the object, where a saliency map tells where that is."""

THRESHOLD = 0.3
"""From which value of the saliency map on a place counts as the object's."""


@dataclass(frozen=True, slots=True)
class RowOptions:
    """Which rows are taken.

    Attributes:
        saliency: How to read the model's own saliency map; None where there is none: rows are then
            drawn evenly.
        per_input: How many rows are drawn for each number that a layer reads, over all samples.
        at_objects: Which share of them lies where the saliency map is above the threshold.
        threshold: From which value on, in [0, 1].
        seed: Chooses the rows.
    """

    saliency: SaliencyMap | None = None
    per_input: float = ROWS_PER_INPUT
    at_objects: float = AT_OBJECTS
    threshold: float = THRESHOLD
    seed: int = 0


def draw_places(
    shape: tuple[int, ...], wanted: int, objects: IntArray, share: float, rng: np.random.Generator
) -> IntArray:
    """Draw places of a layer's output.

    Args:
        shape: The output's shape without its channels.
        wanted: How many; at most as many as there are.
        objects: Which places, of the flattened shape, lie on the object.
        share: Which share of the places is drawn from those; the rest is drawn from all.
        rng: Draws.

    Returns:
        (places,) int64, ascending, of the flattened shape. A place may come twice: once as the
        object's, once as any.
    """
    count = math.prod(shape)
    wanted = min(wanted, count)
    at_object = min(len(objects), round(share * wanted))
    if wanted - at_object == count:
        return np.arange(count)
    there = rng.choice(objects, at_object, replace=False) if at_object else objects[:0]
    anywhere = rng.choice(count, wanted - at_object, replace=False)
    return np.sort(np.concatenate([there, anywhere]))


def object_places(saliency: Array, threshold: float, shape: tuple[int, ...]) -> IntArray:
    """Find the places of a layer's output that see the object.

    Args:
        saliency: (H, W), in [0, 1].
        threshold: From which value on a pixel is the object's.
        shape: (1, h, w), the shape of a layer's output without its channels; of any other shape
            nothing is known.

    Returns:
        (places,) int64, of the flattened shape. A place of a coarser map sees the object if any of
        its pixels is one, so that the smallest object is seen at every resolution.
    """
    if len(shape) != 3 or shape[0] != 1:
        return np.zeros(0, np.int64)
    seen: BoolArray = saliency >= threshold
    for axis, size in enumerate(shape[1:]):
        length = seen.shape[axis]
        if size >= length:
            seen = seen.take(np.arange(size) * length // size, axis)
        else:
            starts = np.arange(size) * length // size
            seen = np.logical_or.reduceat(seen, starts, axis)
    return np.flatnonzero(seen)
