"""Judge a pruned model beside its original, on the same samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from wrg_onnx.data.dataset import DataSet
from wrg_onnx.data.saliency_map import SaliencyMap, read_saliency
from wrg_onnx.errors import UsageError
from wrg_onnx.evaluate.agreement import Agreement, OutputAgreement
from wrg_onnx.evaluate.latency import Latency, compare_latency
from wrg_onnx.evaluate.saliency import SaliencyScores, SaliencyTotals
from wrg_onnx.graph import (
    Array,
    Graph,
    Provider,
    Session,
    open_session,
    origins,
    resolve_provider,
)
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
    """

    data: str
    before: SaliencyScores | None
    after: SaliencyScores | None
    agreement: tuple[OutputAgreement, ...]
    cut: Judged | None = None
    unjudged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """How good one model is.

    Attributes:
        scores: The metrics; None without masks or without a saliency map.
        agreement: How far each of its outputs is from the original's.
    """

    scores: SaliencyScores | None
    agreement: tuple[OutputAgreement, ...]


@dataclass(frozen=True, slots=True)
class Speed:
    """Latency of two models, measured turn by turn.

    Attributes:
        provider: Where ONNX Runtime computed.
        before: The original's latency.
        after: The pruned model's.
    """

    provider: str
    before: Latency
    after: Latency

    @property
    def speedup(self) -> float:
        """Median of the original over median of the pruned model."""
        return self.before.median_ms / self.after.median_ms


def judge(
    original: Session,
    pruned: Session,
    data: DataSet,
    saliency: SaliencyMap | None,
    *,
    cut: Session | None = None,
    progress: Progress = silent,
) -> Accuracy:
    """Run the models on each sample and compare them with the masks and with each other.

    Args:
        original: The original model.
        pruned: The pruned model.
        data: The validation set.
        saliency: How to read the saliency map, None if the models have none.
        cut: The pruned model before it was recovered, if it is to be judged too.
        progress: Told how many samples are done.

    Returns:
        The scores and the agreement.
    """
    # All run on a sample before the next one is read: no output is kept.
    sessions = [original, pruned, *([] if cut is None else [cut])]
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
    judged = [
        Judged(score, agreement.outputs())
        for score, agreement in zip(scores[1:], agreements, strict=True)
    ]
    compared = origins(original.outputs, [one.output for one in judged[0].agreement]).values()
    return Accuracy(
        data.description,
        scores[0],
        judged[0].scores,
        judged[0].agreement,
        judged[1] if cut is not None else None,
        tuple(name for name in original.outputs if name not in compared),
    )


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to measure.

    Attributes:
        warmup: Runs of each model before the clock counts.
        rounds: Timed runs of each model, at most.
        budget_s: No round starts later than this, but at least 5 are made.

    Raises:
        UsageError: If a number of runs is out of its range.
    """

    warmup: int = 3
    rounds: int = 50
    budget_s: float = 10.0

    def __post_init__(self) -> None:
        for name, least in (("rounds", 1), ("warmup", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, got {getattr(self, name)}")


def available_providers(provider: Provider) -> tuple[Provider, ...]:
    """Return where to measure: the one asked for, or for ``auto`` the CPU and CUDA if it is there.

    Raises:
        UsageError: If CUDA is asked for and this ONNX Runtime does not have it.
    """
    resolved = resolve_provider(provider)
    if provider is Provider.AUTO and resolved is Provider.CUDA:
        return (Provider.CPU, Provider.CUDA)
    return (resolved,)


def time_models(
    models: Mapping[str, Graph | Session],
    feeds: Mapping[str, Array],
    provider: Provider,
    timing: Timing,
    rng: np.random.Generator,
) -> Mapping[str, Latency]:
    """Time models in ONNX Runtime as a user would deploy them, in interleaved rounds.

    Args:
        models: The models by name, or sessions of them at the provider. All take the same feeds.
        feeds: One input.
        provider: ``CPU`` or ``CUDA``.
        timing: How long to measure.
        rng: Decides the order in each round.

    Returns:
        The latency by name.
    """
    sessions = {
        name: model if isinstance(model, Session) else open_session(model, provider=provider)
        for name, model in models.items()
    }
    runners = {name: _runner(session, feeds) for name, session in sessions.items()}
    return compare_latency(
        runners, warmup=timing.warmup, rounds=timing.rounds, rng=rng, budget_s=timing.budget_s
    )


def _runner(session: Session, feeds: Mapping[str, Array]) -> Callable[[], object]:
    return lambda: session.run(feeds)
