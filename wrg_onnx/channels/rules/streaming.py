"""Operators that carry a state from one stretch of a sequence to the next."""

from __future__ import annotations

import numpy as np

from wrg_onnx.channels.axes import Axes, Call, Coupling, Tie, freeze_axes, tie_rows
from wrg_onnx.channels.ids import IdArray
from wrg_onnx.channels.table import op_rule

MATCHED = "matches queries with keys over this axis"


@op_rule("CausalConvWithState", since=27)
def couple_causal_conv(call: Call) -> Coupling:
    """Tie the channels to their kernels, biases and states, as a depthwise convolution does.

    Shapes:
        X (N, C, L), W (C, 1, k), B (C), past (N, C, k-1) -> Y (N, C, L), present (N, C, k-1).

    Source: https://onnx.ai/onnx/operators/onnx__CausalConvWithState.html
    """
    x, w = call.axes(0), call.axes(1)
    channels, reason = x.at(1), "convolves over this axis"
    ties = [Tie(channels, w.at(0))]
    frozen = freeze_axes(x, [0, 2], reason) + freeze_axes(w, [2], "")
    bias, past = call.optional(2), call.optional(3)
    if bias is not None:
        ties.append(Tie(channels, bias.axes.at(0)))
    if past is not None:
        ties.append(Tie(channels, past.axes.at(1)))
        frozen += freeze_axes(past.axes, [0, 2], reason)
    outputs = tuple(Axes(s, (None, channels, None)[: len(s)]) for s in call.output_shapes)
    return Coupling(outputs, tuple(ties), frozen, filters=(w.at(0),))


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
