"""The F-measure of a saliency map at every threshold, and the largest one over a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from wrg_onnx.errors import DataError, StatisticsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BETA_SQUARED = 0.3


class LargestF:
    """The largest F-measure of the images so far; the images themselves are not kept.

    It is ``SaliencyScores.max_f``, to the digit, without PySODMetrics and the metrics beside it, so
    that it can be taken often.

    Attributes:
        images: How many images were added.

    Source: Achanta et al., "Frequency-tuned Salient Region Detection", CVPR 2009, equation 6.
    """

    def __init__(self) -> None:
        self._curve = np.zeros(256)
        self.images = 0

    def add(self, prediction: NDArray[np.floating[Any]], mask: NDArray[np.bool_]) -> None:
        """Add one image.

        Args:
            prediction: (h, w) in [0, 1]. Another size than the mask's is brought to it, bilinear.
            mask: (H, W) bool, True on the objects. Without an object F is 0 at every threshold.

        Raises:
            StatisticsError: If the map holds a NaN, or leaves [0, 1].
        """
        steps = to_steps(stretch(to_8_bit(prediction, mask.shape)))
        if mask.any():
            self._curve += f_curve(steps, mask, mask.size)
        self.images += 1

    def value(self) -> float:
        """Return the largest value of the curve, averaged over the images first, in [0, 1].

        Raises:
            DataError: If there is no image.
        """
        if not self.images:
            raise DataError("there is no image with a mask to score")
        return float(self._curve.max() / self.images)


def to_8_bit(prediction: NDArray[np.floating[Any]], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return a map as (H, W) uint8 at the mask's size, as one that is saved as PNG.

    Args:
        prediction: (h, w) in [0, 1].
        shape: The mask's, (H, W).

    Raises:
        StatisticsError: If the map holds a NaN, or leaves [0, 1].
    """
    values = prediction.astype(np.float32)
    if not (values.min() >= 0 and values.max() <= 1):  # a NaN compares as False
        raise StatisticsError(
            f"a saliency map must lie in [0, 1], got {values.min()} to {values.max()}"
        )
    if values.shape != shape:
        height, width = shape
        resized = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR)
        values = np.clip(np.asarray(resized), 0, 1)
    return np.rint(values * 255).astype(np.uint8)


def stretch(levels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Bring a map to [0, 1] as MATLAB's ``mapminmax``; a constant one stays what it is."""
    values = levels / 255
    low, high = values.min(), values.max()
    return np.asarray((values - low) / (high - low) if low != high else values)


def to_steps(stretched: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return which of the 256 thresholds each pixel reaches: those up to its number."""
    # Truncated, not rounded: a threshold is reached by what is not below it.
    return (stretched * 255).astype(np.uint8)


def f_curve(steps: NDArray[np.uint8], mask: NDArray[np.bool_], pixels: int) -> NDArray[np.float64]:
    """Return the F-measure of a box in an image, at the thresholds 255 to 0.

    Args:
        steps: (h, w), the thresholds that its pixels reach.
        mask: (h, w), True on the objects, of which there must be one.
        pixels: How many pixels the image has, in and out of the box.

    Returns:
        (256,), in [0, 1].
    """
    # Counts at each of the 256 levels, summed up from the highest: how many pixels reach it.
    hits = np.cumsum(np.bincount(steps[mask], minlength=256)[::-1])
    marked = np.cumsum(np.bincount(steps.ravel(), minlength=256)[::-1])
    marked[-1] = pixels  # threshold 0 is reached outside of the box, too
    # The weighted harmonic mean of precision, hits / marked, and recall, hits / hits[-1], is hits
    # over the weighted mean of what they are divided by.
    recall_weight = BETA_SQUARED / (1 + BETA_SQUARED)
    return np.asarray(hits / (marked + recall_weight * (hits[-1] - marked)))
