"""Metrics in which every object of an image counts alike, whatever its size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wrg_onnx.evaluate.f_measure import f_curve, stretch, to_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST_OBJECT = 50
"""Objects of fewer pixels do not count, unless all are smaller: then the largest do."""


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
    stretched = stretch(levels)
    errors = np.abs(stretched - mask)
    boxes = _boxes(mask)
    if not boxes:
        return ObjectScores(float(errors.mean()), 0.0, 0.0)
    steps = to_steps(stretched)
    curves = [f_curve(steps[box], mask[box], mask.size) for box in boxes]
    return ObjectScores(
        _balanced_error(errors, boxes),
        float(np.mean([curve.max() for curve in curves])),
        float(np.mean([curve.mean() for curve in curves])),
    )


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
