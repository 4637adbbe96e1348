"""The original on a data set: it runs, and is scored, once for all models held against it."""

from __future__ import annotations

from collections.abc import Mapping

from wrg_onnx.data.dataset import DataSet, Sample
from wrg_onnx.data.saliency_map import SaliencyMap, read_saliency
from wrg_onnx.evaluate.image_scores import ImageRow, ImageScores
from wrg_onnx.evaluate.saliency import metrics_package, score_image
from wrg_onnx.graph import Array, Session


class Reference:
    """What the original answers, and how good that is.

    Scores are kept, and answers as long as there is room for them: a second model that is judged
    takes no run of the original on those samples.

    Args:
        session: The original.
        data: On what it is judged.
        saliency: How to read its saliency map, None if it has none.
        most_bytes: How many bytes of answers are kept.

    Attributes:
        session: The original.
        data: On what it is judged.
        saliency: How to read its saliency map; None where there is none, or are no masks.

    Raises:
        MissingPackageError: If there are maps to score, and PySODMetrics is not installed.
    """

    def __init__(
        self, session: Session, data: DataSet, saliency: SaliencyMap | None, most_bytes: int = 0
    ) -> None:
        self.session, self.data = session, data
        self.saliency = saliency if data.has_masks else None
        if self.saliency is not None:
            metrics_package()
        self._room = most_bytes
        self._answers: dict[int, Mapping[str, Array]] = {}
        self._rows: dict[int, ImageRow] = {}

    def answer(self, index: int, sample: Sample) -> Mapping[str, Array]:
        """Return the original's outputs for the sample of this number, and score them."""
        found = self._answers.get(index)
        if found is None:
            found = self.session.run(sample.feeds)
            size = sum(array.nbytes for array in found.values())
            if size <= self._room:
                self._room -= size
                self._answers[index] = found
        if index not in self._rows and (row := self.score(found, sample)) is not None:
            self._rows[index] = row
        return found

    def score(self, outputs: Mapping[str, Array], sample: Sample) -> ImageRow | None:
        """Score a model's outputs for a sample; None where there is nothing to score."""
        if self.saliency is None or sample.mask is None:
            return None
        return score_image(read_saliency(outputs[self.saliency.output], self.saliency), sample.mask)

    def per_image(self) -> ImageScores | None:
        """Return the original's metrics of each sample; None where nothing was scored.

        Every sample must have been answered.
        """
        if not self._rows:
            return None
        return ImageScores.of([self._rows[index] for index in range(len(self.data))])
