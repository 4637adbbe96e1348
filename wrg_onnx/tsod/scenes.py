"""Made images of tiny salient objects, with exact masks.

An image is a background, some faint distractors, one to three objects that stand out and lie
apart, and a camera (uneven light, a soft lens, noise). Backgrounds, distractors and shapes are
small functions in tables: a new kind is a new function and a new line. Inside, an image is
(3, H, W) float32. It is our own set: that of the WRGPruner paper is not public.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wrg_onnx.tsod.backgrounds import BACKGROUNDS
from wrg_onnx.tsod.distractors import DISTRACTORS
from wrg_onnx.tsod.fields import Float32Array, smooth_noise
from wrg_onnx.tsod.shapes import coverage, place

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST_SHARE, LARGEST_SHARE = 0.0005, 0.05
"""Share of the image's area that all objects together cover."""

SMALLEST_SIDE = 16
"""In pixels. Where 0.05 % of the area is less than a pixel, the smallest object is one pixel."""

_TRIES = 20
"""How often a place apart from the other objects is looked for."""

_SPECK = 9
"""An object of fewer pixels gets more contrast and less blur and noise, or it would drown."""

_BLACK, _WHITE = 0.03, 0.97
"""The darkest and the brightest an object gets, before the light falls on it."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)[:, None, None]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One image and what is in it.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) uint8, 255 on the objects and 0 elsewhere.
        background: Its kind, a key of ``BACKGROUNDS``.
        objects: How many, 1 to 3; they lie apart.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    background: str
    objects: int

    @property
    def area_fraction(self) -> float:
        """The share of the image's pixels that lie on objects."""
        return float(np.count_nonzero(self.mask) / self.mask.size)


