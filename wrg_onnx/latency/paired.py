"""How a model's time compares with another's, measured in turns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from wrg_onnx.graph import Array, Session
from wrg_onnx.latency.compare import take_turns, timed
from wrg_onnx.latency.interval import Noise, find_noise
from wrg_onnx.latency.times import Times

ROUNDS = 60
"""At most."""

SECONDS = 4.0
"""No round starts later, but some are made."""

FAST = 20
"""Which percentile of the calls is taken."""

CALLS = 10
"""A turn of a fast model holds so many calls at most: it then finds its weights in the caches, as
it does where it is deployed."""


def paired_latency(
    original: Session, other: Session, feeds: Mapping[str, Array], rng: np.random.Generator
) -> tuple[float, Noise]:
    """Return what another model takes over what the original does.

    Args:
        original: The original, ready to run.
        other: The other.
        feeds: One input for both.
        rng: Decides the order in each round.

    Returns:
        The quotient of what the fifth of the calls takes that is fastest, of both in turns. What
        disturbs a call makes it longer, and a long call is disturbed more often: where other
        programs run, medians would flatter the smaller model. And how much calls differed, of
        the noisier of both.
    """
    turns = take_turns(
        {
            "original": timed(lambda: original.run(feeds)),
            "other": timed(lambda: other.run(feeds)),
        },
        warmup=2,
        rounds=ROUNDS,
        rng=rng,
        budget_s=SECONDS,
        most_calls=CALLS,
    )
    first, second = (np.percentile(turns[name], FAST) for name in ("original", "other"))
    noise = max((find_noise(Times((each,))) for each in turns.values()), key=lambda n: n.tail)
    return float(second / first), noise
