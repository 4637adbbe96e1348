"""How sure a choice is: how much of it would stay, whatever images came on top."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wrg_onnx.factors import BoolArray, Float64Array

RESAMPLES = 20
"""Their mean is known to a fifth of their spread."""


def expected_jaccard(
    choose: Callable[[Float64Array | None], BoolArray], images: int, rng: np.random.Generator
) -> float:
    """Estimate the overlap of a choice with the one that endless images would lead to.

    A choice from as many images, drawn from these with replacement, is to this choice what this one
    is to that of all images there could be.

    Args:
        choose: Takes (images,) float64, how often each image counts, None for once each; returns
            (units,) bool, what stays.
        images: How many images the statistics were taken from.
        rng: Draws them.

    Returns:
        The mean Jaccard index of the sets that are removed, in [0, 1]; 1 where nothing is removed.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979.
    """
    removed = ~choose(None)
    found = []
    for _ in range(RESAMPLES):
        drawn = np.bincount(rng.integers(images, size=images), minlength=images)
        other = ~choose(drawn.astype(np.float64))
        either = int((removed | other).sum())
        found.append(int((removed & other).sum()) / either if either else 1.0)
    return float(np.mean(found))
