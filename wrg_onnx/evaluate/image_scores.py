"""The metrics of salient object detection: of each image, and of any choice of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from wrg_onnx.factors import Float64Array


@dataclass(frozen=True, slots=True)
class SaliencyScores:
    """The metrics over a data set, each the mean over the images.

    Six are the usual ones, which large objects dominate. In the three whose names start with
    ``si_`` every object of an image counts alike: see ``ObjectScores``.

    A mask without an object is scored like any other: MAE and ``si_mae`` are the mean of the map,
    the S-measure 1 less that, E at each threshold nearly the share of pixels below it, and
    all F-measures 0, whatever the map is.

    Attributes:
        mae: Mean absolute error, in [0, 1]; lower is better. Of the others higher is better.
        max_f: The largest value of the F-measure's curve, in [0, 1]. The curve is averaged over the
            images first; its 256 thresholds are 0 to 255; beta squared is 0.3.
        mean_f: The mean of that curve, in [0, 1].
        weighted_f: Weighted F-measure, beta squared 1, in [0, 1].
        s_measure: Structure measure, alpha 0.5, in [0, 1].
        max_e: The largest value of the averaged enhanced-alignment curve, in [0, 1].
        si_mae: Size-invariant mean absolute error, in [0, 1]; lower is better.
        si_max_f: Size-invariant F-measure, each object at its best threshold, in [0, 1].
        si_mean_f: Size-invariant F-measure, averaged over the thresholds, in [0, 1].
        images: The number of images.

    Source: MAE: Perazzi et al., CVPR 2012. F: Achanta et al., CVPR 2009. Weighted F: Margolin et
    al., CVPR 2014. S: Fan et al., ICCV 2017. E: Fan et al., IJCAI 2018. Size-invariant: Li et al.,
    ICML 2024, arXiv:2405.09782.
    """

    mae: float
    max_f: float
    mean_f: float
    weighted_f: float
    s_measure: float
    max_e: float
    si_mae: float
    si_max_f: float
    si_mean_f: float
    images: int


CURVES: Mapping[str, str] = {"max_f": "f", "mean_f": "f", "max_e": "e"}
"""The metrics that are no mean over images: what is taken of a curve that is averaged first."""

MEANS = ("mae", "weighted_f", "s_measure", "si_mae", "si_max_f", "si_mean_f")
"""The metrics that are the mean of what each image has."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageRow:
    """The metrics of one image.

    Attributes:
        means: Those of ``MEANS``, by name.
        curves: (256,) float64, its F-measure (``f``) and enhanced alignment (``e``) by threshold.
    """

    means: Mapping[str, float]
    curves: Mapping[str, Float64Array]


@dataclass(frozen=True, slots=True, eq=False)
class ImageScores:
    """The metrics of several images.

    Attributes:
        means: (images,) float64, by name.
        curves: (images, 256) float64, ``f`` and ``e``.
    """

    means: Mapping[str, Float64Array]
    curves: Mapping[str, Float64Array]

    @classmethod
    def of(cls, rows: Sequence[ImageRow]) -> ImageScores:
        """Join the rows of images; there must be one at least."""
        return cls(
            {name: np.array([row.means[name] for row in rows]) for name in MEANS},
            {name: np.stack([row.curves[name] for row in rows]) for name in ("f", "e")},
        )

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.means[MEANS[0]])

    def scores(self) -> SaliencyScores:
        """Return the means over the images."""
        names = [one.name for one in fields(SaliencyScores) if one.name != "images"]
        return SaliencyScores(**{name: self.value(name) for name in names}, images=len(self))

    def value(self, metric: str) -> float:
        """Return a metric over all images, by its name in ``SaliencyScores``."""
        if metric not in CURVES:
            return float(np.mean(self.means[metric]))
        curve = np.mean(self.curves[CURVES[metric]], axis=0)
        return float(curve.mean() if metric == "mean_f" else curve.max())

    def resampled(self, metric: str, counts: Float64Array) -> Float64Array:
        """Return a metric over other choices of these images.

        Args:
            metric: Its name in ``SaliencyScores``.
            counts: (draws, images), how often each image is in each choice.

        Returns:
            (draws,) float64.
        """
        shares = counts / counts.sum(axis=1, keepdims=True)
        if metric not in CURVES:
            return np.asarray(shares @ self.means[metric])
        curves = shares @ self.curves[CURVES[metric]]
        return np.asarray(curves.mean(axis=1) if metric == "mean_f" else curves.max(axis=1))
