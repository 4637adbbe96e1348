"""Tensors made of shapes and numbers, and the shapes themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from wrg_onnx.twin.attributes import dtype, integers, to_tensor
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


@twin_op("Shape", since=1)
def shape(node: Node, x: Tensor) -> Tensor:
    """Return the sizes of x from ``start`` to ``end``, on the CPU."""
    sizes = tuple(x.shape)
    start, end = node.int("start", 0), node.int("end", len(sizes))
    return torch.tensor(sizes[slice(*slice(start, end).indices(len(sizes)))], dtype=torch.int64)


@twin_op("Size", since=1)
def size(_node: Node, x: Tensor) -> Tensor:
    """Return the number of elements of x, on the CPU."""
    return torch.tensor(x.numel())


@twin_op("ConstantOfShape", since=9, host=(0,))
def constant_of_shape(node: Node, sizes: Tensor) -> Tensor:
    """Fill a shape with one value."""
    value = node.attributes.get("value")
    one = to_tensor(value) if isinstance(value, np.ndarray) else torch.zeros(1)
    return one.reshape(()).repeat(integers(sizes))


@twin_op("Range", since=11, host=(0, 1, 2))
def arange(_node: Node, start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    """Count from start to limit, which is left out."""
    bounds = (start.item(), limit.item(), delta.item())
    count = max(int(np.ceil((bounds[1] - bounds[0]) / bounds[2])), 0)
    return (torch.arange(count) * delta + start).to(start.dtype)


@twin_op("EyeLike", since=9)
def eye_like(node: Node, x: Tensor) -> Tensor:
    """Put ones on the k-th diagonal of a matrix of the shape of x."""
    kind = dtype(node, "dtype") if "dtype" in node.attributes else x.dtype
    ones = torch.ones(tuple(x.shape), dtype=torch.int64, device=x.device)
    k = node.int("k", 0)
    return (ones.triu(k) - ones.triu(k + 1)).to(kind)


@twin_op("OneHot", since=9, host=(1,))
def one_hot(node: Node, indices: Tensor, depth: Tensor, values: Tensor) -> Tensor:
    """Mark each index on a new axis; one outside the depth marks nothing."""
    count = integers(depth)[0]
    axis = node.axis("axis", rank=indices.dim() + 1, default=-1)
    where = indices.to(torch.int64)
    where = torch.where(where < 0, where + count, where).unsqueeze(axis)
    places = torch.arange(count, device=indices.device)
    places = places.reshape(*(1,) * axis, -1, *(1,) * (indices.dim() - axis))
    return torch.where(where == places, values[1], values[0])
