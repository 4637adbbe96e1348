"""Judge a pruned model beside its original, on the same samples."""

from __future__ import annotations

from dataclasses import dataclass

from wrg_onnx.data.dataset import DataSet
from wrg_onnx.data.saliency_map import SaliencyMap, read_saliency
from wrg_onnx.evaluate.agreement import Agreement, OutputAgreement
from wrg_onnx.evaluate.saliency import SaliencyScores, SaliencyTotals
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
    # All run on a sample before the next one is read: no output is kept.
    between = {"cut": cut, "float32": float32}
    asked = {name: session for name, session in between.items() if session is not None}
    sessions = [original, pruned, *asked.values()]
    scored = saliency is not None and data.has_masks
    totals = [SaliencyTotals() if scored else None for _ in sessions]
    agreements = [Agreement() for _ in sessions[1:]]
    for number, sample in enumerate(data, start=1):
        found = [session.run(sample.feeds) for session in sessions]
        for total, outputs in zip(totals, found, strict=True):
            if total is not None and saliency is not None and sample.mask is not None:
                total.add(read_saliency(outputs[saliency.output], saliency), sample.mask)
        for agreement, outputs in zip(agreements, found[1:], strict=True):
            agreement.add(found[0], outputs)
        progress("evaluate", number, len(data))
    scores = [None if total is None else total.scores() for total in totals]
    after, *others = (
        Judged(score, agreement.outputs())
        for score, agreement in zip(scores[1:], agreements, strict=True)
    )
    judged = dict(zip(asked, others, strict=True))
    compared = origins(original.outputs, [one.output for one in after.agreement]).values()
    return Accuracy(
        data.description,
        scores[0],
        after.scores,
        after.agreement,
        judged.get("cut"),
        tuple(name for name in original.outputs if name not in compared),
        judged.get("float32"),
    )
