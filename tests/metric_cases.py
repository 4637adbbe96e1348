"""Saliency maps and masks that a metric may stumble over."""

from __future__ import annotations

import numpy as np

SHAPE = (48, 64)


def mask_of(*boxes):
    """Draw objects, given as (top, bottom, left, right)."""
    mask = np.zeros(SHAPE, bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


def ring(mask):
    """Hollow the first object out, and put a small one into its box."""
    mask[8:20, 8:28] = False
    mask[10:18, 12:24] = True
    return mask


MASKS = {
    "one object": mask_of((10, 30, 10, 40)),
    "sizes apart": mask_of((2, 40, 2, 30), (5, 14, 50, 60), (40, 47, 40, 52)),
    "too small ones": mask_of((2, 40, 2, 30), (5, 9, 50, 54), (44, 46, 40, 60)),
    "small ones alone": mask_of((5, 9, 5, 9), (20, 22, 30, 38), (40, 42, 3, 5)),
    "one pixel": mask_of((20, 21, 30, 31)),
    "across a corner": mask_of((10, 20, 10, 20), (20, 30, 20, 30)),
    "in another's box": ring(mask_of((4, 24, 4, 32))),
    "at the border": mask_of((0, 20, 0, 12), (40, 48, 50, 64)),
    "in the last corner": mask_of((47, 48, 63, 64)),
    "none": mask_of(),
}


def maps_of(mask):
    """Predict a mask well, badly, and not at all; in [0, 1]."""
    rng = np.random.default_rng(int(mask.sum()))
    noise = rng.uniform(0, 1, SHAPE)
    return {
        "exact": mask.astype(np.float32),
        "noisy": np.clip(0.6 * mask + 0.5 * noise, 0, 1),
        "faint": 0.2 + 0.1 * mask + 0.05 * noise,
        "opposite": 1.0 - mask,
        "noise": noise,
        "constant": np.full(SHAPE, 0.3),
        "zero": np.zeros(SHAPE, np.float32),
        "full": np.ones(SHAPE, np.float32),
    }


CASES = {
    f"{what}, {how}": (prediction, mask)
    for what, mask in MASKS.items()
    for how, prediction in maps_of(mask).items()
}
"""Pairs of a map and its mask, by name."""
