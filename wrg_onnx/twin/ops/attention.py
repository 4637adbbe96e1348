"""Attention, rotations of positions, and what recurs over a sequence in its place."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.twin.attributes import dtype, number, optional
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


_WITH_BIAS, _PROBABILITIES = 2, 3


@twin_op("Attention", since=23)
def attention(
    node: Node,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    *rest: Tensor | None,
) -> Tensor | tuple[Tensor, ...]:
    """Weigh the values by how well their keys meet the queries.

    Shapes:
        q (B, S, h*d) or (B, h, S, d), k (B, T, g*d) or (B, g, T, d), v (B, T, g*dv) or
        (B, g, T, dv), mask broadcastable to (B, h, S, T), past key and value (B, g, P, d) and
        (B, g, P, dv), lengths (B) -> Y (B, S, h*dv) or (B, h, S, dv), present key and value,
        scores (B, h, S, T).

    Source: https://onnx.ai/onnx/operators/onnx__Attention.html
    """
    past_key, past_value, lengths = optional(rest, 3)
    packed = q.dim() == 3
    if packed:
        q = split_heads(q, node.int("q_num_heads"))
        k, v = (split_heads(x, node.int("kv_num_heads")) for x in (k, v))
    offset: int | Tensor = 0
    if past_key is not None and past_value is not None:
        k, v, offset = (*append_past((past_key, past_value), (k, v)), past_key.shape[2])
    elif lengths is not None:
        offset = lengths.reshape(-1, 1, 1, 1) - q.shape[2]
    present = (k, v)
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = (x.repeat_interleave(groups, 1) for x in (k, v))
    scale = number(node, "scale", 1 / sqrt(q.shape[3]))
    cap = number(node, "softcap", 0.0)
    bias = _bias(node, (q, k), mask, lengths, offset)
    if bias is None and not cap and len(node.outputs) < 4:
        causal = bool(node.int("is_causal", 0))
        y = functional.scaled_dot_product_attention(q, k, v, scale=scale, is_causal=causal)
        scores = y
    else:
        y, scores = _attend(node, (q, k, v), bias, scale, cap)
    return (merge_heads(y) if packed else y, *present, scores)[: len(node.outputs)]


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Turn (B, S, h*d) into (B, h, S, d)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Turn (B, h, S, d) into (B, S, h*d)."""
    return x.transpose(1, 2).flatten(2)


def masked_softmax(scores: Tensor, bias: Tensor | None) -> Tensor:
    """Normalise the exponentials along the last axis; rows that the bias forbids whole are zero.

    Args:
        scores: (B, h, S, T), the bias included.
        bias: Broadcastable to the scores, minus infinity where it forbids.
    """
    if bias is None:
        return scores.softmax(-1)
    dead = bias.amax(-1, keepdim=True) == float("-inf")
    return scores.masked_fill(dead, 0.0).softmax(-1).masked_fill(dead, 0.0)


def forbid(allowed: Tensor, like: Tensor) -> Tensor:
    """Return 0 where something is allowed and minus infinity elsewhere, in the type of a tensor."""
    return torch.zeros_like(allowed, dtype=like.dtype).masked_fill(~allowed, float("-inf"))


