"""Pad, in every mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.errors import ModelError
from wrg_onnx.twin.attributes import axes, integers, number
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrg_onnx.graph.model import Node


@twin_op("Pad", since=2)
def pad_2(node: Node, x: Tensor) -> Tensor:
    """Pad by amounts that are attributes, as before opset 11."""
    return _pad(node, x, node.ints("pads"), range(x.dim()), number(node, "value", 0.0))


@twin_op("Pad", since=11, host=(1, 2, 3))
def pad(
    node: Node,
    x: Tensor,
    amounts: Tensor,
    value: Tensor | None = None,
    operand: Tensor | None = None,
) -> Tensor:
    """Pad the axes that are named, or all, before and after; a negative amount crops.

    Source: https://onnx.ai/onnx/operators/onnx__Pad.html
    """
    over = axes(node, operand, rank=x.dim())
    over = tuple(range(x.dim())) if over is None else over
    fill = 0.0 if value is None else float(value.item())
    return _pad(node, x, integers(amounts), over, fill)


def _pad(
    node: Node, x: Tensor, amounts: Sequence[int], over: Sequence[int], value: float
) -> Tensor:
    begins, ends = amounts[: len(over)], amounts[len(over) :]
    mode = node.str("mode", "constant")
    if mode == "constant":
        pairs = [(0, 0)] * x.dim()
        for axis, begin, end in zip(over, begins, ends, strict=True):
            pairs[axis] = (begin, end)
        flat = [amount for pair in reversed(pairs) for amount in pair]
        # Torch pads no booleans.
        source = x.to(torch.uint8) if x.dtype == torch.bool else x
        return functional.pad(source, flat, value=value).to(x.dtype)
    for axis, begin, end in zip(over, begins, ends, strict=True):
        if begin or end:
            places = _places(node, mode, torch.arange(-begin, x.shape[axis] + end), x.shape[axis])
            x = x.index_select(axis, places.to(x.device))
    return x


def _places(node: Node, mode: str, places: Tensor, size: int) -> Tensor:
    """Return where each position of the padded axis is read."""
    if mode == "edge":
        return places.clamp(0, size - 1)
    if mode == "wrap":
        return places % size
    if mode == "reflect":
        # The edges are not repeated, so the mirror images come back after 2 * size - 2.
        period = max(2 * size - 2, 1)
        places = places % period
        return torch.minimum(places, period - places) if size > 1 else torch.zeros_like(places)
    raise ModelError(f"{node}: mode must be constant, reflect, edge or wrap, got '{mode}'")


@twin_op("CenterCropPad", since=18, host=(1,))
def center_crop_pad(node: Node, x: Tensor, sizes: Tensor) -> Tensor:
    """Crop or pad with zeros around the middle; what is odd goes to the end.

    Source: https://onnx.ai/onnx/operators/onnx__CenterCropPad.html
    """
    over = axes(node, None, rank=x.dim())
    amounts = [(0, 0)] * x.dim()
    named = tuple(range(x.dim())) if over is None else over
    for axis, size in zip(named, integers(sizes), strict=True):
        missing = size - x.shape[axis]
        begin = missing // 2 if missing > 0 else -(-missing // 2)
        amounts[axis] = (begin, missing - begin)
    return functional.pad(x, [amount for pair in reversed(amounts) for amount in pair])
