"""Integers that stand for other numbers: how they are read, and how they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wrg_onnx.graph.model import Array, Attribute
from wrg_onnx.twin.ops.quantised import spread

_INTEGER = re.compile(r"(u?)int(\d+)")


@dataclass(frozen=True, slots=True, eq=False)
class Integers:
    """How the elements of a quantised constant are stored.

    Attributes:
        scale: float64, what a step stands for; broadcasts to the constant.
        zero_point: float64, the integer that stands for 0; broadcasts to the constant.
        original: The constant as it is stored.
        dtype: The type of the floats.
    """

    scale: Array
    zero_point: Array
    original: Array
    dtype: np.dtype[Any]

    def to_floats(self) -> Array:
        """Return what the integers stand for."""
        values = (self.original.astype(np.float64) - self.zero_point) * self.scale
        return np.asarray(values.astype(self.dtype))

    def steps(self) -> Steps:
        """Return what rounds floats as ``to_integers`` does."""
        limits = integer_range(self.original.dtype)
        assert limits is not None  # the constant held integers
        low, high = ((limit - self.zero_point) * self.scale for limit in limits)
        return Steps(*(torch.from_numpy(np.array(a)) for a in (self.scale, low, high)))

    def to_integers(self, values: Array) -> Array:
        """Return the integers that stand for numbers best: the nearest ones in range.

        What did not change keeps its integer: a float32 does not hold every int32.
        """
        limits = integer_range(self.original.dtype)
        assert limits is not None  # the constant held integers
        steps = np.rint(values.astype(np.float64) / self.scale) + self.zero_point
        rounded = steps.clip(*limits).astype(self.original.dtype)
        return np.where(values == self.to_floats(), self.original, rounded)


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """The numbers that integers can stand for; each broadcasts to the constant.

    Attributes:
        scale: float64, the distance between two.
        low: float64, the smallest.
        high: float64, the largest.
    """

    scale: Tensor
    low: Tensor
    high: Tensor


def on_steps(weight: Tensor, steps: Steps) -> Tensor:
    """Round to the nearest number that an integer stands for; gradients go straight through."""
    wide = weight.detach().double()
    scale, low, high = (t.to(weight.device) for t in (steps.scale, steps.low, steps.high))
    # A range of integers that holds its zero point starts and ends on a step.
    rounded = (torch.round(wide / scale) * scale).clamp(low, high).to(weight.dtype)
    return weight + (rounded - weight).detach()


@dataclass(frozen=True, slots=True)
class Meaning:
    """How integers are to be read.

    Attributes:
        scale: The name of the scale; ``""`` is 1.
        zero_point: The name of the zero point; ``""`` is 0.
        axis: Which axis several scales lie along.
        block: Positions to a block along it, 0 without blocks.
    """

    scale: str = ""
    zero_point: str = ""
    axis: int = 1
    block: int = 0

    @property
    def names(self) -> tuple[str, str]:
        """The names of both."""
        return (self.scale, self.zero_point)

    @property
    def attributes(self) -> dict[str, Attribute]:
        """What a node of our own is told."""
        return {"axis": self.axis, "block_size": self.block}


RAW = Meaning()


def integer_range(dtype: np.dtype[Any]) -> tuple[int, int] | None:
    """Return the smallest and the largest number of a type, None for one that is no integer."""
    found = _INTEGER.fullmatch(dtype.name)
    if found is None:
        return None
    bits = int(found[2])
    return (0, 2**bits - 1) if found[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def read_integers(
    array: Array, scale: Array | None, zero_point: Array | None, meaning: Meaning
) -> Integers:
    """Tell how a constant is stored.

    Args:
        array: The constant.
        scale: Its scale; None is 1.
        zero_point: Its zero point; None is 0.
        meaning: Along which axis they lie.
    """
    scales, zeros = (
        spread(torch.from_numpy(np.array(default if given is None else given, np.float64)),
               torch.Size(array.shape), meaning.axis, meaning.block).numpy()
        for given, default in ((scale, 1.0), (zero_point, 0.0))
    )  # fmt: skip
    dtype = np.dtype(np.float32) if scale is None else scale.dtype
    return Integers(scales, zeros, array, dtype)


def product(scales: Iterable[Array]) -> Array:
    """Return the product of scales, each of them one number or a vector."""
    made = np.ones((), np.float32)
    for scale in scales:
        made = made * np.squeeze(scale)
    return np.asarray(made)
