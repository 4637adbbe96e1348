"""Time a model and its original on each provider that is there."""

from __future__ import annotations

import numpy as np

from wrg_onnx.channels import random_feeds
from wrg_onnx.evaluate.judge import Speed, Timing, available_providers, time_models
from wrg_onnx.graph import Graph, Provider
from wrg_onnx.pipeline.analyse import Model


def measure_speed(
    model: Model, pruned: Graph, provider: Provider, timing: Timing, *, seed: int
) -> tuple[Speed, ...]:
    """Time both, turn by turn, on the same random input.

    Args:
        model: The original, analysed at the shapes of the input.
        pruned: What became of it.
        provider: Where; ``AUTO`` measures on the CPU and, where it is there, on CUDA.
        timing: How long.
        seed: Seed of the input, and of the order in each round.
    """
    rng = np.random.default_rng(seed)
    feeds = random_feeds(model.graph, model.input_shapes, rng)
    found = []
    for place in available_providers(provider):
        latency = time_models({"before": model.graph, "after": pruned}, feeds, place, timing, rng)
        found.append(Speed(place.value, latency["before"], latency["after"]))
    return tuple(found)
