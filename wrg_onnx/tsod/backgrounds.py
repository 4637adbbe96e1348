"""Backgrounds: (3, H, W) float32, about [0, 1]. A new kind is a new function and a new line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from wrg_onnx.choices import BackgroundKind
from wrg_onnx.tsod.fields import Float32Array, blend, distance, octaves, ramp, smooth_noise

Background: TypeAlias = Callable[[np.random.Generator, int, int], Float32Array]


def _sky(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """From zenith to horizon, in blue, gray or a sunset's colours, with clouds."""
    depth = ramp(height)
    depth = depth + np.float32(rng.uniform(-0.6, 0.6)) * depth * (1 - depth)
    image = blend(rng, ("4073bf-b3d1eb", "738094-adb3b8", "383d6b-e69e6b"), depth)
    cloud = octaves(rng, height, width, width / 2.5) * 2.6 - np.float32(rng.uniform(1.1, 2.0))
    return image + (np.float32(0.93) - image) * np.clip(cloud, 0, 1) * np.float32(0.7)


def _sea(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Waves that grow towards the viewer, sometimes under a strip of sky."""
    depth = ramp(height)
    far, near = smooth_noise(rng, height, width, 3, 18), smooth_noise(rng, height, width, 8, 48)
    light = 0.45 + 0.45 * (far + (near - far) * depth) - 0.3 * depth
    image = blend(rng, ("0d3354-38708c", "1f383d-577070", "0d5261-40999e"), light)
    if rng.random() < 0.4:
        horizon = int(height * rng.uniform(0.08, 0.35))
        image[:, :horizon] = _sky(rng, height, width)[:, :horizon]
    return image


def _ground(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Grass, sand, soil or asphalt: one colour, patches and grain."""
    patches, grain = octaves(rng, height, width, width / 4), smooth_noise(rng, height, width, 2, 2)
    colours = ("2b451a-6b853d", "947a57-d1ba91", "453021-806347", "45454a-78787a")
    return blend(rng, colours, 0.6 * patches + 0.4 * grain)


def _clutter(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Fields, roofs and paths from above: flat patches of related colours."""
    levels = int(rng.integers(3, 6))
    patches = octaves(rng, height, width, width / rng.uniform(2.5, 5)) * levels
    shades = rng.normal(0, 0.05, (1, levels + 1)) + rng.normal(0, 0.02, (3, levels + 1))
    base = rng.uniform(0.28, 0.58) + rng.normal(0, 0.06, (3, 1))
    palette = (base + shades).astype(np.float32)
    grain = smooth_noise(rng, height, width, 3, 3) - np.float32(0.5)
    return np.take(palette, patches.astype(np.intp), axis=1) + grain * np.float32(0.07)


def _infrared(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """A thermal camera's gray: cloud and haze, sometimes over warm or cold hills."""
    swing = np.float32(rng.uniform(0.08, 0.25))
    gray = swing * (octaves(rng, height, width, width / 2) - np.float32(0.5))
    gray += np.float32(rng.uniform(0.18, 0.5))
    if rng.random() < 0.5:
        skyline = 0.35 + 0.5 * smooth_noise(rng, height, width, height, width / 5)
        warmth = 0.6 + 0.8 * octaves(rng, height, width, width / 8)
        below = np.clip((ramp(height) - skyline) * 25, 0, 1)
        gray += below * warmth * np.float32(rng.uniform(-0.12, 0.12))
    return np.repeat(gray[None], 3, axis=0)


def _industrial(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Brushed metal, tile or cloth: fine streaks along one axis and an uneven finish."""
    cells = [1.5, width / rng.uniform(1, 6)]
    rng.shuffle(cells)
    streaks = smooth_noise(rng, height, width, *cells) - np.float32(0.5)
    finish = smooth_noise(rng, height, width, height / 2, width / 2) - np.float32(0.5)
    tint = rng.normal(1, 0.025, (3, 1, 1)).astype(np.float32)
    level = np.float32(rng.uniform(0.35, 0.65))
    return tint * (level + streaks * np.float32(0.12) + finish * np.float32(0.14))


def _texture(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Pebbles, cloth, planks or brick: one pattern all over, of related colours."""
    pattern = (_pebbles, _cloth, _planks, _bricks)[rng.integers(4)](rng, height, width)
    patches = octaves(rng, height, width, width / 3)
    grain = smooth_noise(rng, height, width, 2, 2)
    colours = ("4a3a2b-9c8060", "53575c-93989c", "5f3a2f-a8765f", "39452f-7f8f66", "6e6658-c2b8a3")
    return blend(rng, colours, 0.55 * pattern + 0.3 * patches + 0.15 * grain)


def _pebbles(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Return cells around scattered points, each of its own shade, dark where two meet.

    Source: Worley, "A cellular texture basis function", SIGGRAPH 1996: the distances to the
    nearest and to the second nearest point.
    """
    cell = np.float32(max(min(height, width) / rng.uniform(12, 28), 4.0))
    rows = np.arange(height, dtype=np.float32)[:, None] / cell
    columns = np.arange(width, dtype=np.float32)[None] / cell
    row, column = rows.astype(np.intp), columns.astype(np.intp)
    rows, columns = rows - np.floor(rows), columns - np.floor(columns)
    points = rng.random((3, int(row[-1, 0]) + 3, int(column[0, -1]) + 3), dtype=np.float32)
    nearest = np.full((height, width), np.inf, np.float32)
    second, shade = nearest.copy(), np.zeros_like(nearest)
    for down, right in np.ndindex(3, 3):
        up, left, own = points[:, row + down, column + right]
        away = distance(rows - (down - 1) - up, columns - (right - 1) - left)
        second = np.minimum(second, np.maximum(nearest, away))
        shade = np.where(away < nearest, own, shade)
        nearest = np.minimum(nearest, away)
    gap: Float32Array = np.clip((second - nearest) * 5, 0, 1)
    return gap * (np.float32(0.5) + np.float32(0.5) * shade)


def _cloth(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Return threads that pass over and under each other."""
    period = np.float32(max(min(height, width) / rng.uniform(16, 40), 4.0))
    rows = np.arange(height, dtype=np.float32)[:, None] / period
    columns = np.arange(width, dtype=np.float32)[None] / period
    bend = smooth_noise(rng, height, width, height / 3, width / 3)
    rows, columns = rows + bend, columns + bend
    over = (np.floor(rows) + np.floor(columns)) % 2 == 0
    return np.where(over, _wave(rows), _wave(columns))


def _planks(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Return the rings of sawn wood: bent stripes with fine grain along them."""
    across = np.arange(height, dtype=np.float32)[:, None] * np.float32(rng.uniform(8, 20) / height)
    bend = smooth_noise(rng, height, width, height / 3, width / 1.5)
    rings = _wave(across + bend * np.float32(rng.uniform(1, 4)))
    return np.float32(0.6) * rings + np.float32(0.4) * smooth_noise(
        rng, height, width, 1.5, width / 6
    )


def _bricks(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Return courses of bricks, each of its own shade, in dark mortar."""
    tall = max(min(height, width) / rng.uniform(10, 22), 4.0)
    rows = np.arange(height, dtype=np.float32)[:, None] / np.float32(tall)
    row = rows.astype(np.intp)
    columns = np.arange(width, dtype=np.float32)[None] / np.float32(tall * 2)
    columns = columns + np.float32(0.5) * (row % 2).astype(np.float32)
    column = columns.astype(np.intp)
    shades = rng.random((int(row.max()) + 1, int(column.max()) + 1), dtype=np.float32)
    mortar = np.minimum(_wave(rows), 2 * _wave(columns))
    inside: Float32Array = np.clip(mortar * 4, 0, 1)
    return inside * (np.float32(0.4) + np.float32(0.6) * shades[row, column])


def _wave(x: Float32Array) -> Float32Array:
    """Return a triangular wave of period 1: 0 at whole numbers, 1 between them."""
    wave: Float32Array = 1 - np.abs(2 * (x - np.floor(x)) - 1)
    return wave


BACKGROUNDS: Mapping[str, Background] = {
    BackgroundKind.CLUTTER.value: _clutter,
    BackgroundKind.GROUND.value: _ground,
    BackgroundKind.INDUSTRIAL.value: _industrial,
    BackgroundKind.INFRARED.value: _infrared,
    BackgroundKind.SEA.value: _sea,
    BackgroundKind.SKY.value: _sky,
    BackgroundKind.TEXTURE.value: _texture,
}
"""What draws each kind of background, by the name of the kind."""
