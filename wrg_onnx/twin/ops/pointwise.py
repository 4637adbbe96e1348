"""Arithmetic, comparison and logic, one element at a time, with NumPy's broadcasting."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.twin.attributes import dtype, number
from wrg_onnx.twin.table import plain, twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


twin_op("Abs", since=6)(plain(torch.abs))
twin_op("Neg", since=6)(plain(torch.neg))
twin_op("Reciprocal", since=6)(plain(torch.reciprocal))
twin_op("Exp", since=6)(plain(torch.exp))
twin_op("Log", since=6)(plain(torch.log))
twin_op("Sqrt", since=6)(plain(torch.sqrt))
twin_op("Floor", since=6)(plain(torch.floor))
twin_op("Ceil", since=6)(plain(torch.ceil))
twin_op("Round", since=11)(plain(torch.round))  # both send halves to the even neighbour
twin_op("Sign", since=9)(plain(torch.sign))
twin_op("Erf", since=9)(plain(torch.erf))
twin_op("Sin", since=7)(plain(torch.sin))
twin_op("Cos", since=7)(plain(torch.cos))
twin_op("Tan", since=7)(plain(torch.tan))
twin_op("Asin", since=7)(plain(torch.asin))
twin_op("Acos", since=7)(plain(torch.acos))
twin_op("Atan", since=7)(plain(torch.atan))
twin_op("Sinh", since=9)(plain(torch.sinh))
twin_op("Cosh", since=9)(plain(torch.cosh))
twin_op("Asinh", since=9)(plain(torch.asinh))
twin_op("Acosh", since=9)(plain(torch.acosh))
twin_op("Atanh", since=9)(plain(torch.atanh))
twin_op("IsNaN", since=9)(plain(torch.isnan))
twin_op("Add", since=7, pointwise=True)(plain(torch.add))
twin_op("Sub", since=7, pointwise=True)(plain(torch.sub))
twin_op("Mul", since=7, pointwise=True)(plain(torch.mul))
twin_op("Equal", since=7, pointwise=True)(plain(torch.eq))
twin_op("Greater", since=7, pointwise=True)(plain(torch.gt))
twin_op("GreaterOrEqual", since=12, pointwise=True)(plain(torch.ge))
twin_op("Less", since=7, pointwise=True)(plain(torch.lt))
twin_op("LessOrEqual", since=12, pointwise=True)(plain(torch.le))
twin_op("And", since=7)(plain(torch.logical_and))
twin_op("Or", since=7)(plain(torch.logical_or))
twin_op("Xor", since=7)(plain(torch.logical_xor))
twin_op("Not", since=1)(plain(torch.logical_not))
twin_op("BitwiseAnd", since=18)(plain(torch.bitwise_and))
twin_op("BitwiseOr", since=18)(plain(torch.bitwise_or))
twin_op("BitwiseXor", since=18)(plain(torch.bitwise_xor))
twin_op("BitwiseNot", since=18)(plain(torch.bitwise_not))
twin_op("Where", since=9, pointwise=True)(plain(torch.where))
twin_op("Max", since=6, pointwise=True)(lambda _node, *xs: reduce(torch.maximum, xs))
twin_op("Min", since=6, pointwise=True)(lambda _node, *xs: reduce(torch.minimum, xs))
twin_op("Sum", since=6, pointwise=True)(lambda _node, *xs: reduce(torch.add, xs))
twin_op("Mean", since=6, pointwise=True)(lambda _node, *xs: reduce(torch.add, xs) / len(xs))
twin_op("Identity", since=1, pointwise=True)(lambda _node, x: x)


@twin_op("Div", since=7, pointwise=True)
def div(_node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Divide; integers are truncated towards zero."""
    if a.is_floating_point():
        return a / b
    return torch.div(a, b, rounding_mode="trunc")


@twin_op("Mod", since=10, pointwise=True)
def mod(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Take the remainder, with the sign of b, or of a where ``fmod`` is set."""
    return torch.fmod(a, b) if node.int("fmod", 0) else torch.remainder(a, b)


@twin_op("Pow", since=7, host=(1,))
def power(_node: Node, x: Tensor, exponent: Tensor) -> Tensor:
    """Raise to a power; the result has the type of the base."""
    if exponent.numel() == 1 and exponent.dim() <= x.dim() and not exponent.requires_grad:
        # A number lets torch square instead of going through the logarithm.
        return torch.pow(x, exponent.item()).to(x.dtype)
    return torch.pow(x, exponent.to(x.device)).to(x.dtype)


@twin_op("Clip", since=6)
def clip_6(node: Node, x: Tensor) -> Tensor:
    """Clip to bounds that are attributes, as before opset 11."""
    low, high = number(node, "min", float("-inf")), number(node, "max", float("inf"))
    return x.clamp(low, high)


@twin_op("Clip", since=11, host=(1, 2))
def clip(_node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Clip to bounds; where they cross, the upper one wins."""
    bounds = [bound for bound in (low, high) if bound is not None]
    if not bounds:
        return x
    if any(bound.requires_grad for bound in bounds):
        x = x if low is None else torch.maximum(x, low.to(x.device))
        return x if high is None else torch.minimum(x, high.to(x.device))
    return x.clamp(*(None if bound is None else bound.item() for bound in (low, high)))


@twin_op("Cast", since=6, pointwise=True)
def cast(node: Node, x: Tensor) -> Tensor:
    """Change the element type."""
    return x.to(dtype(node, "to"))


@twin_op("CastLike", since=15, pointwise=True)
def cast_like(_node: Node, x: Tensor, like: Tensor) -> Tensor:
    """Change the element type to that of another tensor."""
    return x.to(like.dtype)


@twin_op("IsInf", since=10)
def is_inf(node: Node, x: Tensor) -> Tensor:
    """Mark the infinities of the signs that the node detects."""
    infinite = torch.isinf(x)
    if not node.int("detect_positive", 1):
        infinite = infinite & (x < 0)
    if not node.int("detect_negative", 1):
        infinite = infinite & (x > 0)
    return infinite


@twin_op("BitShift", since=11)
def bit_shift(node: Node, x: Tensor, amount: Tensor) -> Tensor:
    """Shift bits in the node's direction."""
    if node.str("direction", "") == "LEFT":
        return torch.bitwise_left_shift(x, amount)
    return torch.bitwise_right_shift(x, amount)


@twin_op("Dropout", since=7, host=(1, 2))
def dropout(
    node: Node, x: Tensor, _ratio: Tensor | None = None, _training: Tensor | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Do nothing: the twin is the network as it is deployed. The mask keeps everything."""
    if len(node.outputs) == 1:
        return x
    return x, torch.ones_like(x, dtype=torch.bool)


@twin_op("BitCast", since=26)
def bit_cast(node: Node, x: Tensor) -> Tensor:
    """Read the same bits as another element type."""
    return x.contiguous().view(dtype(node, "to"))
