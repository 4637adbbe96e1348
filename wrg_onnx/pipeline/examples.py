"""The best, median and worst held-out image, and what both models make of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.data.dataset import DataSet, Sample
from wrg_onnx.data.preprocess import Preprocessing, to_pixels
from wrg_onnx.data.saliency_map import SaliencyMap, read_saliency
from wrg_onnx.evaluate.bootstrap import PerImage
from wrg_onnx.evaluate.examples import Pick, largest_f, ordered_by, pick_images
from wrg_onnx.evaluate.judge import Judgement
from wrg_onnx.graph import Session
from wrg_onnx.report.details import Example, Examples
from wrg_onnx.report.pictures import gray_pixels, small_picture
from wrg_onnx.report.small import known, rounded, short_text


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """One image, and the saliency map of each model, (H, W) float32 in [0, 1]."""

    pick: Pick
    sample: Sample
    original: NDArray[np.float32]
    pruned: NDArray[np.float32]

    @property
    def difference(self) -> NDArray[np.float32]:
        return np.asarray(np.abs(self.original - self.pruned))


def show_examples(
    original: Session,
    pruned: Session,
    found: Judgement,
    preprocessing: Preprocessing,
    saliency: SaliencyMap,
) -> Examples:
    """Run both models once more on the images that are best, median and worst.

    Args:
        original: The original.
        pruned: What became of it.
        found: What both had on each of the images that were judged.
        preprocessing: How an image is fed.
        saliency: How to read the map of both.
    """
    judged = found.per_image
    seen = [_look(original, pruned, found.data, pick, saliency) for pick in pick_images(judged)]
    white = max(float(one.difference.max()) for one in seen) or 1.0
    shown = tuple(_example(one, judged, preprocessing, white) for one in seen)
    return Examples(ordered_by(judged), judged.images, shown)


def _look(
    original: Session, pruned: Session, data: DataSet, pick: Pick, saliency: SaliencyMap
) -> _Seen:
    sample = data[pick.index]
    first, second = (
        read_saliency(session.run(sample.feeds, [saliency.output])[saliency.output], saliency)
        for session in (original, pruned)
    )
    return _Seen(pick, sample, first, second)


def _example(seen: _Seen, judged: PerImage, preprocessing: Preprocessing, white: float) -> Example:
    pick, mask = seen.pick, seen.sample.mask
    before, after, index = judged.before, judged.after, pick.index
    (error,) = known([pick.error])
    return Example(
        place=pick.place,
        name=short_text(seen.sample.name),
        score=error if pick.drop is None else rounded(pick.drop),
        max_f_before=None if before is None else rounded(largest_f(before)[index]),
        max_f_after=None if after is None else rounded(largest_f(after)[index]),
        mae_before=None if before is None else rounded(before.means["mae"][index]),
        mae_after=None if after is None else rounded(after.means["mae"][index]),
        error=error,
        input=small_picture(to_pixels(seen.sample.feeds[preprocessing.input], preprocessing)),
        mask=None if mask is None else small_picture(gray_pixels(mask.astype(np.float32))),
        original=small_picture(gray_pixels(seen.original)),
        pruned=small_picture(gray_pixels(seen.pruned)),
        difference=small_picture(gray_pixels(seen.difference / white)),
        difference_white=rounded(white),
    )
