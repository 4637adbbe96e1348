"""The steps of quantised models on floats: rounding, and reading integers for what they mean.

They are operators of our own, which `wrg_onnx.twin.floats.dequantise` writes in place of ONNX's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.twin.forms import Form, IntegerOperand, Step, float_form
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


OWN = "wrg_onnx"


@twin_op("FakeQuantise", since=1, domain=OWN, fixed=(1, 2))
def fake_quantise(
    node: Node, x: Tensor, scale: Tensor | None = None, zero_point: Tensor | None = None
) -> Tensor:
    """Round x to what integers of one type can stand for.

    The gradient is 1 where x is in their range and 0 outside it, as if nothing were rounded.

    Source: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html; the gradient is that of Bengio
    et al., "Estimating or Propagating Gradients Through Stochastic Neurons", arXiv:1308.3432.
    """
    step, shift = _parameters(node, x, (scale, zero_point))
    inside = (x / step).clamp(node.int("low") - shift, node.int("high") - shift)
    return (inside + (inside.round() - inside).detach()) * step


@twin_op("StandFor", since=1, domain=OWN, fixed=(1, 2))
def stand_for(
    node: Node, x: Tensor, scale: Tensor | None = None, zero_point: Tensor | None = None
) -> Tensor:
    """Read integers for the numbers that they stand for."""
    dtype = torch.float32 if scale is None else scale.dtype
    values = x.to(dtype)
    step, shift = _parameters(node, values, (scale, zero_point))
    return (values - shift) * step


@twin_op("Reinterpret", since=1, domain=OWN, fixed=(1, 2, 3, 4))
def reinterpret(node: Node, x: Tensor, *rest: Tensor | None) -> Tensor:
    """Read the same integers with another scale and zero point.

    Args:
        node: ``axis`` and ``block_size`` are those of the one that is not a number for all.
        x: What the integers stand for.
        rest: Scale and zero point that they have, then those that they get.
    """
    old, new = (rest[0], rest[1]), (rest[2], rest[3])
    step, shift = _parameters(node, x, old)
    new_step, new_shift = _parameters(node, x, new)
    return (x / step + shift - new_shift) * new_step


@twin_op("ChannelsFirst", since=1, domain=OWN)
def channels_first(_node: Node, x: Tensor) -> Tensor:
    """Move the channels from the last axis to the second."""
    return x.movedim(-1, 1)


@twin_op("ChannelsLast", since=1, domain=OWN)
def channels_last(_node: Node, x: Tensor) -> Tensor:
    """Move the channels from the second axis to the last."""
    return x.movedim(1, -1)


@twin_op("DynamicQuantizeLinear", since=11)
def dynamic_quantise(_node: Node, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Round x to 256 steps over its own range; the first output is what the integers stand for.

    Source: https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html
    """
    low, high = x.detach().amin().clamp(max=0.0), x.detach().amax().clamp(min=0.0)
    step = (high - low) / 255
    step = torch.where(step == 0, torch.ones_like(step), step)
    shift = (-low / step).round().clamp(0, 255)
    inside = (x / step).clamp(-shift, 255 - shift)
    y = (inside + (inside.round() - inside).detach()) * step
    return y, step, shift.to(torch.uint8)


def _parameters(
    node: Node, x: Tensor, pair: tuple[Tensor | None, Tensor | None]
) -> tuple[Tensor, Tensor]:
    """Return scale and zero point in the type of x, broadcastable to it."""
    scale, zero_point = pair
    axis, block = node.int("axis", 1), node.int("block_size", 0)
    step = x.new_ones(()) if scale is None else spread(scale.to(x.dtype), x.shape, axis, block)
    if zero_point is None:
        return step, x.new_zeros(())
    return step, spread(zero_point.to(x.device).to(x.dtype), x.shape, axis, block)


def spread(parameter: Tensor, shape: torch.Size, axis: int, block: int) -> Tensor:
    """Lay scales or zero points out so that they broadcast to what they belong to.

    Args:
        parameter: () or (1) for all, (d_axis), or as many axes as x has, with blocks on ``axis``.
        shape: The sizes of x.
        axis: Which axis they lie along.
        block: Positions to a block; 0 without blocks.
    """
    if parameter.numel() == 1:
        return parameter.reshape(())
    if parameter.dim() == 1:
        sizes = [1] * len(shape)
        sizes[axis] = -1
        return parameter.reshape(sizes)
    if block and parameter.shape[axis] != shape[axis]:
        parameter = parameter.repeat_interleave(block, axis).narrow(axis, 0, shape[axis])
    return parameter


CONVOLUTION_FORM = Form(
    "Conv", (IntegerOperand(0, 1, 2), IntegerOperand(3, 4, 5, 0)), (6, 7), bias=8
)

float_form(Step.ROUND, "QuantizeLinear")
float_form(Step.READ, "DequantizeLinear")
float_form(Step.ROUND_BY_RANGE, "DynamicQuantizeLinear")
float_form(CONVOLUTION_FORM, "QLinearConv")
float_form(Form("Conv", (IntegerOperand(0, None, 2), IntegerOperand(1, None, 3, 0))), "ConvInteger")
float_form(
    Form("MatMul", (IntegerOperand(0, 1, 2, -2), IntegerOperand(3, 4, 5, -1)), (6, 7)),
    "QLinearMatMul",
)
float_form(
    Form("MatMul", (IntegerOperand(0, None, 2, -2), IntegerOperand(1, None, 3, -1))),
    "MatMulInteger",
)
