"""Bring the level of each layer's channels back to what it was in the original.

A channel's level is its mean and its standard deviation over samples and places. The channels that
were removed shift and shrink what the next layer gives, and each layer adds to it. Scale and bias
of Conv and BatchNormalization are set so that it is right again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from wrg_onnx.channels import traits_of
from wrg_onnx.graph import Graph, Node
from wrg_onnx.rewrite.kept_channels import KeptChannels
from wrg_onnx.twin import Twin
from wrg_onnx.twin.batches import Batch

_MOST_RATIO = 10.0
"""How much a channel may grow, and shrink: a channel that is nearly constant says little."""

_FLAT = 1e-6
"""A channel whose deviation is below this is constant; only its bias is set."""

Levels: TypeAlias = tuple[Tensor, Tensor]
"""Mean and standard deviation of each channel of a tensor, (C,) each."""


@torch.no_grad()
def correct_levels(
    graph: Graph, student: Twin, teacher: Twin, kept: Mapping[str, KeptChannels], batch: Batch
) -> int:
    """Set scale and bias of each layer so that its channels have the teacher's mean and deviation.

    Conv and BatchNormalization are corrected in the order of the graph in one pass, each on what
    the corrected ones before it give. One without a bias, or whose weights others read, too, stays
    as it is.

    Args:
        graph: The student's graph.
        student: Its twin; its parameters are changed.
        teacher: The twin of the original.
        kept: The channels that the student still has, by tensor.
        batch: Training images, all in one.

    Returns:
        How many layers were corrected.

    Source: our own; the idea is the bias correction of Nagel et al., "Data-Free Quantization
    Through Weight Equalization and Bias Correction", ICCV 2019, arXiv:1906.04721, with the
    deviation, too.
    """
    nodes = {node.outputs[0]: node for node in graph.nodes if _is_usable(graph, student, node)}
    names = [name for name in nodes if name in kept and kept[name].axis == 1]
    goals: dict[str, Levels] = {}

    def note(name: str, value: Tensor) -> Tensor:
        mean, deviation = _levels(value)
        positions = torch.tensor(kept[name].positions, device=value.device)
        goals[name] = mean[positions], deviation[positions]
        return value

    teacher(batch.feeds, through={name: partial(note, name) for name in names})
    parameters = student.parameters_by_name()

    def correct(name: str, value: Tensor) -> Tensor:
        return _correct(value, goals[name], nodes[name], parameters)

    through: dict[str, Callable[[Tensor], Tensor]] = {n: partial(correct, n) for n in names}
    student(batch.feeds, through=through)
    return len(names)


def _is_usable(graph: Graph, student: Twin, node: Node) -> bool:
    own = [node.input(1), node.input(2)]
    trained = student.parameters_by_name()
    return traits_of(node).scale_and_bias and all(
        name in trained and len(graph.consumers[name]) == 1 for name in own
    )


def _levels(value: Tensor) -> Levels:
    over = (0, *range(2, value.dim()))
    return value.mean(over), value.std(over, correction=0)


def _correct(
    value: Tensor, goal: Levels, node: Node, parameters: Mapping[str, torch.nn.Parameter]
) -> Tensor:
    """Set one layer right; return what it gives then."""
    # y = W x + b has mean m and deviation d, of each channel. With r = d' / d, the layer
    #   (r W) x + r (b - m) + m'  gives  r (y - m) + m',
    # which has the wanted mean m' and deviation d'.
    (mean, deviation), (goal_mean, goal_deviation) = _levels(value), goal
    ratio = (goal_deviation / deviation.clamp(min=_FLAT)).clamp(1 / _MOST_RATIO, _MOST_RATIO)
    ratio = torch.where(deviation < _FLAT, torch.ones_like(ratio), ratio)
    weight, bias = parameters[node.inputs[1]], parameters[node.inputs[2]]
    weight.mul_(ratio.reshape(-1, *[1] * (weight.dim() - 1)))
    bias.copy_((bias - mean) * ratio + goal_mean)
    shape = (1, -1, *[1] * (value.dim() - 2))
    return (value - mean.reshape(shape)) * ratio.reshape(shape) + goal_mean.reshape(shape)
