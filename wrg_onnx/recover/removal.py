"""What one cut removed, as recovery needs to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wrg_onnx.channels import IdArray
from wrg_onnx.graph import Graph
from wrg_onnx.rewrite.kept_channels import KeptChannels

Slices = Mapping[str, tuple[IdArray | None, ...]]
"""The kept positions per axis of each sliced constant, None for a whole axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Removal:
    """What one cut removed.

    Attributes:
        before: The model as it was.
        pruned: What is left of it.
        slices: The kept positions per axis of each sliced constant, as a plan gives them.
        kept: Which channels each tensor of ``pruned`` still has of the model that it is held
            against: ``before``, or the original where that was cut more than once.
    """

    before: Graph
    pruned: Graph
    slices: Slices
    kept: Mapping[str, KeptChannels]
