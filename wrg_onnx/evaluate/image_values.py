"""What a model had on each image, small enough to be kept: another run's is held against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.evaluate.bootstrap import (
    CONFIDENCE,
    DRAWS,
    FEWEST_IMAGES,
    Change,
    PerImage,
)
from wrg_onnx.evaluate.image_scores import CURVES, ImageScores
from wrg_onnx.evaluate.metrics import SALIENCY_METRICS, Metric
from wrg_onnx.factors import Float64Array

DIGITS = 4
"""Significant digits that are kept; tables show three."""


@dataclass(frozen=True, slots=True)
class ImageValues:
    """What a model had on each of the images that judged it.

    Attributes:
        sha256: Over what the model was fed and the masks, in their order: the same of the same
            images, prepared alike.
        images: How many there were.
        values: By the metric's title a number for each image; their mean is the metric. Of max F
            and max E, the largest values of a mean curve, each image's at the threshold of that.
            Empty without masks or without a saliency map.
    """

    sha256: str
    images: int
    values: Mapping[str, tuple[float, ...]]


def image_values(judged: PerImage, metrics: Sequence[Metric] = SALIENCY_METRICS) -> ImageValues:
    """Return what the second of two models had on each image.

    Args:
        judged: Both models' results.
        metrics: Which ones; those that need no masks have no value of an image.
    """
    after, values = judged.after, {}
    if after is not None:
        values = {one.title: _of(after, one) for one in metrics if one.needs_masks}
    return ImageValues(judged.digest, judged.images, values)


def _of(scores: ImageScores, metric: Metric) -> tuple[float, ...]:
    curve = CURVES.get(metric.name)
    if curve is None:
        values = scores.means[metric.name]
    elif metric.name == "mean_f":
        values = scores.curves[curve].mean(axis=1)
    else:
        curves = scores.curves[curve]
        values = curves[:, int(curves.mean(axis=0).argmax())]
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)


def paired_changes(first: ImageValues, second: ImageValues) -> Iterator[Change]:
    """Yield how each metric differs between two models on the same images, and how certain that is.

    The interval is that of a paired bootstrap, like ``measure_change``; the thresholds of max F and
    max E are held, each model's own.

    Args:
        first: What the one model had.
        second: What the other had; nothing is yielded if that was on other images.
    """
    if not first.sha256 or first.sha256 != second.sha256:
        return
    for metric in SALIENCY_METRICS:
        if metric.title in first.values and metric.title in second.values:
            pair = (np.array(one.values[metric.title]) for one in (first, second))
            yield _change(metric, *pair)


def _change(metric: Metric, first: Float64Array, second: Float64Array) -> Change:
    images, low, high = len(first), None, None
    if images >= FEWEST_IMAGES:
        # The same draws for each pair of models: a table of them is of the same images.
        counts = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), DRAWS)
        drawn = counts @ (second - first) / images
        tail = (1 - CONFIDENCE) / 2
        low, high = (float(end) for end in np.quantile(drawn, (tail, 1 - tail), method="nearest"))
    before, after = float(first.mean()), float(second.mean())
    drop = metric.drop(before, after)
    return Change(metric.title, before, after, drop, low, high, images, metric.falls)
