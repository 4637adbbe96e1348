"""Made images of tiny salient objects, for a model that comes without data.

An image is a background, some faint stains that should not distract, one to three objects that
stand out, and a camera (uneven light, blur, noise). Backgrounds and shapes are small functions in
two tables: a new kind is a new function and a new line. Inside, an image is (3, H, W) float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Float32Array: TypeAlias = "NDArray[np.float32]"
Background: TypeAlias = "Callable[[np.random.Generator, int, int], Float32Array]"
Shape: TypeAlias = "Callable[[np.random.Generator, Float32Array, Float32Array], Float32Array]"

SMALLEST_SHARE, LARGEST_SHARE = 0.0005, 0.05
"""Share of the image's area that all objects together cover."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)[:, None, None]


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
    area = height * width
    background = list(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
    image = BACKGROUNDS[background](rng, height, width)
    for _ in range(rng.integers(0, 4)):
        pixels = round(_share(rng) * area)
        _stain(rng, image, _coverage(_place(rng, height, width), pixels, rng.uniform(2, 6)))
    mask = np.zeros((height, width), np.uint8)
    share = _share(rng)
    for part in rng.dirichlet(np.full(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1]), 4.0)):
        coverage = _coverage(_place(rng, height, width), round(share * part * area), 1.0)
        _object(rng, image, coverage, gray=background == "infrared")
        mask[coverage >= 0.5] = 255
    image = _photograph(rng, image, gray=background == "infrared")
    return np.rint(image.transpose(1, 2, 0) * 255).astype(np.uint8, order="C"), mask


# --- backgrounds: (3, H, W), about [0, 1] --------------------------------------------------------


