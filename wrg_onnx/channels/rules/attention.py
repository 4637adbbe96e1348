"""Attention: a head goes whole, with its queries, keys and values.

A hidden axis lies head by head, (heads, head size): the positions of one head are one unit. Where
several query heads read one key head they go together, so that the ratio of the two stays. The
softmax runs inside a head, and the default scale depends on the head size alone, so what is left
computes as before.

Sources: https://onnx.ai/onnx/operators/onnx__Attention.html and
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wrg_onnx.channels.axes import Axes, Call, Coupling, Freeze, Operand, Tie, freeze_axes
from wrg_onnx.channels.ids import INERT, Alive, IdArray
from wrg_onnx.channels.rules.linear import TWO_ACTIVATIONS, contract
from wrg_onnx.channels.table import Derived, derivation, op_rule
from wrg_onnx.graph import Attribute, Shape

MICROSOFT = "com.microsoft"
SHARED = "shares these keys and values between all heads"


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
    heads, ties = _tie_blocks(columns, sizes, (call.node.int("num_heads"),) * 3)
    ties += [Tie(heads[0], other) for other in heads[1:]]
    bias = call.optional(2)
    if bias is not None:
        ties.append(Tie(columns, bias.axes.at(0)))
    ties += _follow(heads[0], call.optional(4), 2)
    ties += _follow(heads[0], call.optional(5), 1)
    contraction = contract(call, x.at(2), w.axes.at(0))
    outputs = [_lay_out(call.output_shapes[0], heads[0])]
    outputs += [_carry(shape, {2: heads[0]}) for shape in call.output_shapes[1:]]
    return Coupling(
        tuple(outputs),
        (*ties, *contraction.ties),
        contraction.frozen,
        filters=(columns,) if w.is_weight else (),
        consumed=contraction.consumed,
    )


def qkv_sizes(call: Call) -> tuple[int, ...]:
    """Return how many columns of a packed weight make queries, keys and values."""
    columns = call.axes(1).shape[1]
    return call.node.ints("qkv_hidden_sizes", (columns // 3,) * 3)


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
    heads, ties = _read(call.axes(0), number)
    for operand in (call.optional(1), call.optional(2)):
        if operand is not None:
            others, inside = _read(operand.axes, number)
            ties += [*inside, Tie(heads, others)]
    shape = call.output_shapes[0]
    bias = call.optional(3)
    if bias is not None:
        keys = (bias.axes.shape[0] - shape[2]) // 2
        blocks, inside = _tie_blocks(bias.axes.at(0), (keys, keys, shape[2]), (number,) * 3)
        ties += [*inside, *(Tie(heads, block) for block in blocks)]
    for position in (5, 6, 7):
        ties += _follow(heads, call.optional(position), 1)
    outputs = [_lay_out(shape, heads)]
    outputs += [_carry(other, {1: heads}) for other in call.output_shapes[1:]]
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
        heads, ties = _tie_blocks(packed.at(2), sizes, counts)
    else:
        columns = np.concatenate([o.at(2) for o in (call.axes(0), key.axes, value.axes)])
        sizes = (call.axes(0).shape[2], key.axes.shape[2], value.axes.shape[2])
        heads, ties = _tie_blocks(columns, sizes, counts)
    shared, frozen = _share(*heads)
    ties += shared
    queries, keys, _ = heads
    for position, followed, axis in (
        (3, keys, 1), (4, keys, 1), (10, queries, 1), (11, queries, 0), (12, keys, -3),
        (13, keys, -3),
    ):  # fmt: skip
        ties += _follow(followed, call.optional(position), axis)
    outputs = [_lay_out(call.output_shapes[0], queries)]
    for shape, followed in zip(call.output_shapes[1:], (keys, keys, queries), strict=False):
        outputs.append(_carry(shape, {1: followed}))
    return Coupling(tuple(outputs), tuple(ties), (*frozen, *_hide_tables(call, (7, 8))))


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
    queries, ties = _read(q, number)
    keys, in_keys = _read(k, groups)
    values, in_values = _read(v, groups)
    shared, frozen = _share(queries, keys, values)
    ties += [*in_keys, *in_values, *shared]
    ties += _follow(queries, call.optional(3), -3)
    past_key, past_value = call.optional(4), call.optional(5)
    ties += [*_follow(keys, past_key, 1), *_follow(values, past_value, 1)]
    shape, inner = call.output_shapes[0], {}
    if v.rank == 4:
        inner = {3: v.at(3)}
        frozen += (*freeze_axes(q, [3], TWO_ACTIVATIONS), *freeze_axes(k, [3], TWO_ACTIVATIONS))
        if past_value is not None:
            ties.append(Tie(v.at(3), past_value.axes.at(3)))
    made = _carry(shape, {1: queries, **inner}) if v.rank == 4 else _lay_out(shape, queries)
    carried = ({1: keys}, {1: values, **inner}, {1: queries})
    rest = zip(call.output_shapes[1:], carried, strict=False)
    return Coupling((made, *(_carry(s, ids) for s, ids in rest)), tuple(ties), frozen)


@op_rule("RotaryEmbedding", since=23)
def couple_rotary(call: Call) -> Coupling:
    """Pass whole heads: inside a head, pairs of positions are rotated.

    Shapes:
        X (B, S, h*d) or (B, h, S, d), cosines and sines (..., r/2), positions (B, S) -> Y like X.

    Source: https://onnx.ai/onnx/operators/onnx__RotaryEmbedding.html
    """
    return _rotate(call, call.node.int("num_heads", 0), (1, 2))


@op_rule("RotaryEmbedding", since=1, domain=MICROSOFT)
def couple_microsoft_rotary(call: Call) -> Coupling:
    """Pass whole heads; without ``num_heads`` the tables are half as long as a head.

    Shapes:
        X (B, S, h*d) or (B, h, S, d), positions, cosines and sines (rows, r/2) -> Y like X.
    """
    size = 2 * call.axes(2).shape[-1]
    number = call.node.int("num_heads", 0) or max(1, call.axes().shape[-1] // size)
    return _rotate(call, number, (2, 3))


def _rotate(call: Call, number: int, tables: tuple[int, ...]) -> Coupling:
    x, shape = call.axes(), call.output_shapes[0]
    heads, ties = _read(x, number)
    made = _lay_out(shape, heads) if x.rank == 3 else _carry(shape, {1: heads})
    frozen = () if x.rank == 3 else freeze_axes(x, [3], "rotates pairs along this axis")
    return Coupling((made,), tuple(ties), (*frozen, *_hide_tables(call, tables)))


@derivation("Attention", "RotaryEmbedding", since=23)
@derivation(
    "Attention", "GroupQueryAttention", "MultiHeadAttention", "RotaryEmbedding",
    since=1, domain=MICROSOFT,
)  # fmt: skip
def derive_heads(call: Call, outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the heads that are left, and the columns of a packed weight."""
    node, y = call.node, outputs[0]
    counts = [name for name in ("num_heads", "q_num_heads") if node.int(name, 0)]
    if not counts:
        return Derived()
    number = node.int(counts[0])
    left = int(alive(y.at(1) if y.rank == 4 else y.at(2).reshape(number, -1)[:, 0]).sum())
    if left == number:
        return Derived()
    attributes: dict[str, Attribute | None] = {counts[0]: left}
    groups = node.int("kv_num_heads", 0)
    if groups > 1:
        attributes["kv_num_heads"] = groups * left // number
    if "qkv_hidden_sizes" in node.attributes:
        attributes["qkv_hidden_sizes"] = tuple(n * left // number for n in qkv_sizes(call))
    return Derived(attributes=attributes)


def _in_blocks(ids: IdArray, number: int) -> tuple[IdArray, list[Tie]]:
    """Read the heads off an axis that lies head by head; tie the positions of each to its first."""
    heads = ids.reshape(number, -1)[:, 0]
    return heads, [Tie(heads.repeat(len(ids) // number), ids)]


def _tie_blocks(
    ids: IdArray, sizes: Sequence[int], counts: Sequence[int]
) -> tuple[list[IdArray], list[Tie]]:
    """Read the heads off consecutive blocks of an axis: those of Q, K and V."""
    heads, ties = [], []
    for block, count in zip(np.split(ids, np.cumsum(sizes)[:-1]), counts, strict=True):
        own, inside = _in_blocks(block, count)
        heads.append(own)
        ties += inside
    return heads, ties


def _read(axes: Axes, number: int) -> tuple[IdArray, list[Tie]]:
    """Read the heads off an operand by its rank: (B, S, h*d), (B, h, S, d) or (B, S, h, n, d)."""
    if axes.rank == 3:
        return _in_blocks(axes.at(2), number)
    return axes.at(1 if axes.rank == 4 else 2), []


def _share(
    queries: IdArray, keys: IdArray, values: IdArray
) -> tuple[list[Tie], tuple[Freeze, ...]]:
    """Tie each head of keys and values to its query heads; a single one serves what is left."""
    if len(keys) == 1 < len(queries):
        return [], (Freeze(keys, SHARED), Freeze(values, SHARED))
    ratio = len(queries) // len(keys)
    return [Tie(queries, keys.repeat(ratio)), Tie(keys, values)], ()


def _follow(heads: IdArray, operand: Operand | None, axis: int) -> list[Tie]:
    """Tie the heads to the axis of an operand that counts them, unless it is broadcast."""
    if operand is None or not -operand.axes.rank <= axis < operand.axes.rank:
        return []
    ids = operand.axes.at(axis)
    return [Tie(heads, ids)] if len(ids) == len(heads) > 1 else []


def _lay_out(shape: Shape, heads: IdArray) -> Axes:
    """Make an output whose last axis lies head by head."""
    return _carry(shape, {2: heads.repeat(shape[2] // len(heads))})


def _carry(shape: Shape, places: dict[int, IdArray]) -> Axes:
    """Make an output's axes from the ids at some of them; an absent one has none."""
    if not shape:
        return Axes.inert(shape)
    live = {axis: ids for axis, ids in places.items() if ids.max(initial=INERT) != INERT}
    return Axes(shape, tuple(live.get(axis) for axis in range(len(shape))))


def _hide_tables(call: Call, positions: Sequence[int]) -> tuple[Freeze, ...]:
    """Freeze tables of cosines and sines, which hold no channels."""
    tables = [call.optional(position) for position in positions]
    ids = [table.axes.flat() for table in tables if table is not None]
    return tuple(Freeze(own, "") for own in ids if own.size)
