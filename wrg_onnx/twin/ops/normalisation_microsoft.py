"""Normalisations as ONNX Runtime's optimiser fuses them with embeddings and skip connections.

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.channels.table import MICROSOFT
from wrg_onnx.twin.attributes import number, optional
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


@twin_op("SkipLayerNormalization", since=1, domain=MICROSOFT)
def skip_layer_normalization(
    node: Node, x: Tensor, skip: Tensor, gamma: Tensor, *rest: Tensor | None
) -> tuple[Tensor, ...]:
    """Normalise a sum over its last axis.

    Shapes:
        x (B, S, C), skip (B, S, C) or (1, S, C) or (S, C), gamma (C), beta (C), bias (C)
        -> Y (B, S, C), mean and inverse deviation (B, S, 1), sum (B, S, C).
    """
    beta, bias = optional(rest, 2)
    total = x + skip if bias is None else x + skip + bias
    return _normalise(node, total, gamma, beta)


@twin_op("SkipSimplifiedLayerNormalization", since=1, domain=MICROSOFT)
def skip_simplified_layer_normalization(
    node: Node, x: Tensor, skip: Tensor, gamma: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Divide a sum by its root mean square over the last axis; the shapes are as above."""
    total = x + skip if bias is None else x + skip + bias
    mean = total.mean(-1, keepdim=True)
    inverse = torch.rsqrt((total * total).mean(-1, keepdim=True) + number(node, "epsilon", 1e-12))
    return total * inverse * gamma, mean, inverse, total


@twin_op("EmbedLayerNormalization", since=1, domain=MICROSOFT)
def embed_layer_normalization(
    node: Node,
    ids: Tensor,
    segments: Tensor | None,
    words: Tensor,
    places: Tensor,
    *rest: Tensor | None,
) -> tuple[Tensor, ...]:
    """Add embeddings of words, places and segments, and normalise the sum.

    Shapes:
        ids and segments (B, S), words, places and segment table (rows, C), gamma (C), beta (C),
        mask (B, S), positions (B, S) -> Y (B, S, C), mask index (B), sum (B, S, C).
    """
    segment_table, gamma, beta, mask, positions = optional(rest, 5)
    at = torch.arange(ids.shape[1], device=ids.device) if positions is None else positions.long()
    total = words[ids.long()] + places[at]
    if segments is not None and segment_table is not None:
        total = total + segment_table[segments.long()]
    y = _normalise(node, total, gamma, beta)[0]
    count = ids.new_zeros(len(ids), dtype=torch.int32) if mask is None else mask.sum(1)
    return y, count.to(torch.int32), total


@twin_op("GroupNorm", since=1, domain=MICROSOFT)
def group_norm(node: Node, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Normalise groups of channels, with Swish behind it where ``activation`` is 1."""
    last = bool(node.int("channels_last", 1))
    moved = x.movedim(-1, 1) if last else x
    epsilon = number(node, "epsilon", 1e-5)
    y = torch.group_norm(moved, node.int("groups"), gamma, beta, epsilon)
    y = functional.silu(y) if node.int("activation") else y
    return y.movedim(1, -1) if last else y


@twin_op("SkipGroupNorm", since=1, domain=MICROSOFT)
def skip_group_norm(
    node: Node,
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    skip: Tensor,
    bias: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Normalise a sum in groups of channels; the second output is the sum.

    Shapes:
        x (N, H, W, C), or (N, C, H, W) without ``channels_last``, gamma and beta (C), skip like x
        or (N, 1, 1, C) or (N, C), bias (C).
    """
    shape = (-1, 1, 1) if not node.int("channels_last", 1) else (-1,)
    if skip.dim() == 2:
        skip = skip.reshape(len(skip), *shape) if len(shape) == 3 else skip[:, None, None]
    total = x + skip if bias is None else x + skip + bias.reshape(shape)
    return group_norm(node, total, gamma, beta), total


def _normalise(
    node: Node, total: Tensor, gamma: Tensor | None, beta: Tensor | None
) -> tuple[Tensor, ...]:
    epsilon = number(node, "epsilon", 1e-12)
    mean = total.mean(-1, keepdim=True)
    inverse = torch.rsqrt(total.var(-1, correction=0, keepdim=True) + epsilon)
    y = functional.layer_norm(total, (total.shape[-1],), gamma, beta, epsilon)
    return y, mean, inverse, total
