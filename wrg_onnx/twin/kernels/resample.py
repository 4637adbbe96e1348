"""Resampling of axes, for Resize and Upsample.

Each axis is resampled on its own: an output position is a weighted sum of a few input positions,
its taps. Where the taps are those of ``torch.nn.functional.interpolate``, that does the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray


_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True, slots=True)
class Method:
    """How an axis is resampled; the fields are the attributes of Resize."""

    mode: str = "nearest"
    transform: str = "asymmetric"
    nearest: str = "floor"
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    extrapolation: float = 0.0


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis to resample.

    Attributes:
        size: Its size in the input.
        out: Its size in the output.
        scale: The scale that the model gives, which ``out / size`` may only be near to.
        start: First end of the region of interest, in [0, 1].
        end: Other end of the region of interest.
    """

    size: int
    out: int
    scale: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """What each output position of an axis is made of.

    Attributes:
        places: (taps, out) int64 positions in the input.
        weights: (taps, out) float64 weights.
        outside: (out,) bool, where the extrapolation value stands instead.
    """

    places: NDArray[np.int64]
    weights: NDArray[np.float64]
    outside: NDArray[np.bool_]


def resample(x: Tensor, table: dict[int, Axis], method: Method) -> Tensor:
    """Resample axes of x.

    Args:
        x: The tensor.
        table: What becomes of each axis, by its position.
        method: How.
    """
    whole = (0.0, 1.0)
    changed = {
        axis: how
        for axis, how in table.items()
        if how.out != how.size or how.scale != 1.0 or (how.start, how.end) != whole
    }
    if not changed:
        return x
    direct = _interpolate(x, changed, method)
    if direct is not None:
        return direct
    for axis, how in changed.items():
        x = _resample_axis(x, axis, _taps(how, method), method.extrapolation)
    return x


def _interpolate(x: Tensor, changed: dict[int, Axis], method: Method) -> Tensor | None:
    """Resample by one call of torch where that gives the same taps, None elsewhere."""
    spatial = x.dim() - 2
    if spatial not in _LINEAR or min(changed) < 2 or not x.is_floating_point():
        return None
    out = [changed[axis].out if axis in changed else x.shape[axis] for axis in range(2, x.dim())]
    if method.mode == "nearest":
        repeats = all(_repeats(_taps(how, method), how) for how in changed.values())
        return functional.interpolate(x, out, mode="nearest") if repeats else None
    aligned = method.transform == "align_corners"
    if not all(_as_torch_samples(how, method) for how in changed.values()):
        return None
    if method.mode == "linear":
        return functional.interpolate(x, out, mode=_LINEAR[spatial], align_corners=aligned)
    if spatial == 2 and method.cubic == -0.75:
        return functional.interpolate(x, out, mode="bicubic", align_corners=aligned)
    return None


def _as_torch_samples(how: Axis, method: Method) -> bool:
    """Whether torch computes the same coordinates and weights, the mode not being nearest."""
    if method.antialias or method.exclude_outside or how.scale != how.out / how.size:
        return False
    return method.transform in ("align_corners", "half_pixel") or (
        method.transform == "pytorch_half_pixel" and how.out > 1
    )


def _repeats(taps: Taps, how: Axis) -> bool:
    """Whether every position is repeated the same whole number of times."""
    times, rest = divmod(how.out, how.size)
    return rest == 0 and np.array_equal(taps.places[0], np.arange(how.out) // times)


def _resample_axis(x: Tensor, axis: int, taps: Taps, extrapolation: float) -> Tensor:
    places = torch.from_numpy(taps.places).to(x.device)
    if len(places) == 1:
        y = x.index_select(axis, places[0])
    else:
        shape = (-1, *(1,) * (x.dim() - axis - 1))
        weights = torch.from_numpy(taps.weights).to(x)
        y = x.index_select(axis, places[0]) * weights[0].reshape(shape)
        for place, weight in zip(places[1:], weights[1:], strict=True):
            y = y + x.index_select(axis, place) * weight.reshape(shape)
    if taps.outside.any():
        outside = torch.from_numpy(taps.outside).to(x.device)
        y = torch.where(outside.reshape(-1, *(1,) * (x.dim() - axis - 1)), extrapolation, y)
    return y


@lru_cache(maxsize=512)
def _taps(how: Axis, method: Method) -> Taps:
    """Work out the taps of an axis."""
    where = _coordinates(how, method.transform)
    crop = method.transform == "tf_crop_and_resize"
    outside = (where < 0) | (where > how.size - 1) if crop else np.zeros(how.out, np.bool_)
    if method.mode == "nearest":
        places = _nearest(where, how, method.nearest)[None]
        return Taps(places, np.ones(places.shape), outside)
    # Antialiasing widens the filter until it covers what an output position stands for.
    squeeze = min(how.scale, 1.0) if method.antialias else 1.0
    radius = int(np.ceil((1 if method.mode == "linear" else 2) / squeeze))
    places = np.floor(where).astype(np.int64) + np.arange(1 - radius, radius + 1)[:, None]
    weights = _kernel((places - where) * squeeze, method)
    if method.exclude_outside:
        weights = weights * ((places >= 0) & (places < how.size))
    weights = weights / weights.sum(0)
    return Taps(np.clip(places, 0, how.size - 1), weights, outside)


def _coordinates(how: Axis, transform: str) -> NDArray[np.float32]:
    """Return where each output position lies in the input, as ONNX Runtime rounds it."""
    one = np.float32(1)
    i = np.arange(how.out, dtype=np.float32)
    size, out, scale = np.float32(how.size), np.float32(how.out), np.float32(how.scale)
    start, end = np.float32(how.start), np.float32(how.end)
    where = (i + one / 2) / scale - one / 2
    if transform == "pytorch_half_pixel" and how.out == 1:
        where = np.zeros_like(i)
    elif transform == "half_pixel_symmetric":
        where = size / 2 * (one - out / (scale * size)) + (i + one / 2) / scale - one / 2
    elif transform == "align_corners":
        where = i * (size - one) / max(out - one, one)
    elif transform == "asymmetric":
        where = i / scale
    elif transform == "tf_half_pixel_for_nn":
        where = (i + one / 2) / scale
    elif transform == "tf_crop_and_resize" and how.out == 1:
        where = np.full_like(i, (start + end) / 2 * (size - one))
    elif transform == "tf_crop_and_resize":
        where = start * (size - one) + i * (end - start) * (size - one) / (out - one)
    return where.astype(np.float32)


def _nearest(where: NDArray[np.float32], how: Axis, rounding: str) -> NDArray[np.int64]:
    """Round coordinates to positions."""
    half = np.float32(0.5)
    if rounding == "floor" or (rounding == "simple" and how.scale >= 1):
        places = np.floor(where)
    elif rounding in ("ceil", "simple"):
        places = np.ceil(where)
    elif rounding == "round_prefer_ceil":
        places = np.floor(where + half)
    else:
        places = np.ceil(where - half)
    return np.clip(places, 0, how.size - 1).astype(np.int64)


def _kernel(distance: NDArray[np.floating[Any]], method: Method) -> NDArray[np.float64]:
    """Return the weight of a tap at a distance from the output position.

    Source: Keys, "Cubic convolution interpolation for digital image processing", 1981.
    """
    weights: NDArray[np.float64]
    d = np.abs(distance).astype(np.float64)
    if method.mode == "linear":
        weights = np.maximum(1 - d, 0.0)
        return weights
    a = method.cubic
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    weights = np.where(d <= 1, near, np.where(d < 2, far, 0.0))
    return weights
