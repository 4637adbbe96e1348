"""Metrics in which every object of an image counts alike, whatever its size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST_OBJECT = 50
"""Objects of fewer pixels do not count, unless all are smaller: then the largest do."""

BETA_SQUARED = 0.3


@dataclass(frozen=True, slots=True)
class ObjectScores:
    """The size-invariant metrics of one image.

    Attributes:
        mae: Mean absolute error, in [0, 1]: a weighted mean of that inside each object's box and
            that of what is in no box. A box weighs 1, the rest its area over the area in boxes.
        max_f: The largest value of the F-measure's curve in an object's box, in [0, 1], averaged
            over the objects. So each object has a threshold of its own.
        mean_f: The mean of these curves, in [0, 1].
    """

    mae: float
    max_f: float
    mean_f: float


def score_objects(levels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> ObjectScores:
    """Score one saliency map, object by object.

    An object is a part of the mask that hangs together across edges, with its bounding box. For the
    F-measure of a box the map is taken as 0 outside of it, and other objects inside of it are
    object, too. The map is first stretched to [0, 1] unless it is constant. In a mask without an
    object ``mae`` is that of the whole map, and both F are 0.

    The numbers are those of PySODMetrics 1.6.2, which reads each image once per object and several
    times over. Where that fails there are numbers here: masks that fill the image, boxes that cover
    it together, and more than 53 objects.

    Args:
        levels: (H, W), the map in 255ths.
        mask: (H, W), True on the objects.

    Returns:
        The error, and the largest and the mean F-measure, each in [0, 1].

    Source: Li et al., "Size-invariance Matters: Rethinking Metrics and Losses for Imbalanced
    Multi-object Salient Object Detection", ICML 2024, arXiv:2405.09782.
    """
    stretched = _stretch(levels)
    errors = np.abs(stretched - mask)
    boxes = _boxes(mask)
    if not boxes:
        return ObjectScores(float(errors.mean()), 0.0, 0.0)
    # Truncated, not rounded: a threshold is reached by what is not below it.
    steps = (stretched * 255).astype(np.uint8)
    curves = [_f_curve(steps[box], mask[box], mask.size) for box in boxes]
    return ObjectScores(
        _balanced_error(errors, boxes),
        float(np.mean([curve.max() for curve in curves])),
        float(np.mean([curve.mean() for curve in curves])),
    )


def _stretch(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Bring a map to [0, 1] as MATLAB's ``mapminmax``; a constant one stays what it is."""
    values = levels / 255
    low, high = values.min(), values.max()
    return np.asarray((values - low) / (high - low) if low != high else values)


def _boxes(mask: NDArray[np.bool_]) -> list[tuple[slice, ...]]:
    """Return the bounding boxes of the objects that count."""
    from scipy import ndimage  # a tenth of a second to load, which most commands need not spend

    labels, _ = ndimage.label(mask)
    areas = np.bincount(labels.ravel())[1:]
    if not len(areas):
        return []
    counts = areas >= min(SMALLEST_OBJECT, int(areas.max()))
    return [box for box, one in zip(ndimage.find_objects(labels), counts, strict=True) if one]


def _balanced_error(errors: NDArray[np.float64], boxes: list[tuple[slice, ...]]) -> float:
    """Weigh the mean error of each box, and that of what is in none."""
    outside = np.ones(errors.shape, bool)
    for box in boxes:
        outside[box] = False
    in_boxes = sum(float(errors[box].mean()) for box in boxes)
    rest = int(outside.sum())
    if not rest:
        return in_boxes / len(boxes)
    # Each box weighs 1, and the rest as its area is to that of all boxes together.
    weight = rest / (outside.size - rest)
    return (in_boxes + weight * float(errors[outside].mean())) / (len(boxes) + weight)


def _f_curve(steps: NDArray[np.uint8], mask: NDArray[np.bool_], pixels: int) -> NDArray[np.float64]:
    """Return the F-measure of a box in an image of so many pixels, at the thresholds 255 to 0."""
    # Counts at each of the 256 levels, summed up from the highest: how many pixels reach it.
    hits = np.cumsum(np.bincount(steps[mask], minlength=256)[::-1])
    marked = np.cumsum(np.bincount(steps.ravel(), minlength=256)[::-1])
    marked[-1] = pixels  # threshold 0 is reached outside of the box, too
    # The weighted harmonic mean of precision, hits / marked, and recall, hits / hits[-1], is hits
    # over the weighted mean of what they are divided by.
    recall_weight = BETA_SQUARED / (1 + BETA_SQUARED)
    return np.asarray(hits / (marked + recall_weight * (hits[-1] - marked)))
