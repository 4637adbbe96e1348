"""Attention: a head goes whole, with its queries, keys and values.

`wrg_onnx.channels.heads` says how heads lie on an axis.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from wrg_onnx.channels.answers import Coupling, Tie, freeze_axes, tie_rows
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.heads import (
    carry,
    count_attention,
    derive_heads,
    follow_heads,
    lay_out_heads,
    read_heads,
    rotate_heads,
    share_heads,
)
from wrg_onnx.channels.ids import IdArray
from wrg_onnx.channels.rules.linear import TWO_ACTIVATIONS
from wrg_onnx.channels.table import derivation, op_rule
from wrg_onnx.channels.traits import Traits, op_traits


@op_rule("Attention", since=23)
def couple_attention(call: Call) -> Coupling:
    """Tie each head of keys and values to the query heads that read it.

    With four axes the values' head size passes to the output; that of queries and keys is summed
    over.

    Shapes:
        Q (B, S, h*d) or (B, h, S, d), K (B, T, g*d) or (B, g, T, d),
        V (B, T, g*dv) or (B, g, T, dv), mask broadcastable to (B, h, S, T),
        past key (B, g, P, d), past value (B, g, P, dv)
        -> Y (B, S, h*dv) or (B, h, S, dv), present key (B, g, T, d), present value (B, g, T, dv),
        scores (B, h, S, T).

    Source: https://onnx.ai/onnx/operators/onnx__Attention.html
    """
    q, k, v = (call.axes(position) for position in range(3))
    number = call.node.int("q_num_heads", q.shape[1])
    groups = call.node.int("kv_num_heads", k.shape[1])
    queries, ties = read_heads(q, number)
    keys, in_keys = read_heads(k, groups)
    values, in_values = read_heads(v, groups)
    shared, frozen = share_heads(queries, keys, values)
    ties += [*in_keys, *in_values, *shared]
    ties += follow_heads(queries, call.optional(3), -3)
    past_key, past_value = call.optional(4), call.optional(5)
    ties += [*follow_heads(keys, past_key, 1), *follow_heads(values, past_value, 1)]
    shape, inner = call.output_shapes[0], {}
    if v.rank == 4:
        inner = {3: v.at(3)}
        frozen += (*freeze_axes(q, [3], TWO_ACTIVATIONS), *freeze_axes(k, [3], TWO_ACTIVATIONS))
        if past_value is not None:
            ties.append(Tie(v.at(3), past_value.axes.at(3)))
    made = carry(shape, {1: queries, **inner}) if v.rank == 4 else lay_out_heads(shape, queries)
    carried = ({1: keys}, {1: values, **inner}, {1: queries})
    rest = zip(call.output_shapes[1:], carried, strict=False)
    return Coupling((made, *(carry(s, ids) for s, ids in rest)), tuple(ties), frozen)


@op_rule("RotaryEmbedding", since=23)
def couple_rotary(call: Call) -> Coupling:
    """Pass whole heads: inside a head, pairs of positions are rotated.

    Shapes:
        X (B, S, h*d) or (B, h, S, d), cosines and sines (..., r/2), positions (B, S) -> Y like X.

    Source: https://onnx.ai/onnx/operators/onnx__RotaryEmbedding.html
    """
    return rotate_heads(call, call.node.int("num_heads", 0), (1, 2))


derivation("Attention", "RotaryEmbedding", since=23)(derive_heads)
MATCHED = "matches queries with keys over this axis"


@op_rule("LinearAttention", since=27)
def couple_linear_attention(call: Call) -> Coupling:
    """Tie the same value channel across heads; freeze queries and keys, which are contracted.

    Shapes:
        query (N, T, q*k), key (N, T, h*k), value (N, T, h*v), past (N, h, k, v), decay and beta
        (N, T, ...) -> Y (N, T, q*v), present (N, h, k, v), with q query heads and h others.

    Every column of a head's state, of length k, is updated without the other columns.

    Source: https://onnx.ai/onnx/operators/onnx__LinearAttention.html
    """
    value = call.axes(2)
    heads, queries = call.node.int("kv_num_heads"), call.node.int("q_num_heads")
    channels: IdArray = value.at(2).reshape(heads, -1)[0]
    ties = list(tie_rows(value.at(2), heads))
    frozen = freeze_axes(value, [0, 1], MATCHED)
    for position in (0, 1, 4, 5):
        operand = call.optional(position)
        if operand is not None:
            frozen += freeze_axes(operand.axes, range(operand.axes.rank), MATCHED)
    past = call.optional(3)
    if past is not None:
        ties.append(Tie(channels, past.axes.at(3)))
        frozen += freeze_axes(past.axes, [0, 1, 2], MATCHED)
    y, *present = call.output_shapes
    outputs = [Axes(y, (None, None, np.tile(channels, queries)))]
    outputs += [Axes(s, (None, None, None, channels)[: len(s)]) for s in present]
    return Coupling(tuple(outputs), tuple(ties), frozen)


op_traits(Traits(multiplications=partial(count_attention, past=4)), "Attention")
