"""Shapes: where they lie, and how much of each pixel they cover.

A shape is a gauge (H, W) that grows outwards, from coordinates in pixels along and across it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from wrg_onnx.tsod.fields import Float32Array, distance

Shape: TypeAlias = Callable[[np.random.Generator, Float32Array, Float32Array], Float32Array]


def _ellipse(rng: np.random.Generator, along: Float32Array, across: Float32Array) -> Float32Array:
    return distance(along / np.float32(rng.uniform(1, 2.2)), across)


def _polygon(rng: np.random.Generator, along: Float32Array, across: Float32Array) -> Float32Array:
    """A convex polygon of 3 to 6 edges at uneven distances from its centre."""
    edges = int(rng.integers(3, 7))
    gauge = np.full_like(along, -np.inf)
    for edge in range(edges):
        angle = (edge + rng.uniform(-0.25, 0.25)) * (2 * math.pi / edges)
        scale = 1 / rng.uniform(0.75, 1.3)
        cos, sin = np.float32(math.cos(angle) * scale), np.float32(math.sin(angle) * scale)
        np.maximum(gauge, along * cos + across * sin, out=gauge)
    return gauge


def _streak(rng: np.random.Generator, along: Float32Array, across: Float32Array) -> Float32Array:
    """A scratch, boat or cable: long, thin and slightly bent."""
    bend = np.float32(rng.uniform(-2.7, 2.7) / max(along.shape))
    return distance(along / np.float32(rng.uniform(4, 9)), across + bend * along * along)


def _blob(rng: np.random.Generator, along: Float32Array, across: Float32Array) -> Float32Array:
    """An animal or a drop: a circle whose radius wanders with the angle."""
    gauge = distance(along, across)
    away = np.maximum(gauge, np.float32(1e-6))
    # cos and sin of once, twice, ... the angle, each by the addition theorem from the one before.
    cos, sin = along / away, across / away
    cosine, sine = cos, sin
    radius = np.ones_like(gauge)
    for lobes in range(2, 6):
        cosine, sine = cosine * cos - sine * sin, sine * cos + cosine * sin
        if lobes != 4:
            phase, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.5) / lobes
            radius += cosine * np.float32(depth * math.cos(phase))
            radius -= sine * np.float32(depth * math.sin(phase))
    blob: Float32Array = gauge / radius
    return blob


def _craft(rng: np.random.Generator, along: Float32Array, across: Float32Array) -> Float32Array:
    """An aircraft, bird or cross: a body and swept wings."""
    length, span = np.float32(rng.uniform(3.5, 6)), np.float32(rng.uniform(0.6, 1))
    outwards: Float32Array = np.abs(across)
    swept = along + outwards * np.float32(rng.uniform(0, 0.6))
    body, wings = distance(along / length, across), distance(swept, across / (length * span))
    return np.where(body < wings, body, wings)


SHAPES: Mapping[str, Shape] = {
    "blob": _blob,
    "craft": _craft,
    "ellipse": _ellipse,
    "polygon": _polygon,
    "streak": _streak,
}


def place(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Return the gauge of a random shape at a random place and angle."""
    row, column, angle = (float(x) for x in rng.uniform(0, 1, 3))
    row, column, angle = 0.12 + 0.76 * row, 0.12 + 0.76 * column, 2 * math.pi * angle
    rows = np.arange(height, dtype=np.float32)[:, None] - np.float32(row * height)
    columns = np.arange(width, dtype=np.float32) - np.float32(column * width)
    # A pixel's place as the turned shape sees it: along its length, and across.
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    shape = list(SHAPES)[rng.integers(len(SHAPES))]
    return SHAPES[shape](rng, columns * cos + rows * sin, rows * cos - columns * sin)


def coverage(gauge: Float32Array, pixels: int, softness: float) -> Float32Array:
    """Return how much of each pixel a shape covers, (H, W) in [0, 1], over an edge in pixels.

    Cutting the gauge at its n-th smallest value gives the shape an area of n pixels, at least 1,
    whatever its form and however much of it lies outside the frame.
    """
    pixels = max(pixels, 1)
    # Half-way between the last pixel inside and the first one outside.
    border = np.partition(gauge, (pixels - 1, pixels), axis=None)[pixels - 1 : pixels + 1].mean()
    covered: Float32Array = (border - gauge) / np.float32(softness) + np.float32(0.5)
    return np.clip(covered, 0, 1)
