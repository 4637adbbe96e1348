"""How fast the weights move, step by step."""

from __future__ import annotations

import math

_SLOWNESS = 10
"""Steps after which the average remembers 10/11 of itself, if its decay allows."""


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Return the share of the largest learning rate: a linear rise, then half a cosine to 0.

    Args:
        step: From 0.
        steps: How many there are.
        warmup: The share of them that rises, in [0, 1).

    Returns:
        A number in (0, 1] for every step below ``steps``.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, arXiv:1608.03983, equation 5, without
    restarts; the rise as in Goyal et al., arXiv:1706.02677.
    """
    rising = round(steps * warmup)
    if step < rising:
        return (step + 1) / (rising + 1)
    share = (step - rising) / max(steps - rising, 1)
    return 0.5 * (1 + math.cos(math.pi * share))


def average_decay(step: int, largest: float) -> float:
    """Return how much of the average stays in a step, so that a short run is averaged, too.

    Args:
        step: From 0.
        largest: The decay in the long run, in [0, 1).
    """
    return min(largest, (1 + step) / (_SLOWNESS + step))
