"""Which images to look at: those that a pruned model does best and worst on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wrg_onnx.evaluate.bootstrap import PerImage
from wrg_onnx.evaluate.image_scores import ImageScores
from wrg_onnx.factors import Float64Array

MAX_F, ERROR = "max_f", "error"
"""What images are ordered by: how much each one's largest F-measure fell, or the relative error."""


@dataclass(frozen=True, slots=True)
class Pick:
    """One image.

    Attributes:
        place: ``best``, ``median`` or ``worst``.
        index: Its number among the images that were judged.
        drop: By how much its own largest F-measure fell; None without masks.
        error: The largest relative error of an output on it.
    """

    place: str
    index: int
    drop: float | None
    error: float


def pick_images(judged: PerImage) -> tuple[Pick, ...]:
    """Pick the best, the median and the worst image, by ``ordered_by``.

    Of images that are alike the first counts as better. Of less than three each is picked once.

    Args:
        judged: Both models' results, of one image or more.
    """
    drops = None
    if judged.before is not None and judged.after is not None:
        drops = largest_f(judged.before) - largest_f(judged.after)
    errors = _errors(judged)
    order = np.argsort(errors if drops is None else drops, kind="stable")
    places = {"best": 0, "worst": len(order) - 1, "median": (len(order) - 1) // 2}
    # The median of two is one of both: it gives way.
    picked = {index: place for place, index in reversed(places.items())}
    return tuple(
        Pick(
            place,
            int(order[at]),
            None if drops is None else float(drops[order[at]]),
            float(errors[order[at]]),
        )
        for at, place in sorted(picked.items())
    )


def ordered_by(judged: PerImage) -> str:
    """Return what images are ordered by: ``MAX_F`` with masks and a saliency map, or ``ERROR``."""
    return ERROR if judged.before is None or judged.after is None else MAX_F


def largest_f(scores: ImageScores) -> Float64Array:
    """Return the largest F-measure of each image by itself, (images,) float64."""
    return np.asarray(scores.curves["f"].max(axis=1))


def _errors(judged: PerImage) -> Float64Array:
    """Return the largest relative error of each image, (images,) float64; 0 without outputs."""
    each = np.eye(judged.images)
    errors = [one.resampled(each) for one in judged.errors]
    return np.max(errors, axis=0) if errors else np.zeros(judged.images)
