"""At which widths a model is run, so that each layer is seen at many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wrg_onnx.channels import BoolArray, Units
from wrg_onnx.latency.steps import ChannelSteps

UNIFORM = (0.5, 0.25, 0.75)
"""Shares of all layers alike: what is asked for lies near them."""

UNEVEN = 4
"""Every so many of the others has counts that fast layouts do not take."""


def widths(
    units: Units, steps: ChannelSteps, count: int, rng: np.random.Generator
) -> Iterator[BoolArray]:
    """Yield what stays of a model at several widths.

    The first is the model as it is. Then come all layers at the same shares, then layers at shares
    of their own: over all widths each layer has each of as many shares once (a Latin hypercube).

    Args:
        units: The analysis of the model.
        steps: How the machine counts channels: most widths are whole blocks.
        count: How many widths, at least 2.
        rng: Draws the shares.

    Yields:
        (units,) bool.

    Source: the hypercube; McKay, Beckman and Conover, Technometrics 21, 1979.
    """
    groups = int(units.group.max(initial=-1)) + 1
    total = np.bincount(units.group, minlength=groups)
    free = np.bincount(units.group, weights=units.removable, minlength=groups).astype(np.int64)
    order = np.flatnonzero(units.removable)
    order = order[np.argsort(units.group[order], kind="stable")]
    of = units.group[order]
    starts = np.cumsum(free) - free
    place = np.arange(len(order)) - starts[of]
    yield np.ones(units.count, bool)
    drawn = count - 1 - min(len(UNIFORM), count - 1)
    shares = [np.full(groups, share) for share in UNIFORM[: count - 1]]
    if drawn:
        strata = np.stack([rng.permutation(drawn) for _ in range(groups)], axis=1)
        shares += list((strata + rng.random((drawn, groups))) / drawn)
    for number, share in enumerate(shares):
        kept = np.maximum(1, np.round(share * total).astype(np.int64))
        if number < len(UNIFORM) or number % UNEVEN:
            kept = -(-kept // steps.block) * steps.block
        removed = np.clip(total - kept, 0, np.minimum(free, total - 1))
        alive = np.ones(units.count, bool)
        alive[order[place < removed[of]]] = False
        yield alive
