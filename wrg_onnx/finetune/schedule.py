"""How fast the weights move, step by step."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from wrg_onnx.twin import Twin

_SLOWNESS = 10
"""Steps after which the average remembers 10/11 of itself, if its decay allows."""


_LEAST_SIZE = 1e-3
"""The size that a weight of zeros is taken to have."""


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


def weight_groups(twin: Twin, weight_decay: float) -> list[dict[str, Any]]:
    """Make a group of each weight, so that its steps are in proportion to its size.

    The learning rate of a file from elsewhere is not known. Where normalisation follows a layer its
    weights may be of any size, and a step that suits one layer destroys the next.

    Source: the relative step of Shazeer and Stern, "Adafactor", ICML 2018, arXiv:1804.04235,
    section 8, with the size measured once, before training.
    """
    return [
        {"params": [p], "weight_decay": weight_decay if _decays(p) else 0.0, "size": size_of(p)}
        for p in twin.parameters_by_name().values()
    ]


def _decays(parameter: Tensor) -> bool:
    """Tell weights from biases, scales and slopes, which have one axis that counts."""
    return sum(size > 1 for size in parameter.shape) > 1


def size_of(parameter: Tensor) -> float:
    """Return the root of a weight's mean square, but not nothing for one of zeros."""
    return max(float(parameter.detach().double().square().mean().sqrt()), _LEAST_SIZE)