def _sky(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """From zenith to horizon, in blue, gray or a sunset's colours, with clouds."""
    depth = _ramp(height) ** np.float32(rng.uniform(0.6, 1.6))
    image = _blend(rng, ("4073bf-b3d1eb", "738094-adb3b8", "383d6b-e69e6b"), depth)
    cloud = _cloud(rng, height, width, width / 2.5) * 2.6 - np.float32(rng.uniform(1.1, 2.0))
    return image + (np.float32(0.93) - image) * np.clip(cloud, 0, 1) * np.float32(0.7)


def _sea(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Waves that grow towards the viewer, sometimes under a strip of sky."""
    depth = _ramp(height)
    far, near = _noise(rng, height, width, 3, 18), _noise(rng, height, width, 8, 48)
    light = 0.45 + 0.45 * (far + (near - far) * depth) - 0.3 * depth
    image = _blend(rng, ("0d3354-38708c", "1f383d-577070", "0d5261-40999e"), light)
    if rng.random() < 0.4:
        horizon = int(height * rng.uniform(0.08, 0.35))
        image[:, :horizon] = _sky(rng, height, width)[:, :horizon]
    return image


def _ground(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Grass, sand, soil or asphalt: one colour, patches and grain."""
    patches, grain = _cloud(rng, height, width, width / 4), _noise(rng, height, width, 2, 2)
    colours = ("2b451a-6b853d", "947a57-d1ba91", "453021-806347", "45454a-78787a")
    return _blend(rng, colours, 0.6 * patches + 0.4 * grain)


def _clutter(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Fields, roofs and paths from above: flat patches of related colours."""
    levels = int(rng.integers(3, 6))
    patches = _cloud(rng, height, width, width / rng.uniform(2.5, 5)) * levels
    shades = rng.normal(0, 0.05, (1, levels + 1)) + rng.normal(0, 0.02, (3, levels + 1))
    base = rng.uniform(0.28, 0.58) + rng.normal(0, 0.06, (3, 1))
    palette = (base + shades).astype(np.float32)
    grain = _noise(rng, height, width, 3, 3) - np.float32(0.5)
    return np.take(palette, patches.astype(np.intp), axis=1) + grain * np.float32(0.07)


def _infrared(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """A thermal camera's gray: cloud and haze, sometimes over warm or cold hills."""
    swing = np.float32(rng.uniform(0.08, 0.25))
    gray = swing * (_cloud(rng, height, width, width / 2) - np.float32(0.5))
    gray += np.float32(rng.uniform(0.18, 0.5))
    if rng.random() < 0.5:
        skyline = 0.35 + 0.5 * _noise(rng, height, width, height, width / 5)
        warmth = 0.6 + 0.8 * _cloud(rng, height, width, width / 8)
        below = np.clip((_ramp(height) - skyline) * 25, 0, 1)
        gray += below * warmth * np.float32(rng.uniform(-0.12, 0.12))
    return np.repeat(gray[None], 3, axis=0)


def _industrial(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Brushed metal, tile or cloth: fine streaks along one axis and an uneven finish."""
    cells = [1.5, width / rng.uniform(1, 6)]
    rng.shuffle(cells)
    streaks = _noise(rng, height, width, *cells) - np.float32(0.5)
    finish = _noise(rng, height, width, height / 2, width / 2) - np.float32(0.5)
    tint = rng.normal(1, 0.025, (3, 1, 1)).astype(np.float32)
    level = np.float32(rng.uniform(0.35, 0.65))
    return tint * (level + streaks * np.float32(0.12) + finish * np.float32(0.14))


BACKGROUNDS: Mapping[str, Background] = {
    "clutter": _clutter,
    "ground": _ground,
    "industrial": _industrial,
    "infrared": _infrared,
    "sea": _sea,
    "sky": _sky,
}


# --- shapes: a gauge (H, W) that grows outwards, from coordinates along and across the shape -----


def _ellipse(rng: np.random.Generator, along: Float32Array, across: Float32Array) -> Float32Array:
    return _length(along / np.float32(rng.uniform(1, 2.2)), across)


def _polygon(rng: np.random.Generator, along: Float32Array, across: Float32Array) -> Float32Array:
    """A convex polygon of 3 to 6 edges at uneven distances from its centre."""
    edges = int(rng.integers(3, 7))
    angles = (np.arange(edges) + rng.uniform(-0.25, 0.25, edges)) * (2 * np.pi / edges)
    normals = np.stack([np.cos(angles), np.sin(angles)]) / rng.uniform(0.75, 1.3, edges)
    gauge = np.full_like(along, -np.inf)
    for cos, sin in normals.T.astype(np.float32):
        np.maximum(gauge, along * cos + across * sin, out=gauge)
    return gauge


def _streak(rng: np.random.Generator, along: Float32Array, across: Float32Array) -> Float32Array:
    """A scratch, boat or cable: long, thin and slightly bent."""
    bend = np.float32(rng.uniform(-2.7, 2.7) / max(along.shape))
    return _length(along / np.float32(rng.uniform(4, 9)), across + bend * along * along)


def _blob(rng: np.random.Generator, along: Float32Array, across: Float32Array) -> Float32Array:
    """An animal or a drop: a circle whose radius wanders with the angle."""
    angle = np.arctan2(across, along)
    radius = np.ones_like(angle)
    for lobes in (2, 3, 5):
        phase, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5) / lobes
        radius += np.cos(np.float32(lobes) * angle + np.float32(phase)) * np.float32(depth)
    gauge: Float32Array = _length(along, across) / radius
    return gauge


def _craft(rng: np.random.Generator, along: Float32Array, across: Float32Array) -> Float32Array:
    """An aircraft, bird or cross: a body and swept wings."""
    length, span = np.float32(rng.uniform(3.5, 6)), np.float32(rng.uniform(0.6, 1))
    outwards: Float32Array = np.abs(across)
    swept = along + outwards * np.float32(rng.uniform(0, 0.6))
    body, wings = _length(along / length, across), _length(swept, across / (length * span))
    return np.where(body < wings, body, wings)


SHAPES: Mapping[str, Shape] = {
    "blob": _blob,
    "craft": _craft,
    "ellipse": _ellipse,
    "polygon": _polygon,
    "streak": _streak,
}


# --- placing and painting ------------------------------------------------------------------------


def _share(rng: np.random.Generator) -> float:
    """Draw a share of the area, each doubling equally likely; the margins allow for rounding."""
    return float(np.exp(rng.uniform(np.log(SMALLEST_SHARE * 1.2), np.log(LARGEST_SHARE * 0.98))))


def _place(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Return the gauge of a random shape at a random place and angle."""
    row, column, angle = rng.uniform((0.12, 0.12, 0), (0.88, 0.88, 2 * np.pi))
    rows = np.arange(height, dtype=np.float32)[:, None] - np.float32(row * height)
    columns = np.arange(width, dtype=np.float32) - np.float32(column * width)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    shape = list(SHAPES)[rng.integers(len(SHAPES))]
    return SHAPES[shape](rng, columns * cos + rows * sin, rows * cos - columns * sin)


def _coverage(gauge: Float32Array, pixels: int, softness: float) -> Float32Array:
    """Return how much of each pixel a shape covers, (H, W) in [0, 1], over an edge in pixels.

    Cutting the gauge at its n-th smallest value gives the shape an area of n pixels, at least 1,
    whatever its form and however much of it lies outside the frame.
    """
    pixels = max(pixels, 1)
    border = np.partition(gauge, (pixels - 1, pixels), axis=None)[pixels - 1 : pixels + 1].mean()
    coverage: Float32Array = (border - gauge) / np.float32(softness) + np.float32(0.5)
    return np.clip(coverage, 0, 1)


def _stain(rng: np.random.Generator, image: Float32Array, coverage: Float32Array) -> None:
    """Add a distractor in place: a change of brightness that is seen, but does not stand out."""
    image += coverage * np.float32(rng.uniform(0.025, 0.07) * rng.choice([-1, 1]))


def _object(
    rng: np.random.Generator, image: Float32Array, coverage: Float32Array, *, gray: bool
) -> None:
    """Paint an object in place, in a colour away from what surrounds it."""
    rows, columns = (np.flatnonzero(coverage.any(axis=axis)) for axis in (1, 0))
    reach = max(coverage.shape) // 16
    top, left = max(rows[0] - reach, 0), max(columns[0] - reach, 0)
    window = slice(top, rows[-1] + reach), slice(left, columns[-1] + reach)
    around, alpha = image[:, *window], coverage[window]
    luma = (around * _LUMA).sum(axis=0)
    level, contrast = luma.mean(), max(rng.uniform(0.28, 0.55), 3 * luma.std())
    brighter = rng.random() < 1.4 - 1.8 * level
    target = np.clip(level + (contrast if brighter else -contrast), 0.03, 0.97)
    tint = np.zeros((3, 1, 1)) if gray else rng.normal(0, 0.12, (3, 1, 1))
    colour = np.clip(target + tint - (tint * _LUMA).sum(), 0, 1).astype(np.float32)
    shade = np.float32(0.85) + np.float32(0.3) * _noise(rng, len(luma), len(luma[0]), reach, reach)
    around += alpha * (colour * shade - around)


def _photograph(rng: np.random.Generator, image: Float32Array, *, gray: bool) -> Float32Array:
    """Return the scene as a camera sees it, in [0, 1]: uneven light, a soft lens, noise."""
    _, height, width = image.shape
    light = _noise(rng, height, width, height / 1.5, width / 1.5) - np.float32(0.5)
    image = image * (1 + np.float32(rng.uniform(0, 0.5)) * light)
    side = np.float32(rng.uniform(0.02, 0.25))
    edged = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    edged = edged[:, 1:-1] * (1 - 2 * side) + (edged[:, :-2] + edged[:, 2:]) * side
    image = edged[:, :, 1:-1] * (1 - 2 * side) + (edged[:, :, :-2] + edged[:, :, 2:]) * side
    noise = rng.standard_normal((1 if gray else 3, height, width), dtype=np.float32)
    image = image + noise * np.float32(rng.uniform(0.004, 0.03))
    return np.clip(image, 0, 1)


# --- fields --------------------------------------------------------------------------------------


def _noise(
    rng: np.random.Generator, height: int, width: int, cell_height: float, cell_width: float
) -> Float32Array:
    """Return smooth value noise, (H, W) in [0, 1], from a random grid of cells in pixels."""
    rows, row_part = _cells(height, max(cell_height, 1.0))
    columns, column_part = _cells(width, max(cell_width, 1.0))
    grid = rng.random((int(rows[-1]) + 2, int(columns[-1]) + 2), dtype=np.float32)
    # No matrix product: BLAS sums in an order of its own, and a seed must give the same bytes.
    wide = grid[:, columns] + (grid[:, columns + 1] - grid[:, columns]) * column_part
    return wide[rows] + (wide[rows + 1] - wide[rows]) * row_part[:, None]


def _cells(length: int, cell: float) -> tuple[NDArray[np.intp], Float32Array]:
    """Return each pixel's cell and its place in it, in [0, 1), eased at both ends."""
    cells, place = np.divmod(np.arange(length, dtype=np.float32) / np.float32(cell), np.float32(1))
    return cells.astype(np.intp), place * place * (3 - 2 * place)


def _cloud(rng: np.random.Generator, height: int, width: int, cell: float) -> Float32Array:
    """Return four octaves of noise, (H, W) in [0, 1), the coarsest of ``cell`` pixels."""
    total = np.full((height, width), -0.9375, np.float32)
    for size in (1.0, 0.5, 0.25, 0.125):
        total += _noise(rng, height, width, cell * size, cell * size) * np.float32(size)
    return np.clip(total * np.float32(0.8) + np.float32(0.5), 0, np.float32(0.9999))


def _ramp(height: int) -> Float32Array:
    """Return 0 at the top to 1 at the bottom, (H, 1)."""
    return np.linspace(0, 1, height, dtype=np.float32)[:, None]


def _blend(rng: np.random.Generator, pairs: tuple[str, ...], share: Float32Array) -> Float32Array:
    """Return colours (3, H, W) between the two of a random pair, written as ``rrggbb-rrggbb``."""
    pair = pairs[rng.integers(len(pairs))].split("-")
    ends = np.array([list(bytes.fromhex(colour)) for colour in pair]) / 255
    ends = (ends + rng.normal(0, 0.025, 3)).astype(np.float32)
    low, high = ends[..., None, None]
    colours: Float32Array = low + share * (high - low)
    return colours


def _length(x: Float32Array, y: Float32Array) -> Float32Array:
    length: Float32Array = np.sqrt(x * x + y * y)
    return length
