"""Time models in ONNX Runtime, as a user would deploy them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wrg_onnx.errors import UsageError
from wrg_onnx.graph import Array, Graph, Provider, Session, open_session, resolve_provider
from wrg_onnx.latency.compare import Runner, take_turns, timed
from wrg_onnx.latency.interval import Noise, Ratio, compare_medians, find_noise
from wrg_onnx.latency.times import Latency, Times
from wrg_onnx.progress import Counter, Progress, silent


@dataclass(frozen=True, slots=True)
class Speed:
    """Latency of two models, and of one between them, measured turn by turn.

    Attributes:
        provider: Where ONNX Runtime computed.
        before: The original's latency.
        after: The pruned model's.
        speedup: How many times as fast as the original the pruned model is, with what the turns
            leave open. Both ran in this process: how processes differ it does not know.
        noise: How much times of one model differ, of the noisier of both.
        float32: The pruned model's before it was written in other numbers, which took turns of its
            own with the original; None if it was not.
    """

    provider: str
    before: Latency
    after: Latency
    speedup: Ratio
    noise: Noise
    float32: Latency | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to measure.

    Attributes:
        warmup: Runs of each model before the clock counts.
        rounds: Turns of each model, at most.
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
    *,
    progress: Progress = silent,
) -> Mapping[str, Times]:
    """Time models in this process, as a user would deploy them, in interleaved rounds.

    Args:
        models: The models by name, or sessions of them at the provider. All take the same feeds.
        feeds: One input.
        provider: ``CPU`` or ``CUDA``.
        timing: How long to measure.
        rng: Decides the order in each round.
        progress: Told how many rounds are done; the last ones may be left out for time.

    Returns:
        The times by name, of one process and with one call a turn.
    """
    sessions = {
        name: model if isinstance(model, Session) else open_session(model, provider=provider)
        for name, model in models.items()
    }
    runners = {name: _runner(session, feeds) for name, session in sessions.items()}
    turns = take_turns(
        runners, warmup=timing.warmup, rounds=timing.rounds, rng=rng, budget_s=timing.budget_s,
        told=Counter(progress, "latency", timing.rounds).add,
    )  # fmt: skip
    return {name: Times((times,)) for name, times in turns.items()}


def time_pair(  # noqa: PLR0913 - two models, and how to time them
    before: Session,
    after: Session,
    feeds: Mapping[str, Array],
    provider: Provider,
    timing: Timing,
    rng: np.random.Generator,
    *,
    progress: Progress = silent,
) -> Speed:
    """Time a model and what became of it in this process.

    Args:
        before: A session of the original at the provider.
        after: One of the pruned model.
        feeds: One input of both.
        provider: ``CPU`` or ``CUDA``.
        timing: How long to measure.
        rng: Decides the order in each round, and draws for the interval.
        progress: Told how many rounds are done.
    """
    models = {"before": before, "after": after}
    times = time_models(models, feeds, provider, timing, rng, progress=progress)
    first, second = times["before"], times["after"]
    noise = max(find_noise(first), find_noise(second), key=lambda found: found.tail)
    ratio = compare_medians(first, second, rng)
    return Speed(provider.value, first.latency, second.latency, ratio, noise)


def _runner(session: Session, feeds: Mapping[str, Array]) -> Runner:
    return timed(lambda: session.run(feeds))
