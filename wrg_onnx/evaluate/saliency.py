"""The metrics of salient object detection over a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wrg_onnx.errors import DataError, MissingPackageError
from wrg_onnx.evaluate.f_measure import to_8_bit
from wrg_onnx.evaluate.size_invariance import ObjectScores, score_objects

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
        predictions: Pairs of a map and its mask, as ``SaliencyTotals.add`` takes them.

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

    A prediction goes there as 8 bits, ``round(255 p)``, like a map saved as PNG. PySODMetrics then
    stretches each map by itself to [0, 1], ``(p - min) / (max - min)``, unless it is constant (as
    MATLAB's ``mapminmax``), for all metrics, MAE included. So a uniformly faint map scores as
    high as a bright one, and a map of nearly nothing is stretched to full contrast. A
    mask's values of 255 and 0 are the object and the rest.

    Attributes:
        images: How many images were added.

    Raises:
        MissingPackageError: If PySODMetrics is not installed.

    Source: https://github.com/lartpang/PySODMetrics
    """

    def __init__(self) -> None:
        sod = metrics_package()
        # `Fmeasure` warns that it will go; this is what it recommends, with the same numbers.
        f_handler = sod.FmeasureHandler(with_dynamic=True, with_adaptive=False, beta=0.3)
        self._mae, self._f, self._e = sod.MAE(), sod.FmeasureV2({"f": f_handler}), sod.Emeasure()
        self._weighted_f, self._s = sod.WeightedFmeasure(), sod.Smeasure()
        _let_quadrants_be_empty(self._s)
        self._objects: list[ObjectScores] = []
        self.images = 0

    def add(self, prediction: NDArray[np.floating[Any]], mask: NDArray[np.bool_]) -> None:
        """Score one image.

        Args:
            prediction: (h, w) in [0, 1]. Another size than the mask's is brought to it, bilinear.
            mask: (H, W) bool, True on the objects.

        Raises:
            StatisticsError: If the map holds a NaN, or leaves [0, 1].
        """
        levels, truth = to_8_bit(prediction, mask.shape), mask.astype(np.uint8) * 255
        for metric in (self._mae, self._f, self._e, self._weighted_f, self._s):
            metric.step(pred=levels, gt=truth)
        self._objects.append(score_objects(levels, mask))
        self.images += 1

    def scores(self) -> SaliencyScores:
        """Return the means over the images.

        Raises:
            DataError: If there is no image.
        """
        if not self.images:
            raise DataError("there is no image with a mask to score")
        f_curve = self._f.get_results()["f"]["dynamic"]
        return SaliencyScores(
            mae=float(self._mae.get_results()["mae"]),
            max_f=float(f_curve.max()),
            mean_f=float(f_curve.mean()),
            weighted_f=float(self._weighted_f.get_results()["wfm"]),
            s_measure=float(self._s.get_results()["sm"]),
            max_e=float(self._e.get_results()["em"]["curve"].max()),
            si_mae=float(np.mean([one.mae for one in self._objects])),
            si_max_f=float(np.mean([one.max_f for one in self._objects])),
            si_mean_f=float(np.mean([one.mean_f for one in self._objects])),
            images=self.images,
        )


def _let_quadrants_be_empty(measure: Any) -> None:
    """Keep an object whose centre is in the last row or column from making the S-measure NaN.

    The S-measure cuts the image at the object's centre. Where a part is empty, PySODMetrics takes
    the mean of nothing and multiplies the NaN by the part's weight, which is 0.
    """
    compare = measure.ssim
    measure.ssim = lambda pred, gt: compare(pred, gt) if pred.size else 0.0
