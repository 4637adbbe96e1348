"""The figures of each tool over all models."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from peers.outcomes import Outcome, Result


@dataclass(frozen=True, slots=True)
class Summary:
    """One tool over all models. Medians are None where there is nothing to take one of.

    Attributes:
        tool: The tool.
        models: How many models it was given.
        counts: How many models came out in each class.
        stale: How many right files state shapes that the checker refuses.
        removed: Median share of the parameters removed, over all models; what is not a right file
            counts 0.
        removed_right: The same over the right files alone.
        work_s: Median seconds of analysis and rewrite, first call.
        warm_s: The same, a later call.
        whole_s: Median seconds of the process.
        proved_s: Median seconds of the process that also proves the result.
        peak_ratio: Median peak memory over the size of the model's file.
    """

    tool: str
    models: int
    counts: dict[Outcome, int]
    stale: int
    removed: float | None
    removed_right: float | None
    work_s: float | None
    warm_s: float | None
    whole_s: float | None
    proved_s: float | None
    peak_ratio: float | None


@dataclass(frozen=True, slots=True)
class Race:
    """Our seconds over a peer's, on the models that both cut right.

    Attributes:
        peer: The peer.
        models: How many models both cut.
        work: Median of the ratio of analysis and rewrite in the first call, below 1 where we are
            faster; None where the peer has none.
        warm: The same in a later call.
        proved: Median of the ratio of our whole process, proof included, to the peer's.
    """

    peer: str
    models: int
    work: float | None
    warm: float | None
    proved: float | None


def summarise(tool: str, results: Iterable[Result]) -> Summary:
    """Summarise one tool."""
    mine = [result for result in results if result.tool == tool]
    right = [result for result in mine if result.outcome.is_right]
    return Summary(
        tool=tool,
        models=len(mine),
        counts=dict(Counter(result.outcome for result in mine)),
        stale=sum(result.stale for result in right),
        removed=median(r.removed if r.outcome.is_right else 0.0 for r in mine),
        removed_right=median(r.removed for r in right),
        work_s=median(r.work_s for r in mine),
        warm_s=median(r.warm_s for r in mine),
        whole_s=median(r.whole_s for r in mine),
        proved_s=median(r.proved_s for r in mine),
        peak_ratio=median(
            r.peak_bytes / r.file_bytes for r in mine if r.peak_bytes and r.file_bytes
        ),
    )


def race(ours: str, peer: str, results: Sequence[Result]) -> Race:
    """Compare the seconds of two tools on the models that both cut right."""
    right = {(r.tool, r.model): r for r in results if r.outcome.is_right}
    models = [r.model for r in results if r.tool == ours]
    pairs = [(right[ours, m], right[peer, m]) for m in models
             if (ours, m) in right and (peer, m) in right]  # fmt: skip
    return Race(
        peer=peer,
        models=len(pairs),
        work=median(a.work_s / b.work_s for a, b in pairs if a.work_s and b.work_s),
        warm=median(a.warm_s / b.warm_s for a, b in pairs if a.warm_s and b.warm_s),
        proved=median(a.proved_s / b.whole_s for a, b in pairs if a.proved_s and b.whole_s),
    )


def ahead(ours: str, peer: str, results: Sequence[Result], *, margin: float = 0.01) -> list[str]:
    """Name the models of which the peer cuts more, and right, than we could."""
    most = {
        r.model: max(r.removed, r.possible or 0.0)
        for r in results
        if r.tool == ours and r.outcome in (Outcome.CUT, Outcome.LITTLE, Outcome.NOTHING)
    }
    return [
        r.model
        for r in results
        if r.tool == peer and r.outcome.is_right and r.removed > most.get(r.model, 0.0) + margin
    ]


def median(values: Iterable[float | None]) -> float | None:
    """Return the median of what was measured."""
    measured = [value for value in values if value is not None]
    return statistics.median(measured) if measured else None
