"""Axes that lie head by head: which positions make a head, and what goes with it.

A hidden axis lies head by head, (heads, head size): the positions of one head are one unit. Where
several query heads read one key head they go together, so that the ratio of the two stays. The
softmax runs inside a head, and the default scale depends on the head size alone, so what is left
computes as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from wrg_onnx.channels.answers import Coupling, Freeze, Tie, freeze_axes
from wrg_onnx.channels.axes import Axes, Call, Operand
from wrg_onnx.channels.ids import INERT, Alive, IdArray
from wrg_onnx.channels.table import Derived
from wrg_onnx.channels.traits import LengthProduct, all_axes
from wrg_onnx.channels.units import Analysed
from wrg_onnx.graph import Attribute, Shape

SHARED = "shares these keys and values between all heads"


def qkv_sizes(call: Call) -> tuple[int, ...]:
    """Return how many columns of a packed weight make queries, keys and values."""
    columns = call.axes(1).shape[1]
    return call.node.ints("qkv_hidden_sizes", (columns // 3,) * 3)


def heads_in_block(ids: IdArray, number: int) -> tuple[IdArray, list[Tie]]:
    """Read the heads off an axis that lies head by head; tie the positions of each to its first.

    Args:
        ids: (h*d,), of h heads with d positions each.
        number: h.

    Returns:
        (h,), one id per head, and the ties inside the heads.
    """
    # Position p is in head p // d: seen as (h, d), column 0 holds the id of each head, and repeated
    # d times it lies beside the axis (h*d), position by position.
    heads = ids.reshape(number, -1)[:, 0]
    return heads, [Tie(heads.repeat(len(ids) // number), ids)]


def heads_in_blocks(
    ids: IdArray, sizes: Sequence[int], counts: Sequence[int]
) -> tuple[list[IdArray], list[Tie]]:
    """Read the heads off consecutive blocks of an axis: those of queries, keys and values.

    Args:
        ids: (sum of the sizes,).
        sizes: How long each block is.
        counts: How many heads each block has.

    Returns:
        The heads of each block, (count,) each, and the ties inside all heads.
    """
    heads, ties = [], []
    for block, count in zip(np.split(ids, np.cumsum(sizes)[:-1]), counts, strict=True):
        own, inside = heads_in_block(block, count)
        heads.append(own)
        ties += inside
    return heads, ties


def read_heads(axes: Axes, number: int) -> tuple[IdArray, list[Tie]]:
    """Read the heads off an operand by its rank: (B, S, h*d), (B, h, S, d) or (B, S, h, n, d).

    Args:
        axes: The operand's.
        number: h, for the first form.

    Returns:
        (h,), one id per head, and the ties inside the heads.
    """
    if axes.rank == 3:
        return heads_in_block(axes.at(2), number)
    return axes.at(1 if axes.rank == 4 else 2), []


def share_heads(
    queries: IdArray, keys: IdArray, values: IdArray
) -> tuple[list[Tie], tuple[Freeze, ...]]:
    """Tie each head of keys and values to its query heads; a single one serves what is left.

    Args:
        queries: (h,), one id per head.
        keys: (g,), with h a multiple of g.
        values: (g,).

    Returns:
        The ties, and what is frozen.
    """
    # Query head q reads key head q // (h / g): keys repeated h / g times lie beside the queries.
    # A key head goes with all its query heads, so that h / g stays, as every runtime demands.
    if len(keys) == 1 < len(queries):
        return [], (Freeze(keys, SHARED), Freeze(values, SHARED))
    ratio = len(queries) // len(keys)
    return [Tie(queries, keys.repeat(ratio)), Tie(keys, values)], ()


def follow_heads(heads: IdArray, operand: Operand | None, axis: int) -> list[Tie]:
    """Tie the heads to the axis of an operand that counts them, unless it is broadcast."""
    if operand is None or not -operand.axes.rank <= axis < operand.axes.rank:
        return []
    ids = operand.axes.at(axis)
    return [Tie(heads, ids)] if len(ids) == len(heads) > 1 else []


def lay_out_heads(shape: Shape, heads: IdArray) -> Axes:
    """Make an output whose last axis lies head by head."""
    return carry(shape, {2: heads.repeat(shape[2] // len(heads))})


def carry(shape: Shape, places: dict[int, IdArray]) -> Axes:
    """Make an output's axes from the ids at some of them; an absent one has none."""
    if not shape:
        return Axes.inert(shape)
    live = {axis: ids for axis, ids in places.items() if ids.max(initial=INERT) != INERT}
    return Axes(shape, tuple(live.get(axis) for axis in range(len(shape))))


def freeze_tables(call: Call, positions: Sequence[int]) -> tuple[Freeze, ...]:
    """Freeze tables of cosines and sines, which hold no channels."""
    tables = [call.optional(position) for position in positions]
    ids = [table.axes.flat() for table in tables if table is not None]
    return tuple(Freeze(own, "") for own in ids if own.size)


def rotate_heads(call: Call, number: int, tables: tuple[int, ...]) -> Coupling:
    """Pass whole heads of what a RotaryEmbedding rotates.

    Args:
        call: The node.
        number: How many heads its first input has.
        tables: The input positions of cosines and sines.
    """
    x, shape = call.axes(), call.output_shapes[0]
    heads, ties = read_heads(x, number)
    made = lay_out_heads(shape, heads) if x.rank == 3 else carry(shape, {1: heads})
    frozen = () if x.rank == 3 else freeze_axes(x, [3], "rotates pairs along this axis")
    return Coupling((made,), tuple(ties), (*frozen, *freeze_tables(call, tables)))


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


def count_attention(analysed: Analysed, *, past: int) -> Iterator[LengthProduct]:
    """Attend with queries, keys and values that come projected.

    Args:
        analysed: The node.
        past: The input position of past keys.
    """
    call = analysed.call
    q, y, packed = call.axes(0), analysed.outputs[0], call.optional(1) is None
    keys, cached = q if packed else call.axes(1), call.optional(past)
    length = keys.shape[2 if keys.rank == 4 else 1]
    length += 0 if cached is None else cached.axes.shape[2]
    if packed and q.rank == 3:
        # queries stand before keys and values, and are as many as the output's columns
        q = Axes(y.shape, (None, None, q.at(2)[: y.shape[2]]))
    elif packed:
        q = Axes((*q.shape[:3], q.shape[4]), (*q.ids[:3], q.ids[4]))
    yield from count_scores(q, y, length)


def count_scores(q: Axes, y: Axes, length: int) -> Iterator[LengthProduct]:
    """Multiply each query with each key, and each weight with its value.

    Args:
        q: The queries.
        y: What attention gives.
        length: How many keys there are.
    """
    keys = all_axes(Axes.inert((length,)))
    yield [all_axes(q), keys]
    yield [all_axes(y), keys]
