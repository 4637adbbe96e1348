"""Operators that move whole axes or pick positions: the same operation on the id arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wrg_onnx.channels.axes import (
    Axes,
    Call,
    Coupling,
    Demand,
    Division,
    Freeze,
    Tie,
    broadcast,
    freeze_axes,
    tie_rows,
)
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.rules.reshape import regroup
from wrg_onnx.channels.table import Derived, derivation, op_rule


@op_rule("Transpose", since=1)
def couple_transpose(call: Call) -> Coupling:
    """Permute the axes.

    Shapes:
        X (d_0, ..., d_r) -> Y (d_perm[0], ..., d_perm[r]).
    """
    x = call.axes()
    perm = call.node.ints("perm", tuple(reversed(range(x.rank))))
    return Coupling((Axes(call.output_shapes[0], tuple(x.ids[axis] for axis in perm)),))


@op_rule("Squeeze", since=1)
def couple_squeeze(call: Call) -> Coupling:
    """Drop axes of length 1.

    Shapes:
        X (..., 1, ...) -> Y (..., ...).
    """
    x = call.axes()
    axes = _axes(call, x.rank)
    if axes is None:
        axes = tuple(axis for axis, size in enumerate(x.shape) if size == 1)
    ids = tuple(i for axis, i in enumerate(x.ids) if axis not in axes)
    frozen = freeze_axes(x, axes, "drops this axis")
    return Coupling((Axes(call.output_shapes[0], ids),), frozen=frozen)


@derivation("Squeeze", since=1)
def derive_squeeze(call: Call, _outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Name the axes where none are named and an axis of one channel would be dropped, too."""
    x = call.axes()
    if "axes" in call.node.attributes or call.optional(1) is not None:
        return Derived()
    if not any(ids is not None and alive(ids).sum() == 1 < len(ids) for ids in x.ids):
        return Derived()
    axes = tuple(axis for axis, size in enumerate(x.shape) if size == 1)
    if call.node.version < 13:
        return Derived(attributes={"axes": axes})
    return Derived(operands={1: np.array(axes, np.int64)})


@op_rule("Unsqueeze", since=1)
def couple_unsqueeze(call: Call) -> Coupling:
    """Insert axes of length 1.

    Shapes:
        X (...) -> Y (..., 1, ...).
    """
    x, shape = call.axes(), call.output_shapes[0]
    axes = _axes(call, len(shape))
    if axes is None:
        reason = "inserts axes computed at run time"
        return Coupling((Axes.inert(shape),), frozen=freeze_axes(x, range(x.rank), reason))
    rest = iter(x.ids)
    ids = tuple(None if axis in axes else next(rest) for axis in range(len(shape)))
    return Coupling((Axes(shape, ids),))


def _axes(call: Call, rank: int) -> tuple[int, ...] | None:
    """Read ``axes`` from the attribute (below opset 13) or the operand."""
    attribute = call.node.attributes.get("axes")
    axes = attribute if isinstance(attribute, tuple) else call.integers(1)
    return None if axes is None else tuple(int(axis) % rank for axis in axes)


@op_rule("Expand", since=8)
def couple_expand(call: Call) -> Coupling:
    """Broadcast to a shape; the sizes of live axes in it follow them.

    Shapes:
        X (...), shape (r) -> Y (broadcast of both).
    """
    x, shape = call.axes(), call.output_shapes[0]
    made, ties = broadcast([x], shape)
    target = call.integers(1)
    length = call.axes(1).shape[0]
    offset = len(shape) - length
    demands = tuple(
        Demand(1, axis - offset, ids)
        for axis, ids in enumerate(made.ids)
        if ids is not None and axis >= offset and (target is None or target[axis - offset] != 1)
    )
    return Coupling((made,), ties, demands=demands)


