"""Random numbers, drawn from torch's own generator: ``torch.manual_seed`` makes them the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.twin.attributes import dtype, number
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


_FLOAT32, _INT32 = 1, 6


@twin_op("RandomNormal", since=1)
def random_normal(node: Node) -> Tensor:
    """Draw from a normal distribution."""
    drawn = torch.randn(node.ints("shape"), dtype=dtype(node, "dtype", _FLOAT32))
    return number(node, "mean", 0.0) + number(node, "scale", 1.0) * drawn


@twin_op("RandomNormalLike", since=1)
def random_normal_like(node: Node, x: Tensor) -> Tensor:
    """Draw from a normal distribution as many numbers as x has."""
    drawn = torch.randn_like(x, dtype=_type(node, x))
    return number(node, "mean", 0.0) + number(node, "scale", 1.0) * drawn


@twin_op("RandomUniform", since=1)
def random_uniform(node: Node) -> Tensor:
    """Draw evenly between two bounds."""
    drawn = torch.rand(node.ints("shape"), dtype=dtype(node, "dtype", _FLOAT32))
    return torch.lerp(*_bounds(node, drawn), drawn)


@twin_op("RandomUniformLike", since=1)
def random_uniform_like(node: Node, x: Tensor) -> Tensor:
    """Draw evenly between two bounds as many numbers as x has."""
    drawn = torch.rand_like(x, dtype=_type(node, x))
    return torch.lerp(*_bounds(node, drawn), drawn)


@twin_op("Bernoulli", since=15)
def bernoulli(node: Node, x: Tensor) -> Tensor:
    """Draw ones with the probabilities x, and zeros; there is no gradient."""
    return torch.bernoulli(x.detach()).to(_type(node, x))


@twin_op("Multinomial", since=7)
def multinomial(node: Node, x: Tensor) -> Tensor:
    """Draw classes by their log probabilities, with replacement.

    Shapes:
        x (N, classes) -> (N, sample_size).
    """
    count = node.int("sample_size", 1)
    drawn = torch.multinomial(x.detach().softmax(-1), count, replacement=True)
    return drawn.to(dtype(node, "dtype", _INT32))


def _type(node: Node, x: Tensor) -> torch.dtype:
    return dtype(node, "dtype") if "dtype" in node.attributes else x.dtype


def _bounds(node: Node, drawn: Tensor) -> tuple[Tensor, Tensor]:
    low, high = number(node, "low", 0.0), number(node, "high", 1.0)
    return drawn.new_tensor(low), drawn.new_tensor(high)
