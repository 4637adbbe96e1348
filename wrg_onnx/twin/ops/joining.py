"""Concat and Split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.twin.attributes import integers
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrg_onnx.graph.model import Node


@twin_op("Concat", since=4)
def concat(node: Node, *xs: Tensor) -> Tensor:
    """Join tensors along an axis."""
    return torch.cat(xs, node.axis("axis", rank=xs[0].dim()))


@twin_op("Split", since=2, host=(1,))
def split(node: Node, x: Tensor, operand: Tensor | None = None) -> tuple[Tensor, ...]:
    """Cut x along an axis: into the sizes given, or into equal parts, the last one smaller.

    Source: https://onnx.ai/onnx/operators/onnx__Split.html
    """
    axis = node.axis("axis", rank=x.dim(), default=0)
    sizes: Sequence[int]
    if operand is not None:
        sizes = integers(operand)
    elif "split" in node.attributes:
        sizes = node.ints("split")
    else:
        count = node.int("num_outputs", len(node.outputs))
        part = -(-x.shape[axis] // count)
        sizes = [part] * (count - 1) + [x.shape[axis] - part * (count - 1)]
    return torch.split(x, list(sizes), axis)
