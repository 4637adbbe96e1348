"""Random fields and colours: what backgrounds, objects and light are made of.

A field is (H, W) float32. Nothing here calls BLAS or a vectorised sine, logarithm or power: they
round in their own ways on each machine, and a seed must give the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Float32Array: TypeAlias = "NDArray[np.float32]"


def smooth_noise(
    rng: np.random.Generator, height: int, width: int, cell_height: float, cell_width: float
) -> Float32Array:
    """Return smooth value noise, (H, W) in [0, 1], from a random grid of cells in pixels."""
    # Pixel (y, x) lies in cell (rows[y], columns[x]); it is mixed of the cell's four corners on the
    # grid, first along x, then along y.
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


def octaves(rng: np.random.Generator, height: int, width: int, cell: float) -> Float32Array:
    """Return four octaves of noise, (H, W) in [0, 1), the coarsest of ``cell`` pixels."""
    # Half of 1 + 1/2 + 1/4 + 1/8: the sum of the octaves lies around 0.
    total = np.full((height, width), -0.9375, np.float32)
    for size in (1.0, 0.5, 0.25, 0.125):
        total += smooth_noise(rng, height, width, cell * size, cell * size) * np.float32(size)
    return np.clip(total * np.float32(0.8) + np.float32(0.5), 0, np.float32(0.9999))


def ramp(height: int) -> Float32Array:
    """Return 0 at the top to 1 at the bottom, (H, 1)."""
    return np.linspace(0, 1, height, dtype=np.float32)[:, None]


def blend(rng: np.random.Generator, pairs: tuple[str, ...], share: Float32Array) -> Float32Array:
    """Return colours (3, H, W) between the two of a random pair, written as ``rrggbb-rrggbb``."""
    pair = pairs[rng.integers(len(pairs))].split("-")
    ends = np.array([list(bytes.fromhex(colour)) for colour in pair]) / 255
    ends = (ends + rng.normal(0, 0.025, 3)).astype(np.float32)
    low, high = ends[..., None, None]
    colours: Float32Array = low + share * (high - low)
    return colours


def distance(x: Float32Array, y: Float32Array) -> Float32Array:
    """Return the distance from the origin of points (H, W)."""
    root: Float32Array = np.sqrt(x * x + y * y)
    return root