@op_rule("Tile", since=6)
def couple_tile(call: Call) -> Coupling:
    """Repeat the ids.

    Shapes:
        X (d_0, ...), repeats (r) -> Y (d_0 * repeats_0, ...).
    """
    x, shape = call.axes(), call.output_shapes[0]
    ids = tuple(
        None if own is None else np.tile(own, size // len(own))
        for own, size in zip(x.ids, shape, strict=True)
    )
    return Coupling((Axes(shape, ids),))


@op_rule("Gather", since=1)
def couple_gather(call: Call) -> Coupling:
    """Pick positions; the indices are renumbered when positions before them go.

    Shapes:
        X (..., n, ...), indices (i...) -> Y (..., i..., ...).

    Source: https://onnx.ai/onnx/operators/onnx__Gather.html
    """
    x, index = call.axes(0), call.operand(1)
    axis = call.node.axis("axis", rank=x.rank, default=0)
    before, after = x.ids[:axis], x.ids[axis + 1 :]
    shape = call.output_shapes[0]
    own = x.ids[axis]
    picked = _constant_indices(call)
    middle: tuple[IdArray | None, ...] = (None,) * index.axes.rank
    frozen: tuple[Freeze, ...] = ()
    dropped: tuple[IdArray, ...] = ()
    ties: tuple[Tie, ...] = ()
    divisions: tuple[Division, ...] = ()
    choice = ""
    if own is not None and picked is not None and picked.ndim == 1:
        middle, dropped = (own[picked],), (own,)
    elif own is not None and picked is not None and _is_reshape(picked, len(own)):
        found = regroup(call, Axes(own.shape, (own,)), picked.shape, first=axis)
        middle, ties, dropped = found.outputs[0].ids, found.ties, (own,)
        divisions, choice = found.divisions, found.choice
    elif own is not None and picked is not None and picked.ndim == 0:
        frozen, dropped = (Freeze(own[picked].reshape(1), "picks this one position"),), (own,)
    elif own is not None:
        frozen = (Freeze(own, "picks positions computed at run time"),)
    made = Axes(shape, (*before, *middle, *after))
    return Coupling((made,), ties, frozen, dropped=dropped, divisions=divisions, choice=choice)


def _is_reshape(picked: IdArray, length: int) -> bool:
    """Tell whether indices of two or more axes take every position once, in order."""
    return picked.ndim > 1 and np.array_equal(picked.reshape(-1), np.arange(length))


def _constant_indices(call: Call) -> IdArray | None:
    """Return indices that are constants, or computed from constants alone."""
    index = call.operand(1)
    if index.value is not None:
        value = index.value
    else:
        sizes = () if index.sizes is None else index.sizes.reshape(-1)
        if index.sizes is None or any(size.ids or size.is_open for size in sizes):
            return None
        value = np.array([int(size.value) for size in sizes]).reshape(index.sizes.shape)
    axes = call.axes()
    length = axes.shape[call.node.axis("axis", rank=axes.rank, default=0)]
    return np.asarray(value % length, np.int64)


@derivation("Gather", since=1)
def derive_gather(call: Call, outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Renumber constant indices; those of removed positions go."""
    x, picked = call.axes(), _constant_indices(call)
    axis = call.node.axis("axis", rank=x.rank, default=0)
    own = x.ids[axis]
    if own is None or picked is None or alive(own).all():
        return Derived()
    for place in range(picked.ndim):
        ids = outputs[0].ids[axis + place]
        if ids is not None:
            picked = np.compress(alive(ids), picked, axis=place)
    renumbered = np.cumsum(alive(own)) - 1
    value = call.operand(1).value
    kind = np.int64 if value is None else value.dtype
    return Derived(operands={1: np.asarray(renumbered[picked], kind)})


@op_rule("DepthToSpace", since=1)
def couple_depth_to_space(call: Call) -> Coupling:
    """Tie the b * b channels that make one.

    Shapes:
        X (N, b*b*c, H, W) -> Y (N, c, b*H, b*W); mode CRD orders the channels (c, b, b).

    Source: https://onnx.ai/onnx/operators/onnx__DepthToSpace.html
    """
    x, block = call.axes(), call.node.int("blocksize")
    channels = x.at(1)
    if call.node.str("mode", "DCR") == "CRD":
        channels = channels.reshape(-1, block * block).T.reshape(-1)
    frozen = freeze_axes(x, (2, 3), "moves this axis into others")
    ids = (x.ids[0], channels[: len(channels) // block**2], None, None)
    made = Axes(call.output_shapes[0], ids)
    return Coupling((made,), tie_rows(channels, block * block), frozen)


@op_rule("SpaceToDepth", since=1)
def couple_space_to_depth(call: Call) -> Coupling:
    """Repeat the channels, once for each place in a block.

    Shapes:
        X (N, c, b*H, b*W) -> Y (N, b*b*c, H, W); mode CRD orders the channels (c, b, b).

    Source: https://onnx.ai/onnx/operators/onnx__SpaceToDepth.html
    """
    x, block = call.axes(), call.node.int("blocksize")
    repeat = np.repeat if call.node.str("mode", "DCR") == "CRD" else np.tile
    ids = None if x.ids[1] is None else repeat(x.ids[1], block * block)
    frozen = freeze_axes(x, (2, 3), "moves this axis into others")
    return Coupling((Axes(call.output_shapes[0], (x.ids[0], ids, None, None)),), frozen=frozen)


@op_rule(
    "BlackmanWindow", "ConstantOfShape", "EyeLike", "HammingWindow", "HannWindow",
    "MelWeightMatrix", "RandomNormal", "RandomUniform", "Range", since=1,
)  # fmt: skip
def couple_made_from_shape(call: Call) -> Coupling:
    """Make a tensor from sizes alone; its axes are inert."""
    return Coupling(tuple(Axes.inert(shape) for shape in call.output_shapes))