def append_past(past: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Put keys and values, each (B, h, T, d), behind those of earlier steps."""
    return torch.cat((past[0], new[0]), 2), torch.cat((past[1], new[1]), 2)


def _bias(
    node: Node,
    operands: tuple[Tensor, Tensor],
    mask: Tensor | None,
    lengths: Tensor | None,
    offset: int | Tensor,
) -> Tensor | None:
    """Join everything that forbids keys; None where torch's own causal mask is all there is.

    Args:
        node: For the causal mask and the window.
        operands: Queries (B, h, S, d) and keys (B, h, T, d).
        mask: Booleans that allow, or floats that are added; short ones forbid what they lack.
        lengths: (B) valid keys, or None.
        offset: How many keys come before the first query, one number or (B, 1, 1, 1).
    """
    q, k = operands
    causal = node.int("is_causal", 0)
    left, right = node.int("left_window_size", -1), node.int("right_window_size", -1)
    windowed = left >= 0 or right >= 0
    plain = not causal or (isinstance(offset, int) and offset == 0)
    if mask is None and lengths is None and not windowed and plain:
        return None
    rows = torch.arange(q.shape[2], device=q.device)[:, None]
    columns = torch.arange(k.shape[2], device=q.device)
    # ahead (S, T), or (B, 1, S, T) with an offset for each sample: how many positions query s,
    # which stands at s + offset, lies ahead of key t. Below 0 the key is in its future.
    ahead = rows + offset - columns
    allowed = ahead >= 0 if causal else torch.ones_like(ahead, dtype=torch.bool)
    if left >= 0:
        allowed = allowed & (ahead <= left)
    if right >= 0:
        allowed = allowed & (-ahead <= right)
    if lengths is not None:
        allowed = allowed & (columns < lengths.reshape(-1, 1, 1, 1))
    bias = forbid(allowed, q)
    if mask is None:
        return bias
    missing = k.shape[2] - mask.shape[-1]
    mask = forbid(mask, q) if mask.dtype == torch.bool else mask
    if missing > 0:
        mask = functional.pad(mask, (0, missing), value=float("-inf"))
    return bias + mask


def _attend(
    node: Node,
    operands: tuple[Tensor, Tensor, Tensor],
    bias: Tensor | None,
    scale: float,
    cap: float,
) -> tuple[Tensor, Tensor]:
    """Return what attention gives, and the scores at the stage that the node asks for."""
    q, k, v = operands
    scores = (q * sqrt(scale)) @ (k * sqrt(scale)).transpose(2, 3)
    if cap > 0:
        scores = cap * torch.tanh(scores / cap)
    if bias is None and node.int("is_causal", 0):
        causal = torch.ones(scores.shape[2:], dtype=torch.bool, device=q.device).tril()
        bias = forbid(causal, q)
    biased = scores if bias is None else scores + bias
    precision = dtype(node, "softmax_precision") if "softmax_precision" in node.attributes else None
    probabilities = masked_softmax(biased.to(precision or biased.dtype), bias).to(q.dtype)
    stage = node.int("qk_matmul_output_mode", 0)
    shown = {_WITH_BIAS: biased, _PROBABILITIES: probabilities}.get(stage, scores)
    return probabilities @ v, shown


@twin_op("RotaryEmbedding", since=23, fixed=(1, 2))
def rotary_embedding(
    node: Node, x: Tensor, cosines: Tensor, sines: Tensor, positions: Tensor | None = None
) -> Tensor:
    """Rotate pairs of positions inside each head by angles that depend on the place.

    Shapes:
        x (B, S, h*d) or (B, h, S, d), cosines and sines (B, S, r/2), or (rows, r/2) with
        positions (B, S) -> like x.

    Source: https://onnx.ai/onnx/operators/onnx__RotaryEmbedding.html
    """
    if positions is not None:
        cosines, sines = cosines[positions.long()], sines[positions.long()]
    heads = split_heads(x, node.int("num_heads")) if x.dim() == 3 else x
    turned = rotate(node, heads, cosines[:, None], sines[:, None])
    return merge_heads(turned) if x.dim() == 3 else turned


def rotate(node: Node, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate the first ``rotary_embedding_dim`` positions of each head, or all of them.

    Shapes:
        x (B, h, S, d), cosines and sines (B or 1, 1, S, r/2) -> (B, h, S, d).
    """
    size = node.int("rotary_embedding_dim", 0) or x.shape[3]
    turning, rest = x[..., :size], x[..., size:]
    interleaved = node.int("interleaved", 0)
    a, b = (turning[..., 0::2], turning[..., 1::2]) if interleaved else turning.chunk(2, -1)
    pair = (cosines * a - sines * b, sines * a + cosines * b)
    turned = torch.stack(pair, -1).flatten(-2) if interleaved else torch.cat(pair, -1)
    return torch.cat((turned, rest), -1)


@twin_op("LinearAttention", since=27)
def linear_attention(
    node: Node, q: Tensor, k: Tensor, v: Tensor, *rest: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Write each key and value into a matrix, and read it with each query.

    Shapes:
        q (B, T, h*d), k (B, T, g*d), v (B, T, g*dv), past state (B, g, d, dv), decay (B, T, g) or
        (B, T, g*d), beta (B, T, g) or (B, T, 1) -> Y (B, T, h*dv), state (B, g, d, dv).

    Source: https://onnx.ai/onnx/operators/onnx__LinearAttention.html
    """
    state, decay, beta = optional(rest, 3)
    heads, groups = node.int("q_num_heads"), node.int("kv_num_heads")
    q4, k4, v4 = split_heads(q, heads), split_heads(k, groups), split_heads(v, groups)
    decays = None if decay is None else split_heads(decay, groups).exp()
    betas = None if beta is None else split_heads(beta, beta.shape[2])
    if state is None:
        state = q.new_zeros(q.shape[0], groups, k4.shape[3], v4.shape[3])
    scale = number(node, "scale", 0.0) or 1 / sqrt(q4.shape[3])
    read = []
    for t in range(q.shape[1]):
        key, value = k4[:, :, t, :, None], v4[:, :, t, None, :]
        if decays is not None:
            state = state * decays[:, :, t, :, None]
        if betas is not None:
            value = betas[:, :, t, None] * (value - (state * key).sum(2, keepdim=True))
        state = state + key * value
        shared = state.repeat_interleave(heads // groups, 1)
        read.append(scale * (q4[:, :, t, None] @ shared))
    return merge_heads(torch.cat(read, 2)), state
