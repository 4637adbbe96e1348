"""Operators that write at positions."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.errors import ModelError
from wrg_onnx.twin.ops.gathering import from_front
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node
if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@twin_op("Scatter", "ScatterElements", since=9)
def scatter_elements(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """Write single elements along an axis, or reduce them into it."""
    axis = node.axis("axis", rank=x.dim(), default=0)
    return _scatter(node, x, axis, from_front(indices, x.shape[axis]), updates)


@twin_op("ScatterND", since=11)
def scatter_nd(node: Node, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """Write slices by tuples of positions on the first axes, or reduce them into it.

    Source: https://onnx.ai/onnx/operators/onnx__ScatterND.html
    """
    depth = indices.shape[-1]
    rows = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=x.device)
    for i in range(depth):
        rows = rows * x.shape[i] + from_front(indices[..., i], x.shape[i])
    inner = prod(x.shape[depth:])
    flat = x.reshape(-1, inner)
    places = rows.reshape(-1, 1).expand(-1, inner)
    return _scatter(node, flat, 0, places, updates.reshape(-1, inner)).reshape(x.shape)


@twin_op("TensorScatter", since=24)
def tensor_scatter(
    node: Node, cache: Tensor, update: Tensor, starts: Tensor | None = None
) -> Tensor:
    """Write a run of positions into each sample of a cache, from its own start on.

    Source: https://onnx.ai/onnx/operators/onnx__TensorScatter.html
    """
    axis = node.axis("axis", rank=cache.dim(), default=-2)
    if axis == 0:
        raise ModelError(f"{node}: axis must not be that of the samples, got {axis}")
    count = torch.arange(update.shape[axis], device=cache.device)
    places = count.expand(cache.shape[0], -1)
    if starts is not None:
        places = places + starts.reshape(-1, 1)
    if node.str("mode", "linear") == "circular":
        places = places % cache.shape[axis]
    shape = [1] * cache.dim()
    shape[0], shape[axis] = places.shape
    return cache.scatter(axis, places.reshape(shape).expand(update.shape), update.to(cache.dtype))


def _scatter(node: Node, x: Tensor, axis: int, places: Tensor, updates: Tensor) -> Tensor:
    updates = updates.to(x.dtype)  # autocast leaves weights as they are
    how = node.str("reduction", "none")
    if how == "none":
        return x.scatter(axis, places, updates)
    if how not in _REDUCTIONS:
        raise ModelError(f"{node}: reduction must be one of {sorted(_REDUCTIONS)}, got '{how}'")
    return x.scatter_reduce(axis, places, updates, _REDUCTIONS[how])
