"""Normalisation over batch statistics, instances, layers, groups and neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.twin.attributes import number
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


@twin_op("BatchNormalization", since=7, fixed=(3, 4))
def batch_normalization(
    node: Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor
) -> Tensor | tuple[Tensor, ...]:
    """Normalise each channel by the running statistics, or by the batch's in training mode.

    Source: https://onnx.ai/onnx/operators/onnx__BatchNormalization.html
    """
    epsilon = number(node, "epsilon", 1e-5)
    if node.int("training_mode", 0):
        momentum = number(node, "momentum", 0.9)
        # With momentum 1 the fused kernel leaves the batch's own statistics in these.
        batch_mean, batch_var = torch.zeros_like(mean), torch.zeros_like(var)
        y = torch.batch_norm(
            x, scale, bias, batch_mean, batch_var, True, 1.0, epsilon, False
        )  # fmt: skip
        # Torch divides by one less than the count, ONNX by the count.
        count = x.numel() // x.shape[1]
        batch_var = batch_var * ((count - 1) / count) if count > 1 else torch.zeros_like(var)
        running = (
            mean * momentum + batch_mean * (1 - momentum),
            var * momentum + batch_var * (1 - momentum),
        )
        return (y, *running)[: len(node.outputs)]
    if node.int("spatial", 1) == 0:  # one statistic per position; opsets 7 and 8 only
        y = (x - mean) / torch.sqrt(var + epsilon) * scale + bias
    else:
        # One initializer may be a weight and a statistic, of which torch has no gradient.
        y = functional.batch_norm(x, mean.detach(), var.detach(), scale, bias, eps=epsilon)
    # Old opsets name the statistics of training as outputs; here they are what went in.
    return (y, mean, var, mean, var)[: len(node.outputs)]


@twin_op("InstanceNormalization", since=6)
def instance_normalization(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Normalise each channel of each image by its own statistics."""
    return torch.group_norm(x, x.shape[1], scale, bias, number(node, "epsilon", 1e-5))


@twin_op("LayerNormalization", since=1)  # ONNX Runtime fuses it at any opset
def layer_normalization(
    node: Node, x: Tensor, scale: Tensor, bias: Tensor | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Normalise over the axes from ``axis`` on."""
    axis = node.axis("axis", rank=x.dim(), default=-1)
    epsilon = number(node, "epsilon", 1e-5)
    over = tuple(range(axis, x.dim()))
    full = scale.shape == x.shape[axis:] and (bias is None or bias.shape == scale.shape)
    if full and len(node.outputs) == 1:
        return functional.layer_norm(x, list(scale.shape), scale, bias, epsilon)
    mean = x.mean(over, keepdim=True)
    inverse = torch.rsqrt(x.var(over, correction=0, keepdim=True) + epsilon)
    y = (x - mean) * inverse * scale
    y = y if bias is None else y + bias
    return (y, mean, inverse)[: len(node.outputs)]


@twin_op("RMSNormalization", since=23)
def rms_normalization(node: Node, x: Tensor, scale: Tensor) -> Tensor:
    """Divide by the root mean square over the axes from ``axis`` on."""
    over = tuple(range(node.axis("axis", rank=x.dim(), default=-1), x.dim()))
    mean_square = (x * x).mean(over, keepdim=True)
    return x * torch.rsqrt(mean_square + number(node, "epsilon", 1e-5)) * scale


@twin_op("GroupNormalization", since=18)
def group_normalization_18(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Normalise groups of channels; scale and bias have one entry per group."""
    groups = node.int("num_groups")
    members = x.shape[1] // groups
    return torch.group_norm(
        x,
        groups,
        scale.repeat_interleave(members),
        bias.repeat_interleave(members),
        number(node, "epsilon", 1e-5),
    )


@twin_op("GroupNormalization", since=21)
def group_normalization(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Normalise groups of channels; scale and bias have one entry per channel."""
    return torch.group_norm(x, node.int("num_groups"), scale, bias, number(node, "epsilon", 1e-5))


@twin_op("LRN", since=1)
def lrn(node: Node, x: Tensor) -> Tensor:
    """Divide by a power of the energy of the neighbouring channels.

    Source: https://onnx.ai/onnx/operators/onnx__LRN.html
    """
    size = node.int("size")
    alpha, beta = number(node, "alpha", 1e-4), number(node, "beta", 0.75)
    squares = (x * x).movedim(1, -1)
    squares = functional.pad(squares, ((size - 1) // 2, size // 2))
    energy = squares.unfold(-1, size, 1).sum(-1).movedim(-1, 1)
    return x / (number(node, "bias", 1.0) + alpha / size * energy) ** beta


@twin_op("MeanVarianceNormalization", since=9)
def mean_variance_normalization(node: Node, x: Tensor) -> Tensor:
    """Subtract the mean and divide by the standard deviation over ``axes``."""
    over = node.ints("axes", (0, 2, 3))
    deviation = x.std(over, correction=0, keepdim=True)
    return (x - x.mean(over, keepdim=True)) / (deviation + 1e-9)


@twin_op("LpNormalization", since=1)
def lp_normalization(node: Node, x: Tensor) -> Tensor:
    """Divide by the p-norm along one axis; where that is zero, so is the output."""
    axis = node.axis("axis", rank=x.dim(), default=-1)
    p = node.int("p", 2)
    norm = x.abs().sum(axis, keepdim=True) if p == 1 else x.norm(2, axis, keepdim=True)
    return torch.where(norm == 0, torch.zeros_like(x), x / torch.where(norm == 0, 1.0, norm))


@twin_op("SimplifiedLayerNormalization", since=1)
def simplified_layer_normalization(
    node: Node, x: Tensor, scale: Tensor
) -> Tensor | tuple[Tensor, ...]:
    """Divide by the root mean square over the axes from ``axis`` on, as ONNX Runtime fuses it.

    The second output is the inverse of the root mean square.
    """
    over = tuple(range(node.axis("axis", rank=x.dim(), default=-1), x.dim()))
    mean_square = (x * x).mean(over, keepdim=True)
    inverse = torch.rsqrt(mean_square + number(node, "epsilon", 1e-5))
    return (x * inverse * scale, inverse)[: len(node.outputs)]
