"""How sure a choice is: how much of it would stay, whatever images came on top."""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
        found.append(jaccard(removed, ~choose(drawn.astype(np.float64))))
    return float(np.mean(found))


def halves_jaccard(stays: BoolArray, others: Iterable[BoolArray]) -> float:
    """Estimate the same from choices by halves of the images, where to resample is too dear.

    A choice by a random half of n images is as far from that by all as that is from the choice by
    endless images: in a statistic whose variance is s / n, the one differs by s / (n / 2) - s / n,
    which is s / n.

    Args:
        stays: (units,) bool, the choice by all images.
        others: The same by each half.

    Returns:
        The mean Jaccard index of the sets that are removed, in [0, 1].

    Source: half-samples; Efron, "The Jackknife, the Bootstrap and Other Resampling Plans", SIAM
    1982, chapter 8.
    """
    return float(np.mean([jaccard(~stays, ~other) for other in others]))


def jaccard(first: BoolArray, second: BoolArray) -> float:
    """Return the Jaccard index of two sets of units, such as what two choices remove.

    Args:
        first: (units,) bool, what is in the one.
        second: (units,) bool, what is in the other.

    Returns:
        What is in both over what is in either, in [0, 1]; 1 for two empty sets.
    """
    either = int((first | second).sum())
    return int((first & second).sum()) / either if either else 1.0
