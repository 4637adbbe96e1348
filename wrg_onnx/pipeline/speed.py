"""Time a model and its original on each provider that is there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wrg_onnx.channels import random_feeds
from wrg_onnx.graph import Graph, Provider, Session, open_session, resolve_provider
from wrg_onnx.latency import Speed, Timing, available_providers, time_pair
from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.progress import Progress, silent


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A model and what became of it, ready to run: to be judged, and then timed.

    Attributes:
        provider: Where; ``CPU`` or ``CUDA``.
        original: The original.
        pruned: What became of it.
    """

    provider: Provider
    original: Session
    pruned: Session


def open_pair(original: Graph, pruned: Graph, provider: Provider) -> Pair:
    """Make sessions of both where accuracy is measured."""
    place = resolve_provider(provider)
    first, second = (open_session(graph, provider=place) for graph in (original, pruned))
    return Pair(place, first, second)


def measure_speed(  # noqa: PLR0913 - two models, a third between them, and how to time them
    model: Model,
    pruned: Graph,
    provider: Provider,
    timing: Timing,
    opened: Pair,
    *,
    seed: int,
    float32: Graph | None = None,
    progress: Progress = silent,
) -> tuple[Speed, ...]:
    """Time them turn by turn, on the same random input.

    Args:
        model: The original, analysed at the shapes of the input.
        pruned: What became of it.
        provider: Where; ``AUTO`` measures on the CPU and, where it is there, on CUDA.
        timing: How long.
        opened: Sessions of both, which are used where they are.
        seed: Seed of the input, and of the order in each round.
        float32: The pruned model before it was written in other numbers, if it was.
        progress: Told how many rounds are done.
    """
    rng = np.random.default_rng(seed)
    feeds = random_feeds(model.graph, model.input_shapes, rng)
    found = []
    for place in available_providers(provider):
        pair = opened if place is opened.provider else open_pair(model.graph, pruned, place)
        speed = time_pair(pair.original, pair.pruned, feeds, place, timing, rng, progress=progress)
        if float32 is not None:
            between = open_session(float32, provider=place)
            turns = time_pair(pair.original, between, feeds, place, timing, rng, progress=progress)
            speed = replace(speed, float32=turns.after)
        found.append(speed)
    return tuple(found)
