"""When to look at the certainty of a choice, and which factor needs no further image."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

from wrg_onnx.calibrate.probes import StoredProbe
from wrg_onnx.factors import Factor

GROWTH = 1.25
"""How much the images grow between two looks at the certainty."""

EARLIEST = 8
"""How many images are looked at before a factor may do without the others."""

SHARE = 0.5
"""How much of the uncertainty that is left in the end may come from a factor that stopped early.
Both add up as squares, so half as much on top makes it 12 % larger."""


def next_look(images: int, least: int, *, several: bool) -> int:
    """Tell after how many images to ask for the certainty again.

    Args:
        images: How many were looked at so far.
        least: How many must be before the pass may end.
        several: Whether there are factors that could stop while others go on.
    """
    if not images:
        return min(EARLIEST, least) if several else least
    return max(least, math.ceil(images * GROWTH))


def spared(
    probes: Sequence[StoredProbe],
    certainty: Callable[[Collection[Factor]], float],
    *,
    share: float,
    enough: float,
) -> StoredProbe | None:
    """Find a probe whose factors need no further image, although those of another one do.

    Each is asked how far the choice would be another one if its own factors had been measured on
    other images. What the others leave open after all images is estimated from what they leave open
    now: an error of a mean falls with the root of the images. A factor stops if what it leaves open
    is at most half of that, or half of what is allowed anyway.

    Args:
        probes: Those that have looked at all images so far.
        certainty: How sure the choice is, in [0, 1], if the images of some factors alone are drawn
            anew.
        share: How many of all images they have looked at, in (0, 1].
        enough: The certainty that is asked for; 1 asks for all images.

    Returns:
        The probe; None if each of them should go on. One always goes on.

    Source: that means of unequal spread want unequal samples is Neyman, "On the two different
    aspects of the representative method", Journal of the Royal Statistical Society 97, 1934. The
    rule is ours.
    """
    if len(probes) < 2 or enough >= 1:
        return None
    unsure = {number: 1 - certainty(probe.factors) for number, probe in enumerate(probes)}
    surest = min(unsure, key=lambda number: unsure[number])
    left = max(unsure.values()) * math.sqrt(share)
    return probes[surest] if unsure[surest] <= SHARE * max(1 - enough, left) else None
