"""Distractors: what an image holds besides its objects and what should not catch the eye.

Each changes an image (3, H, W) in place by a few hundredths of its range, where an object differs
from its surroundings by more than a quarter of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from wrg_onnx.tsod.fields import Float32Array, distance, octaves, smooth_noise
from wrg_onnx.tsod.shapes import coverage, place

Distractor: TypeAlias = Callable[[np.random.Generator, Float32Array], None]


def _stain(rng: np.random.Generator, image: Float32Array) -> None:
    """Add the shape of an object, soft and faint."""
    _, height, width = image.shape
    pixels = round(_between(rng, 0.0006, 0.05) * height * width)
    image += coverage(place(rng, height, width), pixels, rng.uniform(2, 6)) * _faint(rng)


def _patch(rng: np.random.Generator, image: Float32Array) -> None:
    """Add a large shape with a sharp edge: a field, a tile, a repaired spot."""
    _, height, width = image.shape
    pixels = round(_between(rng, 0.02, 0.15) * height * width)
    image += coverage(place(rng, height, width), pixels, 1.0) * (_faint(rng) * np.float32(0.6))


def _shadow(rng: np.random.Generator, image: Float32Array) -> None:
    """Darken or brighten a wide spot without an edge."""
    _, height, width = image.shape
    row, column = rng.uniform(0, height), rng.uniform(0, width)
    reach = rng.uniform(0.15, 0.5) * min(height, width)
    rows = (np.arange(height, dtype=np.float32)[:, None] - np.float32(row)) / np.float32(reach)
    columns = (np.arange(width, dtype=np.float32) - np.float32(column)) / np.float32(reach)
    inside = np.clip(1 - distance(rows, columns), 0, 1)
    image += inside * inside * (3 - 2 * inside) * (_faint(rng) * np.float32(1.5))


def _line(rng: np.random.Generator, image: Float32Array) -> None:
    """Draw a thin line from edge to edge: a wire, a crack, a seam, a trail."""
    _, height, width = image.shape
    angle, shift = rng.uniform(0, 2 * math.pi), rng.uniform(-0.3, 0.3) * min(height, width)
    rows = np.arange(height, dtype=np.float32)[:, None] - np.float32(height / 2)
    columns = np.arange(width, dtype=np.float32) - np.float32(width / 2)
    across = rows * np.float32(math.cos(angle)) + columns * np.float32(math.sin(angle))
    bent = smooth_noise(rng, height, width, height / 2, width / 2) * np.float32(width / 16)
    away = np.abs(across + bent - np.float32(shift))
    thin = np.clip(np.float32(rng.uniform(0.8, 1.6)) - away, 0, 1)
    image += thin * (_faint(rng) * np.float32(0.7))


def _specks(rng: np.random.Generator, image: Float32Array) -> None:
    """Scatter many small spots over a part of the image: foam, gravel, dust."""
    _, height, width = image.shape
    size = rng.uniform(2.5, 5)
    spots = np.clip((smooth_noise(rng, height, width, size, size) - np.float32(0.8)) * 8, 0, 1)
    where = np.clip((octaves(rng, height, width, width / 3) - np.float32(0.45)) * 4, 0, 1)
    image += spots * where * _faint(rng)


DISTRACTORS: Mapping[str, Distractor] = {
    "line": _line,
    "patch": _patch,
    "shadow": _shadow,
    "specks": _specks,
    "stain": _stain,
}


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a share of the area, each doubling equally likely."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _faint(rng: np.random.Generator) -> np.float32:
    """Draw a change of brightness that is seen, but does not stand out."""
    return np.float32(rng.uniform(0.025, 0.07) * rng.choice([-1, 1]))
