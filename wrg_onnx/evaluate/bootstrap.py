"""How certain a change of a metric is: which images were judged is chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.evaluate.agreement import OutputErrors
from wrg_onnx.evaluate.image_scores import ImageScores
from wrg_onnx.evaluate.metrics import RELATIVE_ERROR, SALIENCY_METRICS, Metric
from wrg_onnx.factors import Float64Array

DRAWS = 2000
"""How often images are drawn anew; the ends of an interval hardly move beyond it."""

CONFIDENCE = 0.95

FEWEST_IMAGES = 10
"""Of fewer images, drawing them anew tells little of others: an interval would be too narrow."""


@dataclass(frozen=True, slots=True, eq=False)
class PerImage:
    """What two models have on each of the same images.

    Attributes:
        images: How many there are.
        before: The original's saliency metrics; None without masks or without a saliency map.
        after: The other model's.
        errors: How far the outputs of the other are from the original's.
        digest: A hash of what both were fed and of the masks, in their order; empty if unknown.
    """

    images: int
    before: ImageScores | None
    after: ImageScores | None
    errors: tuple[OutputErrors, ...]
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """How a metric changed from the original to another model, on the same images.

    Attributes:
        metric: The metric's title.
        before: Of the original; 0 if it is the relative error.
        after: Of the other model.
        drop: By how much the other is worse; negative where it is better.
        low: The lower end of the interval of ``after - before``, in which it lies with a confidence
            of 95 % over the choice of images; None of fewer than ``FEWEST_IMAGES``.
        high: The upper end.
        images: On how many images.
        falls: Whether lower is worse.
    """

    metric: str
    before: float
    after: float
    drop: float
    low: float | None
    high: float | None
    images: int
    falls: bool = True

    @property
    def change(self) -> float:
        """``after - before``."""
        return self.after - self.before

    @property
    def worst(self) -> float | None:
        """The end of the interval at which the drop is largest, as a drop."""
        if self.low is None or self.high is None:
            return None
        return -self.low if self.falls else self.high

    @property
    def may_be_none(self) -> bool:
        """Whether the images do not tell it from no change; True where they are too few."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high


def measure_change(judged: PerImage, metric: Metric, rng: np.random.Generator) -> Change:
    """Return how a metric changed, and how certain that is.

    The interval is that of a paired bootstrap (percentiles): images are drawn anew, with both
    models' results on them, and the metric of both is computed over each draw. Of max F that is
    once more the largest value of a curve that is averaged first.

    Args:
        judged: Both models' results.
        metric: Which one; there must be masks if it needs them.
        rng: Draws the images.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13.
    """
    before, after = _values(judged, metric)
    low = high = None
    if judged.images >= FEWEST_IMAGES:
        even = np.full(judged.images, 1 / judged.images)
        counts = rng.multinomial(judged.images, even, size=DRAWS).astype(np.float64)
        first, second = _both(judged, metric, counts)
        tail = (1 - CONFIDENCE) / 2
        low, high = (float(end) for end in _percentiles(second - first, (tail, 1 - tail)))
    return Change(
        metric=metric.title,
        before=before,
        after=after,
        drop=metric.drop(before, after),
        low=low,
        high=high,
        images=judged.images,
        falls=metric.falls,
    )


def measure_changes(judged: PerImage, seed: int) -> tuple[Change, ...]:
    """Return how each metric changed: all of saliency with masks, else the outputs' error.

    Args:
        judged: Both models' results.
        seed: Of the draws, which are the same for each metric.
    """
    has_masks = judged.before is not None and judged.after is not None
    metrics = SALIENCY_METRICS if has_masks else (RELATIVE_ERROR,)
    return tuple(measure_change(judged, one, np.random.default_rng(seed)) for one in metrics)


def _values(judged: PerImage, metric: Metric) -> tuple[float, float]:
    """Return the metric of both models over all images, as reports have it."""
    if metric is RELATIVE_ERROR:
        first, second = _both(judged, metric, np.ones((1, judged.images)))
        return float(first[0]), float(second[0])
    assert judged.before is not None
    assert judged.after is not None
    return judged.before.value(metric.name), judged.after.value(metric.name)


def _both(
    judged: PerImage, metric: Metric, counts: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Return the metric of both models over each choice of images, (draws,) each."""
    if metric is RELATIVE_ERROR:
        errors = [one.resampled(counts) for one in judged.errors]
        worst = np.max(errors, axis=0) if errors else np.full(len(counts), np.nan)
        return np.zeros(len(counts)), worst
    assert judged.before is not None
    assert judged.after is not None
    first, second = (x.resampled(metric.name, counts) for x in (judged.before, judged.after))
    return first, second


def _percentiles(values: Float64Array, shares: Sequence[float]) -> Float64Array:
    # Not interpolated: between a number and infinity there is none.
    return np.asarray(np.quantile(values, shares, method="nearest"), np.float64)
