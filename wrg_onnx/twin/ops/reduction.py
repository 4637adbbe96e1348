"""Reductions along axes, and along one axis step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from wrg_onnx.twin.attributes import axes, integers
from wrg_onnx.twin.table import TwinFunction, twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


Reduce: TypeAlias = Callable[[Tensor, tuple[int, ...], bool], Tensor]


def reduction(function: Reduce) -> TwinFunction:
    """Turn ``(x, axes, keepdims) -> y`` into a reduction that reads these off its node."""

    def reduce(node: Node, x: Tensor, operand: Tensor | None = None) -> Tensor:
        over = axes(node, operand, rank=x.dim())
        if not over:
            over = () if node.int("noop_with_empty_axes", 0) else tuple(range(x.dim()))
        return function(x, over, bool(node.int("keepdims", 1)))

    return reduce


def _sum(x: Tensor, over: tuple[int, ...], keep: bool) -> Tensor:
    # For torch no axes are all axes; here they are none.
    return x.sum(over, keepdim=keep, dtype=x.dtype) if over else x


def _mean(x: Tensor, over: tuple[int, ...], keep: bool) -> Tensor:
    return x.mean(over, keepdim=keep) if over else x


def _max(x: Tensor, over: tuple[int, ...], keep: bool) -> Tensor:
    if not over:
        return x
    return _with_one(x, over, _bounds(x.dtype)[0]).amax(over, keepdim=keep)


def _min(x: Tensor, over: tuple[int, ...], keep: bool) -> Tensor:
    if not over:
        return x
    return _with_one(x, over, _bounds(x.dtype)[1]).amin(over, keepdim=keep)


def _with_one(x: Tensor, over: tuple[int, ...], value: float) -> Tensor:
    """Put one value where there is nothing to reduce, which torch refuses and ONNX defines."""
    sizes = [max(size, 1) if axis in over else size for axis, size in enumerate(x.shape)]
    return x if x.shape == tuple(sizes) else x.new_full(sizes, value)


def _bounds(kind: torch.dtype) -> tuple[float, float]:
    """Return the smallest and the largest value of an element type."""
    if kind == torch.bool:
        return False, True
    if kind.is_floating_point:
        return float("-inf"), float("inf")
    return torch.iinfo(kind).min, torch.iinfo(kind).max


def _prod(x: Tensor, over: tuple[int, ...], keep: bool) -> Tensor:
    for axis in sorted(over, reverse=True):
        x = x.prod(axis, keepdim=keep, dtype=x.dtype)
    return x


def _log_sum_exp(x: Tensor, over: tuple[int, ...], keep: bool) -> Tensor:
    return torch.logsumexp(x, over, keepdim=keep) if over else x


def _norm(x: Tensor, over: tuple[int, ...], keep: bool) -> Tensor:
    # The norm, unlike the root of a sum, has a gradient at zero.
    return torch.linalg.vector_norm(x, 2, over, keepdim=keep) if over else x.abs()


twin_op("ReduceSum", since=1, host=(1,))(reduction(_sum))
twin_op("ReduceMean", since=1, host=(1,))(reduction(_mean))
twin_op("ReduceMax", since=1, host=(1,))(reduction(_max))
twin_op("ReduceMin", since=1, host=(1,))(reduction(_min))
twin_op("ReduceProd", since=1, host=(1,))(reduction(_prod))
twin_op("ReduceL1", since=1, host=(1,))(reduction(lambda x, *how: _sum(x.abs(), *how)))
twin_op("ReduceL2", since=1, host=(1,))(reduction(_norm))
twin_op("ReduceLogSum", since=1, host=(1,))(reduction(lambda x, *how: _sum(x, *how).log()))
twin_op("ReduceLogSumExp", since=1, host=(1,))(reduction(_log_sum_exp))
twin_op("ReduceSumSquare", since=1, host=(1,))(reduction(lambda x, *how: _sum(x * x, *how)))


@twin_op("ArgMax", "ArgMin", since=1)
def arg_extremum(node: Node, x: Tensor) -> Tensor:
    """Find the first extremum along an axis, or the last where the node says so."""
    axis = node.axis("axis", rank=x.dim(), default=0)
    find = torch.argmax if node.op == "ArgMax" else torch.argmin
    keep = bool(node.int("keepdims", 1))
    if node.int("select_last_index", 0):
        return x.shape[axis] - 1 - find(x.flip(axis), axis, keepdim=keep)
    return find(x, axis, keepdim=keep)


@twin_op("CumSum", since=11, host=(1,))
def cum_sum(node: Node, x: Tensor, operand: Tensor) -> Tensor:
    """Sum along an axis up to each position, itself left out where ``exclusive``."""
    axis = integers(operand)[0]
    forward = x.flip(axis) if node.int("reverse", 0) else x
    sums = forward.cumsum(axis, dtype=x.dtype)
    if node.int("exclusive", 0):
        sums = sums - forward
    return sums.flip(axis) if node.int("reverse", 0) else sums


@twin_op("CumProd", since=26, host=(1,))
def cum_prod(node: Node, x: Tensor, operand: Tensor) -> Tensor:
    """Multiply along an axis up to each position, itself left out where ``exclusive``."""
    axis = integers(operand)[0] % x.dim()
    factors = x.flip(axis) if node.int("reverse", 0) else x
    if node.int("exclusive", 0):
        kept = factors.narrow(axis, 0, factors.shape[axis] - 1)
        factors = torch.cat((torch.ones_like(factors.narrow(axis, 0, 1)), kept), axis)
    products = factors.cumprod(axis, dtype=x.dtype)
    return products.flip(axis) if node.int("reverse", 0) else products


@twin_op("TopK", since=1, host=(1,))
def top_k(node: Node, x: Tensor, operand: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Take the k largest or smallest along an axis, in order; equal ones by position.

    Torch's own topk leaves the order of equal elements open, so this sorts.
    """
    axis = node.axis("axis", rank=x.dim(), default=-1)
    k = node.int("k") if operand is None else integers(operand)[0]
    largest = bool(node.int("largest", 1))
    values, indices = torch.sort(x, dim=axis, descending=largest, stable=True)
    return values.narrow(axis, 0, k), indices.narrow(axis, 0, k)