def generate(
    rng: np.random.Generator, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Make one image and its mask.

    Args:
        rng: Its state decides everything: the same state gives the same image and mask.
        height: In pixels, at least 16.
        width: In pixels, at least 16.

    Returns:
        The image, (H, W, 3) uint8 RGB, and the mask, (H, W) uint8, 255 on the objects and 0
        elsewhere. The objects cover 0.05 % to 5 % of the area, and at least one pixel.
    """
    scene = draw_scene(rng, height, width)
    return scene.image, scene.mask


def draw_scene(
    rng: np.random.Generator, height: int, width: int, backgrounds: Sequence[str] = ()
) -> Scene:
    """Make one image with its mask, and say what is in it.

    Args:
        rng: Its state decides everything, as in ``generate``.
        height: In pixels, at least 16.
        width: In pixels, at least 16.
        backgrounds: Keys of ``BACKGROUNDS`` to choose from; empty for all.

    Returns:
        The image and its mask, as ``generate`` returns them, with the background and how many
        objects there are.
    """
    names = list(backgrounds) or list(BACKGROUNDS)
    background = names[rng.integers(len(names))]
    gray = background == "infrared"
    image = BACKGROUNDS[background](rng, height, width)
    for _ in range(rng.integers(0, 5)):
        DISTRACTORS[list(DISTRACTORS)[rng.integers(len(DISTRACTORS))]](rng, image)
    mask = np.zeros((height, width), np.bool_)
    sizes = _sizes(rng, height * width)
    objects = 0
    for pixels in sizes:
        covered = _place_apart(rng, mask, pixels)
        if covered is not None:
            _paint(rng, image, covered, pixels, gray=gray)
            mask |= covered >= 0.5
            objects += 1
    image = _photograph(rng, image, gray=gray, calm=sizes[-1] < _SPECK)
    pixels_8bit = np.rint(image.transpose(1, 2, 0) * 255).astype(np.uint8, order="C")
    return Scene(pixels_8bit, mask.astype(np.uint8) * np.uint8(255), background, objects)


def _sizes(rng: np.random.Generator, area: int) -> list[int]:
    """Draw the objects' areas in pixels, largest first.

    Each doubling of their sum is equally likely. Any one of them alone is large enough, so that an
    object that finds no place may be left out.
    """
    least = max(1, math.ceil(SMALLEST_SHARE * area))
    most = math.floor(LARGEST_SHARE * area)
    drawn = math.exp(rng.uniform(math.log(SMALLEST_SHARE), math.log(LARGEST_SHARE)))
    total = min(max(round(drawn * area), least), most)
    count = int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1]))
    spare = total - count * least
    if count == 1 or spare < 0:
        return [total]
    # Each gets the least, and a random part of what is spare; rounding is made up for by the first.
    parts = np.floor(rng.dirichlet(np.full(count, 4.0)) * spare).astype(int) + least
    parts[0] += total - parts.sum()
    return sorted((int(part) for part in parts), reverse=True)


def _place_apart(
    rng: np.random.Generator, taken: NDArray[np.bool_], pixels: int
) -> Float32Array | None:
    """Return a shape's coverage, (H, W), some way from what is taken; None if in vain."""
    occupied = _widened(taken, max(min(taken.shape) // 32, 2)) if taken.any() else taken
    for _ in range(_TRIES):
        covered = coverage(place(rng, *taken.shape), pixels, 1.0)
        if not (occupied & (covered > 0)).any():
            return covered
    return None


def _widened(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Return a mask that reaches further by some pixels on all sides."""
    wide, step = mask.copy(), 1
    while reach:
        # What is there is a block of 2 * step - 1 or more by now: shifts by step leave no gap.
        step = min(step, reach)
        wide[step:] |= wide[:-step].copy()
        wide[:-step] |= wide[step:].copy()
        wide[:, step:] |= wide[:, :-step].copy()
        wide[:, :-step] |= wide[:, step:].copy()
        reach, step = reach - step, step * 2
    return wide


def _paint(
    rng: np.random.Generator, image: Float32Array, covered: Float32Array, pixels: int, *, gray: bool
) -> None:
    """Paint an object in place, in a colour away from what surrounds it."""
    rows, columns = (np.flatnonzero(covered.any(axis=axis)) for axis in (1, 0))
    reach = max(covered.shape) // 16
    top, left = max(rows[0] - reach, 0), max(columns[0] - reach, 0)
    window = slice(top, rows[-1] + 1 + reach), slice(left, columns[-1] + 1 + reach)
    around, alpha = image[:, *window], covered[window]
    if pixels < _SPECK:  # half covered pixels around one or two would be most of what is seen
        alpha = np.where(alpha >= 0.5, np.float32(1), alpha * np.float32(0.3))
    luma = (around * _LUMA).sum(axis=0)
    level, spread = float(luma.mean()), float(luma.std())
    least = 0.45 if pixels < _SPECK else 0.28
    contrast = max(rng.uniform(least, 0.55), 3 * spread)
    brighter = rng.random() < 1.4 - 1.8 * level
    if contrast > (_WHITE - level if brighter else level - _BLACK):
        brighter = _WHITE - level > level - _BLACK
    target = np.clip(level + (contrast if brighter else -contrast), _BLACK, _WHITE)
    tint = np.zeros((3, 1, 1)) if gray else rng.normal(0, 0.12, (3, 1, 1))
    colour = np.clip(target + tint - (tint * _LUMA).sum(), 0, 1).astype(np.float32)
    shade = smooth_noise(rng, len(luma), len(luma[0]), reach, reach)
    shade = np.float32(0.85) + np.float32(0.3) * shade
    around += alpha * (colour * shade - around)


def _photograph(
    rng: np.random.Generator, image: Float32Array, *, gray: bool, calm: bool
) -> Float32Array:
    """Return the scene as a camera sees it, in [0, 1]: uneven light, a soft lens, noise."""
    _, height, width = image.shape
    light = smooth_noise(rng, height, width, height / 1.5, width / 1.5) - np.float32(0.5)
    image = image * (1 + np.float32(rng.uniform(0, 0.5)) * light)
    side, most = rng.uniform(0.02, 0.25), rng.uniform(0.004, 0.03)
    # More passes where there are more pixels, so that a lens is as soft at any size.
    for _ in range(1 if calm else 1 + int(rng.integers(0, 1 + min(height, width) // 200))):
        image = _blurred(image, np.float32(side * (0.25 if calm else 1)))
    grain = rng.standard_normal((1 if gray else 3, height, width), dtype=np.float32)
    return np.clip(image + grain * np.float32(most * (0.5 if calm else 1)), 0, 1)


def _blurred(image: Float32Array, side: np.float32) -> Float32Array:
    """Return each pixel mixed with its neighbours, of which each has the weight ``side``."""
    edged = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    edged = edged[:, 1:-1] * (1 - 2 * side) + (edged[:, :-2] + edged[:, 2:]) * side
    blurred: Float32Array = (
        edged[:, :, 1:-1] * (1 - 2 * side) + (edged[:, :, :-2] + edged[:, :, 2:]) * side
    )
    return blurred
