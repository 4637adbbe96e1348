"""Operators that lay the elements out anew without looking at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from wrg_onnx.errors import ModelError
from wrg_onnx.twin.attributes import axes, integers
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


@twin_op("Reshape", since=5, host=(1,))
def reshape(node: Node, x: Tensor, operand: Tensor) -> Tensor:
    """Give x new sizes; -1 is inferred, and 0 keeps the size unless ``allowzero``."""
    sizes = integers(operand)
    if not node.int("allowzero", 0):
        sizes = [x.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return x.reshape(sizes)


@twin_op("Flatten", since=1)
def flatten(node: Node, x: Tensor) -> Tensor:
    """Merge the axes before ``axis``, and those from it on."""
    axis = node.int("axis", 1)
    axis = axis + x.dim() if axis < 0 else axis
    return x.reshape(x.shape[:axis].numel(), x.shape[axis:].numel())


@twin_op("Transpose", since=1)
def transpose(node: Node, x: Tensor) -> Tensor:
    """Permute the axes; without ``perm`` they are reversed."""
    return x.permute(node.ints("perm", tuple(reversed(range(x.dim())))))


@twin_op("Squeeze", since=1, host=(1,))
def squeeze(node: Node, x: Tensor, operand: Tensor | None = None) -> Tensor:
    """Remove axes of size one: those that are named, or all."""
    over = axes(node, operand, rank=x.dim())
    if over is None:
        return x.squeeze()
    if any(x.shape[axis] != 1 for axis in over):
        raise ModelError(f"{node}: axes {over} of shape {tuple(x.shape)} are not all of size 1")
    return x.squeeze(over)


@twin_op("Unsqueeze", since=1, host=(1,))
def unsqueeze(node: Node, x: Tensor, operand: Tensor | None = None) -> Tensor:
    """Insert axes of size one at places counted in the result."""
    count = len(node.ints("axes")) if operand is None else operand.numel()
    for axis in sorted(axes(node, operand, rank=x.dim() + count) or ()):
        x = x.unsqueeze(axis)
    return x


@twin_op("Expand", since=8, host=(1,), pointwise=True)
def expand(_node: Node, x: Tensor, operand: Tensor) -> Tensor:
    """Broadcast x and a shape against each other."""
    sizes = integers(operand)
    x = x.reshape(*(1,) * (len(sizes) - x.dim()), *x.shape)
    sizes = [1] * (x.dim() - len(sizes)) + sizes
    # ONNX keeps a size where 1 is asked for, torch where -1 is.
    return x.expand([-1 if size == 1 else size for size in sizes])


@twin_op("Tile", since=6, host=(1,))
def tile(_node: Node, x: Tensor, repeats: Tensor) -> Tensor:
    """Repeat x along each axis."""
    return x.repeat(integers(repeats))


@twin_op("DepthToSpace", since=1)
def depth_to_space(node: Node, x: Tensor) -> Tensor:
    """Move blocks of channels into space.

    Shapes:
        x (N, C * b * b, H, W) -> (N, C, H * b, W * b); mode DCR reads the channels as (b, b, C),
        mode CRD as (C, b, b).

    Source: https://onnx.ai/onnx/operators/onnx__DepthToSpace.html
    """
    b = node.int("blocksize")
    n, c, h, w = x.shape
    if node.str("mode", "DCR") == "DCR":
        blocks = x.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.reshape(n, c // (b * b), b, b, h, w).permute(0, 1, 4, 2, 5, 3)
    return blocks.reshape(n, c // (b * b), h * b, w * b)


@twin_op("SpaceToDepth", since=1)
def space_to_depth(node: Node, x: Tensor) -> Tensor:
    """Move blocks of space into channels: the inverse of DepthToSpace in the same mode."""
    b = node.int("blocksize")
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // b, b, w // b, b)
    order = (0, 3, 5, 1, 2, 4) if node.str("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    blocks = blocks.permute(order)
    return blocks.reshape(n, b * b * c, h // b, w // b)
