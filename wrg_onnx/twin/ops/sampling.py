"""Sampling at computed places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from wrg_onnx.twin.attributes import integers
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from torch import Tensor

    from wrg_onnx.graph.model import Node

# Opset 20 renamed the modes.
_MODES = {"linear": "bilinear", "cubic": "bicubic"}


@twin_op("GridSample", since=16)
def grid_sample(node: Node, x: Tensor, grid: Tensor) -> Tensor:
    """Sample x at the places of a grid.

    Source: https://onnx.ai/onnx/operators/onnx__GridSample.html
    """
    mode = node.str("mode", "bilinear")
    return functional.grid_sample(
        x,
        grid,
        mode=_MODES.get(mode, mode),
        padding_mode=node.str("padding_mode", "zeros"),
        align_corners=bool(node.int("align_corners", 0)),
    )


@twin_op("AffineGrid", since=20, host=(1,))
def affine_grid(node: Node, theta: Tensor, size: Tensor) -> Tensor:
    """Make the grid of an affine map."""
    return functional.affine_grid(
        theta, integers(size), align_corners=bool(node.int("align_corners", 0))
    )
