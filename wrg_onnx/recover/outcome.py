"""What became of the layers: new constants, how well they do, and why others keep their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from wrg_onnx.errors import StatisticsError
from wrg_onnx.graph import Array

ROWS_DIFFER = "how many rows they read depends on the data"
TOO_FEW_ROWS = "the samples give them too few rows"
"""Why a layer keeps its weights."""


@dataclass(frozen=True, slots=True)
class LayerFit:
    """What became of one layer.

    Attributes:
        layer: Its output tensor.
        before: Mean square error of its output, over the variance of the original's, with the
            weights as they were, on samples held out; None where it was not measured.
        after: The same with the new ones. Layers that read the same patches share their penalty, so
            one of them may lose what the others win.
        penalty: The chosen penalty; None where the weights are those of before, spread out.
        rows: From how many rows it was solved.
        seen: How many rows there were.
    """

    layer: str
    before: float | None
    after: float | None
    penalty: float | None
    rows: int
    seen: int


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """New constants, by name, what they do, and how many layers have none, by reason."""

    constants: Mapping[str, Array]
    fits: tuple[LayerFit, ...] = ()
    left: Mapping[str, int] = field(default_factory=dict)


def check_finite(layer: str, sums: Array) -> None:
    """Refuse sums that hold NaN or infinity, be it that the squares of what was added overflow.

    Raises:
        StatisticsError: Names the layer.
    """
    if not np.isfinite(sums).all():
        raise StatisticsError(
            f"the layer that makes '{layer}' reads or makes NaN or infinity, or numbers too large "
            "for float32 to square, so its weights cannot be solved for; check the images and "
            "--mean, --std, or use --recover none with another --criterion, such as l1"
        )


def check_fits(layer: str, array: Array | None) -> None:
    """Refuse new weights that overflow their type.

    Raises:
        StatisticsError: Names the layer.
    """
    if array is not None and not np.isfinite(array).all():
        raise StatisticsError(
            f"the new weights of the layer that makes '{layer}' do not fit {array.dtype}: use more "
            "samples, or --recover none"
        )
