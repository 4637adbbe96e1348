"""Operators that read or write by position."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.errors import ModelError
from wrg_onnx.twin.attributes import axes, integers
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wrg_onnx.graph.model import Node

_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


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


@twin_op("Gather", since=1)
def gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Take whole slices along an axis.

    Shapes:
        x (..., n, ...), indices (*I) -> (..., *I, ...).
    """
    axis = node.axis("axis", rank=x.dim(), default=0)
    if indices.dim() == 0:
        return x.select(axis, int(indices))
    places = _from_front(indices, x.shape[axis]).reshape(-1)
    taken = x.index_select(axis, places)
    return taken.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@twin_op("GatherElements", since=11)
def gather_elements(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Take single elements along an axis."""
    axis = node.axis("axis", rank=x.dim(), default=0)
    return torch.gather(x, axis, _from_front(indices, x.shape[axis]))


@twin_op("GatherND", since=11)
def gather_nd(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Take slices by tuples of positions on the axes after the ``batch_dims`` first.

    Shapes:
        x (*B, *S, ...), indices (*B, *I, len(S)) -> (*B, *I, ...).

    Source: https://onnx.ai/onnx/operators/onnx__GatherND.html
    """
    batch = node.int("batch_dims", 0)
    depth = indices.shape[-1]
    flat_x = x.reshape(-1, *x.shape[batch:])
    flat = indices.reshape(flat_x.shape[0], -1, depth)
    rows = torch.arange(flat_x.shape[0], device=x.device)[:, None].expand(flat.shape[:2])
    places = [_from_front(flat[..., i], x.shape[batch + i]) for i in range(depth)]
    return flat_x[(rows, *places)].reshape(*indices.shape[:-1], *x.shape[batch + depth :])


@twin_op("Scatter", "ScatterElements", since=9)
def scatter_elements(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """Write single elements along an axis, or reduce them into it."""
    axis = node.axis("axis", rank=x.dim(), default=0)
    return _scatter(node, x, axis, _from_front(indices, x.shape[axis]), updates)


@twin_op("ScatterND", since=11)
def scatter_nd(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """Write slices by tuples of positions on the first axes, or reduce them into it.

    Source: https://onnx.ai/onnx/operators/onnx__ScatterND.html
    """
    depth = indices.shape[-1]
    rows = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=x.device)
    for i in range(depth):
        rows = rows * x.shape[i] + _from_front(indices[..., i], x.shape[i])
    inner = prod(x.shape[depth:])
    flat = x.reshape(-1, inner)
    places = rows.reshape(-1, 1).expand(-1, inner)
    return _scatter(node, flat, 0, places, updates.reshape(-1, inner)).reshape(x.shape)


@twin_op("NonZero", since=9)
def non_zero(_node: Node, x: Tensor) -> Tensor:
    """Return the positions of what is not zero, one column each."""
    return torch.nonzero(x).t()


@twin_op("Compress", since=9)
def compress(node: Node, x: Tensor, condition: Tensor) -> Tensor:
    """Keep the slices along an axis, or the elements of the flattened x, that are marked."""
    flat = "axis" not in node.attributes
    x = x.reshape(-1) if flat else x
    axis = 0 if flat else node.axis("axis", rank=x.dim())
    return x.index_select(axis, torch.nonzero(condition).reshape(-1))


@twin_op("ReverseSequence", since=10)
def reverse_sequence(node: Node, x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first ``lengths[b]`` steps of each sequence."""
    time, batch = node.int("time_axis", 0), node.int("batch_axis", 1)
    steps = torch.arange(x.shape[time], device=x.device)[:, None]
    places = torch.where(steps < lengths, lengths - 1 - steps, steps)  # (time, batch)
    places = places if time < batch else places.t()
    shaped = places.reshape(*places.shape, *(1,) * (x.dim() - 2)).expand_as(x)
    return torch.gather(x, time, shaped)


def _from_front(indices: Tensor, size: int) -> Tensor:
    """Count negative positions from the end; torch wants int64."""
    indices = indices.to(torch.int64)
    return torch.where(indices < 0, indices + size, indices)


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


def _scatter(node: Node, x: Tensor, axis: int, places: Tensor, updates: Tensor) -> Tensor:
    updates = updates.to(x.dtype)  # autocast leaves weights as they are
    how = node.str("reduction", "none")
    if how == "none":
        return x.scatter(axis, places, updates)
    if how not in _REDUCTIONS:
        raise ModelError(f"{node}: reduction must be one of {sorted(_REDUCTIONS)}, got '{how}'")
    return x.scatter_reduce(axis, places, updates, _REDUCTIONS[how])
