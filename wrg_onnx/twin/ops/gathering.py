"""Operators that pick positions: by indices, or by what stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


@twin_op("Gather", since=1)
def gather(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Take whole slices along an axis.

    Shapes:
        x (..., n, ...), indices (*I) -> (..., *I, ...).
    """
    axis = node.axis("axis", rank=x.dim(), default=0)
    if indices.dim() == 0:
        return x.select(axis, int(indices))
    places = from_front(indices, x.shape[axis]).reshape(-1)
    taken = x.index_select(axis, places)
    return taken.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


@twin_op("GatherElements", since=11)
def gather_elements(node: Node, x: Tensor, indices: Tensor) -> Tensor:
    """Take single elements along an axis."""
    axis = node.axis("axis", rank=x.dim(), default=0)
    return torch.gather(x, axis, from_front(indices, x.shape[axis]))


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
    places = [from_front(flat[..., i], x.shape[batch + i]) for i in range(depth)]
    return flat_x[(rows, *places)].reshape(*indices.shape[:-1], *x.shape[batch + depth :])


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


def from_front(indices: Tensor, size: int) -> Tensor:
    """Count negative positions from the end; torch wants int64."""
    indices = indices.to(torch.int64)
    return torch.where(indices < 0, indices + size, indices)
