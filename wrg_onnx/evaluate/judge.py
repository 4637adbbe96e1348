"""Judge a pruned model beside its original, on the same samples."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from wrg_onnx.calibrate.kept_rows import digest_of
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.data.saliency_map import SaliencyMap
from wrg_onnx.evaluate.agreement import Agreement, OutputAgreement
from wrg_onnx.evaluate.bootstrap import PerImage
from wrg_onnx.evaluate.image_scores import SaliencyScores
from wrg_onnx.evaluate.reference import Reference
from wrg_onnx.evaluate.saliency import SaliencyTotals
from wrg_onnx.graph import Session, origins
from wrg_onnx.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How good two models are on one data set.

    Attributes:
        data: What they were judged on.
        before: The original's metrics; None without masks or without a saliency map.
        after: The pruned model's.
        agreement: How far each output of the pruned model is from the original's.
        cut: What was cut and not yet recovered, judged like ``after``; None if nothing was
            recovered, or it was not judged.
        unjudged: The outputs that nothing was compared of, since they are of text, or empty.
        float32: The pruned model before it was written in other numbers, judged like ``after``;
            None if it was not.
    """

    data: str
    before: SaliencyScores | None
    after: SaliencyScores | None
    agreement: tuple[OutputAgreement, ...]
    cut: Judged | None = None
    unjudged: tuple[str, ...] = ()
    float32: Judged | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """How good one model is.

    Attributes:
        scores: The metrics; None without masks or without a saliency map.
        agreement: How far each of its outputs is from the original's.
    """

    scores: SaliencyScores | None
    agreement: tuple[OutputAgreement, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """How good a model is beside its original, over the data set and on each sample.

    Attributes:
        accuracy: Over the data set.
        per_image: On each sample.
        data: The data set.
    """

    accuracy: Accuracy
    per_image: PerImage
    data: DataSet


def judge(  # noqa: PLR0913 - two models, and those between them
    original: Session,
    pruned: Session,
    data: DataSet,
    saliency: SaliencyMap | None,
    *,
    cut: Session | None = None,
    float32: Session | None = None,
    progress: Progress = silent,
) -> Accuracy:
    """Run the models on each sample and compare them with the masks and with each other.

    Args:
        original: The original model.
        pruned: The pruned model.
        data: The validation set.
        saliency: How to read the saliency map, None if the models have none.
        cut: The pruned model before it was recovered, if it is to be judged too.
        float32: The pruned model before it was written in other numbers, if it was.
        progress: Told how many samples are done.

    Returns:
        The scores and the agreement.
    """
    reference = Reference(original, data, saliency)
    found = judge_images(reference, pruned, cut=cut, float32=float32, progress=progress)
    return found.accuracy


def judge_images(
    reference: Reference,
    pruned: Session,
    *,
    cut: Session | None = None,
    float32: Session | None = None,
    progress: Progress = silent,
) -> Judgement:
    """Run models on each sample, and hold them against the masks and the original.

    Args:
        reference: The original, on its samples.
        pruned: The pruned model.
        cut: The pruned model before it was recovered, if it is to be judged too.
        float32: The pruned model before it was written in other numbers, if it was.
        progress: Told how many samples are done.

    Returns:
        The scores and the agreement, over all samples and on each.
    """
    # All run on a sample before the next one is read.
    data, scored = reference.data, reference.saliency is not None
    between = {"cut": cut, "float32": float32}
    asked = {name: session for name, session in between.items() if session is not None}
    sessions = [pruned, *asked.values()]
    totals = [SaliencyTotals() if scored else None for _ in sessions]
    agreements = [Agreement() for _ in sessions]
    digest = hashlib.sha256()
    for index, sample in enumerate(data):
        answer = reference.answer(index, sample)
        digest.update(digest_of(sample).encode())
        for session, total, agreement in zip(sessions, totals, agreements, strict=True):
            outputs = session.run(sample.feeds)
            row = reference.score(outputs, sample)
            if total is not None and row is not None:
                total.rows.append(row)
            agreement.add(answer, outputs)
        progress("evaluate", index + 1, len(data))
    before = reference.per_image()
    first, *others = (
        Judged(None if total is None else total.scores(), agreement.outputs())
        for total, agreement in zip(totals, agreements, strict=True)
    )
    judged = dict(zip(asked, others, strict=True))
    outputs_of = reference.session.outputs
    compared = origins(outputs_of, [one.output for one in first.agreement]).values()
    accuracy = Accuracy(
        data.description,
        None if before is None else before.scores(),
        first.scores,
        first.agreement,
        judged.get("cut"),
        tuple(name for name in outputs_of if name not in compared),
        judged.get("float32"),
    )
    after = None if totals[0] is None else totals[0].per_image()
    errors = agreements[0].per_sample()
    per_image = PerImage(len(data), before, after, errors, digest.hexdigest())
    return Judgement(accuracy, per_image, data)
