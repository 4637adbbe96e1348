"""Where in a model's outputs the saliency map is, and how to read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wrg_onnx.errors import StatisticsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wrg_onnx.graph.model import Array

SMALLEST_SCALE = 8
"""A saliency map has at least 1/8 of the input's height and width, and at most all of it."""

PROBABILITY_SLACK = 0.01
"""How far a map of probabilities may leave [0, 1], by rounding or by a cubic resize."""


@dataclass(frozen=True, slots=True)
class SaliencyMap:
    """How to read the saliency map from a model's outputs, decided once per model.

    Attributes:
        output: The output's name.
        axis: Its channel axis; None for (1, H, W).
        channels: 1, or 2 for background and foreground, in this order.
        is_logit: Whether a sigmoid (of the difference, for two channels) makes the probability.
    """

    output: str
    axis: int | None
    channels: int
    is_logit: bool


def find_saliency_output(
    outputs: Sequence[str],
    arrays: Mapping[str, Array],
    input_size: tuple[int, int],
    batch: int = 1,
) -> str | None:
    """Find the output that is a saliency map: the first with one channel, else with two.

    A map is of floats, has between 1/8 and all of the input's height and width, and their
    proportions to within a pixel; so neither a table of boxes nor an enlarged picture is one.

    Args:
        outputs: The names in the model's order.
        arrays: The outputs for one sample.
        input_size: Height and width of the image that was fed, in pixels.
        batch: How many images are fed at once.

    Returns:
        The name, or None if there is no such output.
    """
    for wanted in (1, 2):
        for name in outputs:
            # A sequence is not among the arrays, its elements are.
            layout = _map_layout(arrays[name], input_size, batch) if name in arrays else None
            if layout is not None and layout[1] == wanted:
                return name
    return None


def find_saliency_map(
    outputs: Sequence[str],
    batches: Sequence[Mapping[str, Array]],
    input_size: tuple[int, int],
    batch: int = 1,
) -> SaliencyMap | None:
    """Find the saliency output, and whether it holds probabilities, from a few samples.

    It is a matter of the model, not of the image: a map of logits may happen to lie inside [0, 1].

    Args:
        outputs: The names in the model's order.
        batches: The outputs for each of a few samples.
        input_size: Height and width of the images that were fed, in pixels.
        batch: How many images are fed at once.

    Returns:
        How to read the map, or None if the model has none.
    """
    name = find_saliency_output(outputs, batches[0], input_size, batch) if batches else None
    if name is None:
        return None
    layout = _map_layout(batches[0][name], input_size, batch)
    if layout is None:
        return None
    low = min(float(arrays[name].min()) for arrays in batches)
    high = max(float(arrays[name].max()) for arrays in batches)
    is_logit = low < -PROBABILITY_SLACK or high > 1 + PROBABILITY_SLACK
    return SaliencyMap(name, axis=layout[0], channels=layout[1], is_logit=is_logit)


def read_saliency(output: Array, saliency: SaliencyMap) -> NDArray[np.float32]:
    """Turn a model's raw output for one sample into a saliency map.

    Args:
        output: (B, C, H, W), (B, H, W, C) or (B, H, W) of floats, C being 1 or 2; of a batch, which
            holds the same image B times, the first counts.
        saliency: How to read it.

    Returns:
        (H, W) float32 in [0, 1].

    Raises:
        StatisticsError: If the output holds an infinity or NaN.
    """
    maps: NDArray[np.float64] = output.astype(np.float64)[0]
    if saliency.axis is not None:
        maps = np.moveaxis(maps, saliency.axis - 1, 0)
        # The sigmoid of the difference is the softmax over background and foreground.
        maps = maps[1] - maps[0] if saliency.channels == 2 and saliency.is_logit else maps[-1]
    if not np.isfinite(maps).all():
        raise StatisticsError(f"output '{saliency.output}' holds an infinity or NaN")
    if saliency.is_logit:
        maps = 0.5 * (1 + np.tanh(0.5 * maps))  # the sigmoid, without an overflow
    return np.clip(maps, 0, 1).astype(np.float32)


def _map_layout(
    array: Array, input_size: tuple[int, int], batch: int
) -> tuple[int | None, int] | None:
    """Return a map's channel axis (None if it has none) and its channels; None if it is no map."""
    shape = array.shape
    if array.dtype.kind != "f" or len(shape) not in (3, 4) or shape[0] != batch:
        return None
    if len(shape) == 3:
        return (None, 1) if _is_map(shape[1:], input_size) else None
    for axis, sides in ((1, shape[2:]), (3, shape[1:3])):
        if shape[axis] in (1, 2) and _is_map(sides, input_size):
            return axis, shape[axis]
    return None


def _is_map(sides: tuple[int, ...], input_size: tuple[int, int]) -> bool:
    (height, width), (full_height, full_width) = sides, input_size
    large = height * SMALLEST_SCALE >= full_height and width * SMALLEST_SCALE >= full_width
    small = height <= full_height and width <= full_width
    # h / w = H / W would hold exactly but for rounding one of them to a whole pixel.
    skew = abs(height * full_width - width * full_height)
    return large and small and skew <= max(full_height, full_width)
