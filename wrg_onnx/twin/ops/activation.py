"""Activations: one tensor in, one of the same shape out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.twin.attributes import number
from wrg_onnx.twin.table import plain, twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


twin_op("Relu", since=6)(plain(torch.relu))
twin_op("Sigmoid", since=6)(plain(torch.sigmoid))
twin_op("Tanh", since=6)(plain(torch.tanh))
twin_op("Softsign", since=1)(plain(functional.softsign))
twin_op("Mish", since=18)(plain(functional.mish))
twin_op("HardSwish", since=14)(plain(functional.hardswish))


@twin_op("LeakyRelu", since=6)
def leaky_relu(node: Node, x: Tensor) -> Tensor:
    """Scale what is negative by ``alpha``."""
    return functional.leaky_relu(x, number(node, "alpha", 0.01))


@twin_op("PRelu", since=7)
def prelu(_node: Node, x: Tensor, slope: Tensor) -> Tensor:
    """Scale what is negative by a learned slope, broadcast to x from the right."""
    per_channel = slope.dim() == x.dim() - 1 and slope.shape[0] == slope.numel()
    if slope.is_floating_point() and x.dim() >= 2 and (slope.numel() == 1 or per_channel):
        return functional.prelu(x, slope.reshape(-1))
    return torch.where(x < 0, x * slope, x)


@twin_op("Elu", since=6)
def elu(node: Node, x: Tensor) -> Tensor:
    """Compute ``alpha * (exp(x) - 1)`` where x is negative."""
    return functional.elu(x, number(node, "alpha", 1.0))


@twin_op("Selu", since=6)
def selu(node: Node, x: Tensor) -> Tensor:
    """Compute ``gamma`` times Elu."""
    alpha = number(node, "alpha", 1.67326319217681884765625)
    return number(node, "gamma", 1.05070102214813232421875) * functional.elu(x, alpha)


@twin_op("Celu", since=12)
def celu(node: Node, x: Tensor) -> Tensor:
    """Compute ``alpha * (exp(x / alpha) - 1)`` where x is negative."""
    return functional.celu(x, number(node, "alpha", 1.0))


@twin_op("Gelu", since=20)
def gelu(node: Node, x: Tensor) -> Tensor:
    """Weigh x by the normal distribution's share below it."""
    return functional.gelu(x, approximate=node.str("approximate", "none"))


@twin_op("Swish", since=24)
def swish(node: Node, x: Tensor) -> Tensor:
    """Compute ``x * sigmoid(alpha * x)``."""
    alpha = number(node, "alpha", 1.0)
    return functional.silu(x) if alpha == 1.0 else x * torch.sigmoid(alpha * x)


@twin_op("HardSigmoid", since=6)
def hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    """Compute ``alpha * x + beta``, clipped to [0, 1]."""
    return (number(node, "alpha", 0.2) * x + number(node, "beta", 0.5)).clamp(0.0, 1.0)


@twin_op("Softplus", since=1)
def softplus(_node: Node, x: Tensor) -> Tensor:
    """Compute ``log(exp(x) + 1)``, exact for large x, where torch's own is linear."""
    return torch.logaddexp(x, torch.zeros_like(x))


@twin_op("ThresholdedRelu", since=10)
def thresholded_relu(node: Node, x: Tensor) -> Tensor:
    """Let through what lies above ``alpha``."""
    return functional.threshold(x, number(node, "alpha", 1.0), 0.0)


@twin_op("Shrink", since=9)
def shrink(node: Node, x: Tensor) -> Tensor:
    """Move x towards zero by ``bias``; what lies within ``lambd`` of it becomes zero."""
    lambd, bias = number(node, "lambd", 0.5), number(node, "bias", 0.0)
    zero = torch.zeros_like(x)
    return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, zero)).to(x.dtype)


@twin_op("Softmax", since=13)
def softmax(node: Node, x: Tensor) -> Tensor:
    """Normalise the exponentials along one axis."""
    return functional.softmax(x, node.axis("axis", rank=x.dim(), default=-1))


@twin_op("LogSoftmax", since=13)
def log_softmax(node: Node, x: Tensor) -> Tensor:
    """Take the logarithm of Softmax."""
    return functional.log_softmax(x, node.axis("axis", rank=x.dim(), default=-1))


@twin_op("Hardmax", since=13)
def hardmax(node: Node, x: Tensor) -> Tensor:
    """Mark the first maximum along one axis."""
    axis = node.axis("axis", rank=x.dim(), default=-1)
    return torch.zeros_like(x).scatter(axis, x.argmax(axis, keepdim=True), 1.0)


@twin_op("Softmax", since=1)
def softmax_1(node: Node, x: Tensor) -> Tensor:
    """Normalise the exponentials over all axes from ``axis`` on, as before opset 13."""
    return functional.softmax(_rows(node, x), 1).reshape(x.shape)


@twin_op("LogSoftmax", since=1)
def log_softmax_1(node: Node, x: Tensor) -> Tensor:
    """Take the logarithm of Softmax, as before opset 13."""
    return functional.log_softmax(_rows(node, x), 1).reshape(x.shape)


@twin_op("Hardmax", since=1)
def hardmax_1(node: Node, x: Tensor) -> Tensor:
    """Mark the first maximum over all axes from ``axis`` on, as before opset 13."""
    rows = _rows(node, x)
    marks = torch.zeros_like(rows).scatter(1, rows.argmax(1, keepdim=True), 1.0)
    return marks.reshape(x.shape)


def _rows(node: Node, x: Tensor) -> Tensor:
    """Flatten to (axes before ``axis``, axes from it on)."""
    axis = node.axis("axis", rank=x.dim(), default=1) if x.dim() > 1 else 0
    return x.flatten(axis).reshape(-1, x.shape[axis:].numel())


@twin_op("SwiGLU", since=28)
def swiglu(node: Node, gate: Tensor, x: Tensor) -> Tensor:
    """Weigh x by the Swish of a gate."""
    return gate * torch.sigmoid(number(node, "alpha", 1.0) * gate) * x
