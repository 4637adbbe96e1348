"""The metrics of salient object detection over a data set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from wrg_onnx.errors import DataError, MissingPackageError
from wrg_onnx.evaluate.f_measure import to_8_bit
from wrg_onnx.evaluate.image_scores import ImageRow, ImageScores, SaliencyScores
from wrg_onnx.evaluate.size_invariance import score_objects

if TYPE_CHECKING:
    from numpy.typing import NDArray


def metrics_package() -> Any:
    """Import PySODMetrics.

    Raises:
        MissingPackageError: If it is not installed.
    """
    try:
        import py_sod_metrics
    except ImportError as error:
        raise MissingPackageError(
            "py_sod_metrics",
            purpose="scoring saliency maps",
            extra="metrics",
            otherwise="use --no-evaluate (prune, finetune) or images without masks",
        ) from error
    return py_sod_metrics


def score_saliency(
    predictions: Iterable[tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]],
) -> SaliencyScores:
    """Score saliency maps against masks with PySODMetrics, one image at a time.

    Args:
        predictions: Pairs of a map and its mask, as ``score_image`` takes them.

    Returns:
        The scores.

    Raises:
        MissingPackageError: If PySODMetrics is not installed.
        DataError: If there is no image.
        StatisticsError: If a map holds a NaN, or leaves [0, 1].
    """
    totals = SaliencyTotals()
    for prediction, mask in predictions:
        totals.add(prediction, mask)
    return totals.scores()


class SaliencyTotals:
    """The metrics of the images so far; the images themselves are not kept.

    Attributes:
        rows: What each image had.

    Raises:
        MissingPackageError: If PySODMetrics is not installed.
    """

    def __init__(self) -> None:
        metrics_package()
        self.rows: list[ImageRow] = []

    @property
    def images(self) -> int:
        """How many images were added."""
        return len(self.rows)

    def add(self, prediction: NDArray[np.floating[Any]], mask: NDArray[np.bool_]) -> None:
        """Score one image, as ``score_image`` does.

        Raises:
            MissingPackageError: If PySODMetrics is not installed.
            StatisticsError: If the map holds a NaN, or leaves [0, 1].
        """
        self.rows.append(score_image(prediction, mask))

    def per_image(self) -> ImageScores:
        """Return the metrics of each image.

        Raises:
            DataError: If there is no image.
        """
        if not self.rows:
            raise DataError("there is no image with a mask to score")
        return ImageScores.of(self.rows)

    def scores(self) -> SaliencyScores:
        """Return the means over the images.

        Raises:
            DataError: If there is no image.
        """
        return self.per_image().scores()


def score_image(prediction: NDArray[np.floating[Any]], mask: NDArray[np.bool_]) -> ImageRow:
    """Score one saliency map against its mask with PySODMetrics.

    A prediction goes there as 8 bits, ``round(255 p)``, like a map saved as PNG. PySODMetrics then
    stretches each map by itself to [0, 1], ``(p - min) / (max - min)``, unless it is constant (as
    MATLAB's ``mapminmax``), for all metrics, MAE included. So a uniformly faint map scores as
    high as a bright one, and a map of nearly nothing is stretched to full contrast. A
    mask's values of 255 and 0 are the object and the rest.

    Args:
        prediction: (h, w) in [0, 1]. Another size than the mask's is brought to it, bilinear.
        mask: (H, W) bool, True on the objects.

    Raises:
        MissingPackageError: If PySODMetrics is not installed.
        StatisticsError: If the map holds a NaN, or leaves [0, 1].

    Source: https://github.com/lartpang/PySODMetrics
    """
    sod = metrics_package()
    # `Fmeasure` warns that it will go; this is what it recommends, with the same numbers.
    handler = sod.FmeasureHandler(with_dynamic=True, with_adaptive=False, beta=0.3)
    mae, f, e = sod.MAE(), sod.FmeasureV2({"f": handler}), sod.Emeasure()
    weighted_f, s = sod.WeightedFmeasure(), sod.Smeasure()
    _let_quadrants_be_empty(s)
    levels, truth = to_8_bit(prediction, mask.shape), mask.astype(np.uint8) * 255
    for metric in (mae, f, e, weighted_f, s):
        metric.step(pred=levels, gt=truth)
    objects = score_objects(levels, mask)
    means = {
        "mae": float(mae.get_results()["mae"]),
        "weighted_f": float(weighted_f.get_results()["wfm"]),
        "s_measure": float(s.get_results()["sm"]),
        "si_mae": objects.mae,
        "si_max_f": objects.max_f,
        "si_mean_f": objects.mean_f,
    }
    curves = {"f": f.get_results()["f"]["dynamic"], "e": e.get_results()["em"]["curve"]}
    return ImageRow(means, curves)


def _let_quadrants_be_empty(measure: Any) -> None:
    """Keep an object whose centre is in the last row or column from making the S-measure NaN.

    The S-measure cuts the image at the object's centre. Where a part is empty, PySODMetrics takes
    the mean of nothing and multiplies the NaN by the part's weight, which is 0.
    """
    compare = measure.ssim
    measure.ssim = lambda pred, gt: compare(pred, gt) if pred.size else 0.0
