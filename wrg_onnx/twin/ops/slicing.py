"""Operators that take ranges of an axis, or turn ranges round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.twin.attributes import axes, integers
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wrg_onnx.graph.model import Node


@twin_op("Slice", since=1)
def slice_1(node: Node, x: Tensor) -> Tensor:
    """Cut ranges out of axes, given as attributes, as before opset 10."""
    starts, ends = node.ints("starts"), node.ints("ends")
    over = node.ints("axes", tuple(range(len(starts))))
    return _cut(x, over, zip(starts, ends, (1,) * len(starts), strict=True))


@twin_op("Slice", since=10, host=(1, 2, 3, 4))
def slice_10(
    node: Node,
    x: Tensor,
    starts: Tensor,
    ends: Tensor,
    operand: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    """Cut ranges out of axes; a negative step goes backwards.

    Source: https://onnx.ai/onnx/operators/onnx__Slice.html
    """
    first = integers(starts)
    over = axes(node, operand, rank=x.dim()) or tuple(range(len(first)))
    strides = [1] * len(first) if steps is None else integers(steps)
    return _cut(x, over, zip(first, integers(ends), strides, strict=True))


def _cut(x: Tensor, over: Sequence[int], ranges: Iterable[tuple[int, int, int]]) -> Tensor:
    """Cut (start, end, step) out of each axis; bounds beyond the axis are clamped."""
    for axis, (start, end, step) in zip(over, ranges, strict=True):
        size = x.shape[axis]
        taken = range(*slice(start, end, step).indices(size))
        if step < 0:
            x = x.index_select(axis, torch.tensor(taken, dtype=torch.int64, device=x.device))
        elif len(taken) < size:
            cut = (slice(None),) * (axis % x.dim())
            x = x[(*cut, slice(taken.start, max(taken.stop, taken.start), step))]
    return x


@twin_op("ReverseSequence", since=10)
def reverse_sequence(node: Node, x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first ``lengths[b]`` steps of each sequence."""
    time, batch = node.int("time_axis", 0), node.int("batch_axis", 1)
    steps = torch.arange(x.shape[time], device=x.device)[:, None]
    places = torch.where(steps < lengths, lengths - 1 - steps, steps)  # (time, batch)
    places = places if time < batch else places.t()
    shaped = places.reshape(*places.shape, *(1,) * (x.dim() - 2)).expand_as(x)
    return torch.gather(x, time, shaped)
