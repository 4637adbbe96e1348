"""Attention as ONNX Runtime's optimiser fuses it.

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.channels.table import MICROSOFT
from wrg_onnx.errors import ModelError
from wrg_onnx.twin.attributes import number, optional
from wrg_onnx.twin.ops.attention import (
    append_past,
    forbid,
    masked_softmax,
    merge_heads,
    rotate,
    split_heads,
)
from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


_MASKED = -10000.0


@twin_op("Attention", since=1, domain=MICROSOFT, fixed=(4,))
def packed_attention(
    node: Node, x: Tensor, weight: Tensor, *rest: Tensor | None
) -> tuple[Tensor, ...]:
    """Project to queries, keys and values by one weight, and attend.

    Shapes:
        x (B, S, D), weight (D, 2 * h*d + h*dv), bias (2 * h*d + h*dv), mask (...), past
        (2, B, h, P, d), attention bias -> Y (B, S, h*dv), present (2, B, h, T, d).
    """
    bias, mask, past, added = optional(rest[:4], 4)
    columns = weight.shape[1]
    sizes = list(node.ints("qkv_hidden_sizes", (columns // 3,) * 3))
    projected = x @ weight if bias is None else x @ weight + bias
    heads = node.int("num_heads")
    q, k, v = (split_heads(part, heads) for part in torch.split(projected, sizes, -1))
    before = 0
    if past is not None:
        before = past.shape[3]
        k, v = append_past((past[0], past[1]), (k, v))
    terms = _terms(node, (q, k), mask, added, before)
    y, _ = _attend(node, (q, k, v), terms)
    if len(node.outputs) < 2:
        return (merge_heads(y),)
    return merge_heads(y), torch.stack((k, v))


@twin_op("MultiHeadAttention", since=1, domain=MICROSOFT, fixed=(6, 7))
def multi_head_attention(
    node: Node,
    query: Tensor,
    key: Tensor | None = None,
    value: Tensor | None = None,
    *rest: Tensor | None,
) -> tuple[Tensor, ...]:
    """Attend with queries, keys and values that are projected already, packed or apart.

    Shapes:
        query (B, S, h*d) or (B, S, h, 3, d), key (B, T, h*d), (B, T, h, 2, d) or (B, h, T, d),
        value (B, T, h*dv) or (B, h, T, dv), bias (2 * h*d + h*dv), mask (...), attention bias,
        past key and value (B, h, P, d) -> Y (B, S, h*dv), present key and value, scores.
    """
    bias, mask, added, past_key, past_value = optional(rest[:5], 5)
    heads = node.int("num_heads")
    if query.dim() == 5:
        q, k, v = (part.transpose(1, 2) for part in query.unbind(3))
    else:
        q = split_heads(query, heads)
        if key is None or (value is None and key.dim() != 5):
            raise ModelError(f"{node}: it needs keys and values, packed or apart")
        k, v = _keys_and_values(key, value, heads)
    if bias is not None:
        sizes = [q.shape[1] * q.shape[3]] * 2 + [v.shape[1] * v.shape[3]]
        parts = [part.reshape(heads, 1, -1) for part in torch.split(bias, sizes)]
        q, k, v = (x + part for x, part in zip((q, k, v), parts, strict=True))
    before = 0
    if past_key is not None and past_value is not None:
        before = past_key.shape[2]
        k, v = append_past((past_key, past_value), (k, v))
    y, scores = _attend(node, (q, k, v), _terms(node, (q, k), mask, added, before))
    return merge_heads(y), k, v, scores


def _keys_and_values(key: Tensor, value: Tensor | None, heads: int) -> tuple[Tensor, Tensor]:
    if value is None:
        k, v = (part.transpose(1, 2) for part in key.unbind(3))
        return k, v
    k = key if key.dim() == 4 else split_heads(key, heads)
    return k, value if value.dim() == 4 else split_heads(value, heads)


def _terms(
    node: Node,
    operands: tuple[Tensor, Tensor],
    mask: Tensor | None,
    added: Tensor | None,
    before: int,
) -> list[Tensor]:
    """Return what is added to the scores, each broadcastable to (B, h, S, T)."""
    q, k = operands
    queries, keys = q.shape[2], k.shape[2]
    terms = [] if added is None else [added]
    if mask is not None:
        allowed = _allowed(node, mask, q.shape[0], queries, keys)
        filtered = torch.zeros_like(allowed, dtype=q.dtype)
        terms.append(filtered.masked_fill(~allowed, number(node, "mask_filter_value", _MASKED)))
    if node.int("unidirectional", 0):
        rows = torch.arange(queries, device=q.device)[:, None]
        terms.append(forbid(torch.arange(keys, device=q.device) <= rows + before, q))
    return terms


def _allowed(node: Node, mask: Tensor, batch: int, queries: int, keys: int) -> Tensor:
    """Read a mask in any of its forms: lengths, lengths and starts, or 0 and 1 for each key."""
    if mask.dim() == 1:
        columns = torch.arange(keys, device=mask.device)
        if mask.numel() not in (batch, 2 * batch, 3 * batch + 2):
            raise ModelError(f"{node}: a mask of shape {tuple(mask.shape)} has no meaning here")
        allowed = columns < mask[:batch, None]
        if mask.numel() == 2 * batch:
            allowed = allowed & (columns >= mask[batch:, None])
        return allowed[:, None, None]
    if mask.dim() == 2:
        return mask[:, None, None, :] != 0
    if mask.dim() == 3:
        return mask[:, None] != 0
    return mask[:, :, keys - queries : keys, :keys] != 0


def _attend(
    node: Node, operands: tuple[Tensor, Tensor, Tensor], terms: list[Tensor]
) -> tuple[Tensor, Tensor]:
    q, k, v = operands
    scale = number(node, "scale", 0.0) or 1 / sqrt(q.shape[3])
    scores = scale * (q @ k.transpose(2, 3))
    bias = sum(terms, torch.zeros((), device=q.device, dtype=q.dtype)) if terms else None
    biased = scores if bias is None else scores + bias
    return masked_softmax(biased, bias) @ v, biased


@twin_op("GroupQueryAttention", since=1, domain=MICROSOFT, host=(5, 6), fixed=(3, 4, 7, 8))
def group_query_attention(
    node: Node,
    query: Tensor,
    key: Tensor | None = None,
    value: Tensor | None = None,
    *rest: Tensor | None,
) -> tuple[Tensor, ...]:
    """Attend with several queries to each key, causally, with rotations and a cache.

    Shapes:
        query (B, S, h*d), or (B, S, h*d + 2 * g*d) without key and value, key and value
        (B, T, g*d), past key and value (B, g, P, d), lengths (B), total (), cosines and sines
        (rows, r/2), positions (B, S), attention bias, sink (h)
        -> Y (B, S, h*d), present key and value (B, g, T, d), scores (B, h, S, T).
    """
    past_key, past_value, lengths, _, cosines, sines, positions, added, sink = optional(rest[:9], 9)
    heads, groups = node.int("num_heads"), node.int("kv_num_heads")
    if key is None or value is None:
        size = query.shape[2] // (heads + 2 * groups)
        query, key, value = torch.split(query, [heads * size, groups * size, groups * size], -1)
    q, k, v = split_heads(query, heads), split_heads(key, groups), split_heads(value, groups)
    before = 0 if past_key is None else past_key.shape[2]
    if lengths is not None and any(int(n) + 1 != before + q.shape[2] for n in lengths.flatten()):
        raise ModelError(f"{node}: sequences of several lengths in one batch have no twin")
    if node.int("do_rotary", 0) and cosines is not None and sines is not None:
        at = torch.arange(before, before + q.shape[2], device=q.device)[None]
        at = at if positions is None else positions.long()
        angles = cosines[at][:, None], sines[at][:, None]
        turning = _interleaving(node)
        q, k = rotate(turning, q, *angles), rotate(turning, k, *angles)
    if past_key is not None and past_value is not None:
        k, v = append_past((past_key, past_value), (k, v))
    scores, bias = _grouped_scores(node, q, k, added, before)
    probabilities = _with_sink(node, scores, bias, sink)
    y = probabilities @ v.repeat_interleave(heads // groups, 1)
    shown = probabilities if node.int("qk_output", 0) == 2 else scores
    return merge_heads(y), k, v, shown


def _interleaving(node: Node) -> Node:
    interleaved = node.int("rotary_interleaved", 0)
    return replace(node, attributes={"interleaved": interleaved})


def _grouped_scores(
    node: Node, q: Tensor, k: Tensor, added: Tensor | None, before: int
) -> tuple[Tensor, Tensor]:
    scale = number(node, "scale", 0.0) or 1 / sqrt(q.shape[3])
    scores = scale * (q @ k.repeat_interleave(q.shape[1] // k.shape[1], 1).transpose(2, 3))
    cap = number(node, "softcap", 0.0)
    scores = cap * torch.tanh(scores / cap) if cap > 0 else scores
    rows = torch.arange(q.shape[2], device=q.device)[:, None] + before
    ahead = rows - torch.arange(k.shape[2], device=q.device)
    allowed = ahead >= 0 if node.int("causal", 1) else torch.ones_like(ahead, dtype=torch.bool)
    window = node.int("local_window_size", -1)
    bias = forbid(allowed & (ahead < window) if window > 0 else allowed, q)
    bias = bias if added is None else bias + added
    return scores + bias, bias


def _with_sink(node: Node, scores: Tensor, bias: Tensor, sink: Tensor | None) -> Tensor:
    """Normalise, with one more score per head that takes a share and gives nothing."""
    if sink is None and not node.int("smooth_softmax", 0):
        return masked_softmax(scores, bias)
    extra = scores.new_zeros(scores.shape[1]) if sink is None else sink
    extra = extra.reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1)
    return torch.cat((scores, extra), -1).softmax(-1)[..., :-1]


@twin_op("RotaryEmbedding", since=1, domain=MICROSOFT, fixed=(2, 3))
def microsoft_rotary_embedding(
    node: Node, x: Tensor, positions: Tensor, cosines: Tensor, sines: Tensor
) -> Tensor:
    """Rotate pairs of positions inside each head by angles that depend on the place.

    Shapes:
        x (B, S, h*d) or (B, h, S, d), positions (1), the first, or (B, S), cosines and sines
        (rows, r/2) -> like x.
    """
    packed = x.dim() == 3
    heads = node.int("num_heads", 0) or x.shape[-1] // (2 * cosines.shape[-1])
    split = split_heads(x, heads) if packed else x
    at = positions.long()
    if at.numel() == 1:
        at = at.reshape(1, 1) + torch.arange(split.shape[2], device=at.device)
    turned = rotate(node, split, cosines[at][:, None], sines[at][:, None])
    return merge_heads(turned) if packed else turned
