"""How a model's time compares with another's, measured in turn."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from wrg_onnx.graph import Array, Session

ROUNDS = 15
"""At least."""

SECONDS = 2.0
"""At least, so that models that take a millisecond are run often."""

MOST_SECONDS = 20.0
"""No round starts later, but five are made."""


def paired_latency(original: Session, other: Session, feeds: Mapping[str, Array]) -> float:
    """Return what another model takes over what the original does.

    Args:
        original: The original, ready to run.
        other: The other.
        feeds: One input for both.

    Returns:
        The median over rounds of the quotient: in each the two run one behind the other, so that a
        machine that slows down does so for both.
    """
    start = time.perf_counter()
    shares: list[float] = []
    for session in (original, other):
        session.run(feeds)
    while True:
        spent = time.perf_counter() - start
        done = len(shares)
        if (done >= ROUNDS and spent > SECONDS) or (done >= 5 and spent > MOST_SECONDS):
            return float(np.median(shares))
        taken = []
        for session in (original, other):
            begin = time.perf_counter_ns()
            session.run(feeds)
            taken.append(time.perf_counter_ns() - begin)
        shares.append(taken[1] / taken[0])
