"""Attention as ONNX Runtime's optimiser fuses it.

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from wrg_onnx.channels.answers import Coupling, Tie
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.heads import (
    carry,
    count_attention,
    count_scores,
    derive_heads,
    follow_heads,
    freeze_tables,
    heads_in_blocks,
    lay_out_heads,
    qkv_sizes,
    read_heads,
    rotate_heads,
    share_heads,
)
from wrg_onnx.channels.rules.linear import contract
from wrg_onnx.channels.table import MICROSOFT, derivation, op_rule
from wrg_onnx.channels.traits import LengthProduct, Traits, all_axes, op_traits
from wrg_onnx.channels.units import Analysed


@op_rule("Attention", since=1, domain=MICROSOFT)
def couple_packed_attention(call: Call) -> Coupling:
    """Make heads from the columns of the weight, which lie in a block each for Q, K and V.

    Shapes:
        X (B, S, D), W (D, h*d + h*d + h*dv), bias (h*d + h*d + h*dv), mask (...),
        past (2, B, h, P, d), attention bias (B or 1, h or 1, S, T)
        -> Y (B, S, h*dv), present (2, B, h, T, d).
    """
    x, w = call.axes(0), call.operand(1)
    columns = w.axes.at(1)
    sizes = qkv_sizes(call)
    heads, ties = heads_in_blocks(columns, sizes, (call.node.int("num_heads"),) * 3)
    ties += [Tie(heads[0], other) for other in heads[1:]]
    bias = call.optional(2)
    if bias is not None:
        ties.append(Tie(columns, bias.axes.at(0)))
    ties += follow_heads(heads[0], call.optional(4), 2)
    ties += follow_heads(heads[0], call.optional(5), 1)
    contraction = contract(call, x.at(2), w.axes.at(0))
    outputs = [lay_out_heads(call.output_shapes[0], heads[0])]
    outputs += [carry(shape, {2: heads[0]}) for shape in call.output_shapes[1:]]
    return Coupling(
        tuple(outputs),
        (*ties, *contraction.ties),
        contraction.frozen,
        filters=(columns,) if w.is_weight else (),
        consumed=contraction.consumed,
    )


@op_rule("MultiHeadAttention", since=1, domain=MICROSOFT)
def couple_multi_head_attention(call: Call) -> Coupling:
    """Tie each head of the queries to those of keys and values.

    Shapes:
        query (B, S, h*d) or (B, S, h, 3, d), key (B, T, h*d), (B, T, h, 2, d) or (B, h, T, d),
        value (B, T, h*dv) or (B, h, T, dv), bias (h*d + h*d + h*dv), mask (...),
        attention bias (B or 1, h or 1, S, T), past key and value (B, h, P, d)
        -> Y (B, S, h*dv), present key and value (B, h, T, d), scores (B, h, S, T).
    """
    number = call.node.int("num_heads")
    heads, ties = read_heads(call.axes(0), number)
    for operand in (call.optional(1), call.optional(2)):
        if operand is not None:
            others, inside = read_heads(operand.axes, number)
            ties += [*inside, Tie(heads, others)]
    shape = call.output_shapes[0]
    bias = call.optional(3)
    if bias is not None:
        keys = (bias.axes.shape[0] - shape[2]) // 2
        blocks, inside = heads_in_blocks(bias.axes.at(0), (keys, keys, shape[2]), (number,) * 3)
        ties += [*inside, *(Tie(heads, block) for block in blocks)]
    for position in (5, 6, 7):
        ties += follow_heads(heads, call.optional(position), 1)
    outputs = [lay_out_heads(shape, heads)]
    outputs += [carry(other, {1: heads}) for other in call.output_shapes[1:]]
    return Coupling(tuple(outputs), tuple(ties))


@op_rule("GroupQueryAttention", since=1, domain=MICROSOFT)
def couple_group_query_attention(call: Call) -> Coupling:
    """Tie each head of keys and values to the query heads that read it.

    Shapes:
        query (B, S, h*d), or (B, S, h*d + g*d + g*d) without key and value,
        key and value (B, T, g*d), past key and value (B, g, P, d), lengths, cosines and sines,
        positions, attention bias (B or 1, h or 1, S, T), sink (h), scales (1, g, 1, d) or (1)
        -> Y (B, S, h*d), present key and value (B, g, T, d), scores (B, h, S, T).
    """
    number, groups = call.node.int("num_heads"), call.node.int("kv_num_heads")
    counts = (number, groups, groups)
    key, value = call.optional(1), call.optional(2)
    if key is None or value is None:
        packed = call.axes(0)
        size = packed.shape[2] // sum(counts)
        sizes = tuple(count * size for count in counts)
        heads, ties = heads_in_blocks(packed.at(2), sizes, counts)
    else:
        columns = np.concatenate([o.at(2) for o in (call.axes(0), key.axes, value.axes)])
        sizes = (call.axes(0).shape[2], key.axes.shape[2], value.axes.shape[2])
        heads, ties = heads_in_blocks(columns, sizes, counts)
    shared, frozen = share_heads(*heads)
    ties += shared
    queries, keys, _ = heads
    for position, followed, axis in (
        (3, keys, 1), (4, keys, 1), (10, queries, 1), (11, queries, 0), (12, keys, -3),
        (13, keys, -3),
    ):  # fmt: skip
        ties += follow_heads(followed, call.optional(position), axis)
    outputs = [lay_out_heads(call.output_shapes[0], queries)]
    for shape, followed in zip(call.output_shapes[1:], (keys, keys, queries), strict=False):
        outputs.append(carry(shape, {1: followed}))
    return Coupling(tuple(outputs), tuple(ties), (*frozen, *freeze_tables(call, (7, 8))))


@op_rule("RotaryEmbedding", since=1, domain=MICROSOFT)
def couple_microsoft_rotary(call: Call) -> Coupling:
    """Pass whole heads; without ``num_heads`` the tables are half as long as a head.

    Shapes:
        X (B, S, h*d) or (B, h, S, d), positions, cosines and sines (rows, r/2) -> Y like X.
    """
    size = 2 * call.axes(2).shape[-1]
    number = call.node.int("num_heads", 0) or max(1, call.axes().shape[-1] // size)
    return rotate_heads(call, number, (2, 3))


derivation(
    "Attention", "GroupQueryAttention", "MultiHeadAttention", "RotaryEmbedding",
    since=1, domain=MICROSOFT,
)(derive_heads)  # fmt: skip


def _count_packed(analysed: Analysed) -> Iterator[LengthProduct]:
    """Project to queries, keys and values, then attend."""
    call = analysed.call
    x, w, past = call.axes(0), call.axes(1), call.optional(4)
    yield [all_axes(x), (w, [1])]
    queries = w.at(1)[: qkv_sizes(call)[0]]
    length = x.shape[1] + (0 if past is None else past.axes.shape[3])
    q = Axes((*x.shape[:2], len(queries)), (None, None, queries))
    yield from count_scores(q, analysed.outputs[0], length)


op_traits(Traits(multiplications=_count_packed), "Attention", domain=MICROSOFT)
op_traits(
    Traits(multiplications=partial(count_attention, past=3)),
    "GroupQueryAttention",
    domain=MICROSOFT,
)
op_traits(
    Traits(multiplications=partial(count_attention, past=6)),
    "MultiHeadAttention",
    domain=MICROSOFT,
)
