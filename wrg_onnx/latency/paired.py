"""How a model's time compares with another's, measured in turns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from wrg_onnx.graph import Array, Session
from wrg_onnx.latency.compare import take_turns, timed

ROUNDS = 60
"""At most."""

SECONDS = 4.0
"""No round starts later, but some are made."""

CALLS = 10
"""A turn of a fast model holds so many calls at most: it then finds its weights in the caches, as
it does where it is deployed."""


def paired_latency(
    original: Session, other: Session, feeds: Mapping[str, Array], rng: np.random.Generator
) -> float:
    """Return what another model takes over what the original does.

    Args:
        original: The original, ready to run.
        other: The other.
        feeds: One input for both.
        rng: Decides the order in each round.

    Returns:
        The median over rounds of the quotient of both turns, so that a machine that slows down does
        so for both.
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
    first, second = (np.median(turns[name], axis=1) for name in ("original", "other"))
    return float(np.median(second / first))
