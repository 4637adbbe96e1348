"""Operators that lay the elements out anew without looking at them: the same on id arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wrg_onnx.channels.answers import Coupling, Demand, Freeze, broadcast, freeze_axes, tie_rows
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.couplings import freeze_whole
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.made_axes import made_axis
from wrg_onnx.channels.regroup import regroup
from wrg_onnx.channels.sizes import (
    Numbers,
    Sizes,
    by_moving,
)
from wrg_onnx.channels.table import Derived, derivation, op_rule
from wrg_onnx.channels.traits import ChannelScale, ScaleQuestion, Traits, op_traits
from wrg_onnx.graph import Node


@op_rule("Reshape", since=5)
def couple_reshape(call: Call) -> Coupling:
    """Carry the ids to the axes that they vary along, and demand their new lengths.

    Shapes:
        X (d_0, ...), shape (r) -> Y (shape_0, ...).

    Source: https://onnx.ai/onnx/operators/onnx__Reshape.html
    """
    x = call.axes()
    coupling = regroup(call, x, call.output_shapes[0])
    target = call.optional(1)
    if target is None or target.sizes is None:
        live = x.flat()
        reason = "reshapes to sizes computed at run time"
        return coupling.also(frozen=(Freeze(live, reason),) if live.size else ())
    demands = []
    for axis, ids in enumerate(coupling.outputs[0].ids):
        size = target.sizes.reshape(-1)[axis]
        if size.value == 0 and not call.node.int("allowzero", 0):
            demands += _copied(axis, x, coupling.outputs[0])
        elif size.value != -1 and not (ids is None and not size.ids):
            demands.append(Demand(1, axis, ids))
    return replace(coupling, demands=tuple(demands))


def _copied(axis: int, x: Axes, y: Axes) -> list[Demand]:
    """Answer for a 0, which copies the input's length: right where both carry the same ids."""
    if np.array_equal(x.at(axis), y.at(axis)):
        return []
    return [Demand(1, axis, y.at(axis), x.at(axis))]


@op_rule("Flatten", since=1)
def couple_flatten(call: Call) -> Coupling:
    """Flatten into two axes; each position of the second carries its channel's id.

    Shapes:
        X (d_0, ..., d_r) -> Y (d_0 * ... * d_(axis-1), d_axis * ... * d_r).
    """
    return regroup(call, call.axes(), call.output_shapes[0])


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
    if axes is None and len(call.inputs) > 1 and call.inputs[1] is not None:
        return freeze_whole(call, "leaves out axes that are computed at run time")
    if axes is None:
        axes = tuple(axis for axis, size in enumerate(x.shape) if size == 1)
    ids = tuple(i for axis, i in enumerate(x.ids) if axis not in axes)
    frozen = freeze_axes(x, axes, "leaves this axis of one position out")
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
        reason = "inserts axes at places computed at run time"
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

    An axis along which X is repeated carries the ids of the axis whose length it copies. It gets
    new ones where its length is written into the file, as for the heads that share a mask.
    """
    x, shape = call.axes(), call.output_shapes[0]
    made, ties = broadcast([x], shape)
    target = call.integers(1)
    length = call.axes(1).shape[0]
    offset = len(shape) - length
    made = Axes(shape, tuple(_repeated(call, made, axis, offset) for axis in range(len(shape))))
    demands = tuple(
        Demand(1, axis - offset, ids)
        for axis, ids in enumerate(made.ids)
        if ids is not None and axis >= offset and (target is None or target[axis - offset] != 1)
    )
    return Coupling((made,), ties, demands=demands)


def _repeated(call: Call, made: Axes, axis: int, offset: int) -> IdArray | None:
    """Return the ids of an axis of an Expand's result."""
    x, own = call.operand(0), axis - (made.rank - call.axes().rank)
    is_made = axis >= offset and made.shape[axis] > 1 and (own < 0 or x.axes.shape[own] == 1)
    # What is computed from the model's input may be as wide as the result at other sizes of it.
    is_single = own < 0 or (x.elsewhere is not None and x.elsewhere[own] == 1)
    is_alike = x.is_weight or x.is_zero
    if not is_made or not (is_single or is_alike):
        return made.ids[axis]
    # Repeats beside an axis of channels will be merged with it (heads of keys, each for several of
    # the queries), and it is to carry the units then.
    beside = [made.ids[a] for a in (axis - 1, axis + 1) if 0 <= a < made.rank]
    may_be_new = is_alike or all(ids is None for ids in beside)
    return made_axis(call, 1, axis - offset, may_be_new=may_be_new)


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
    frozen = freeze_axes(x, (2, 3), "rearranges this axis together with the channels")
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
    frozen = freeze_axes(x, (2, 3), "rearranges this axis together with the channels")
    return Coupling((Axes(call.output_shapes[0], (x.ids[0], ids, None, None)),), frozen=frozen)


def _squeeze(_node: Node, operands: Sequence[Sizes], _numbers: Numbers) -> Sizes:
    return operands[0].reshape(()) if operands[0].size == 1 else operands[0]


def _unsqueeze(_node: Node, operands: Sequence[Sizes], _numbers: Numbers) -> Sizes | None:
    return operands[0].reshape(1) if operands[0].ndim == 0 else None


def _reshape(_node: Node, operands: Sequence[Sizes], numbers: Numbers) -> Sizes | None:
    fits = len(operands) == 2 and len(numbers[1]) <= 1
    return operands[0].reshape(numbers[1]) if fits else None


def _permute_scale(question: ScaleQuestion) -> ChannelScale:
    order = question.node.ints("perm", tuple(reversed(range(question.rank))))
    return ChannelScale(np.ones(1), order.index(question.axis))


op_traits(Traits(moves_elements=True), "DepthToSpace", "SpaceToDepth")
op_traits(
    Traits(moves_elements=True, keeps_zeros=True),
    "Expand", "Flatten", "Reshape", "Squeeze", "Tile", "Transpose", "Unsqueeze",
)  # fmt: skip
op_traits(
    Traits(zero_at_zero=True),
    "Expand", "Reshape", "Squeeze", "Tile", "Transpose", "Unsqueeze",
)  # fmt: skip
op_traits(Traits(keeps_numbers=True), "Flatten", "Reshape", "Squeeze", "Unsqueeze")
op_traits(Traits(every_position_alike=True), "Reshape", "Squeeze", "Transpose", "Unsqueeze")
op_traits(Traits(reads_sizes=True), "Expand", "Reshape", "Tile")
op_traits(Traits(sizes=by_moving(_squeeze)), "Squeeze")
op_traits(Traits(sizes=by_moving(_unsqueeze)), "Unsqueeze")
op_traits(Traits(sizes=by_moving(_reshape)), "Reshape")
op_traits(Traits(gain=_permute_scale), "Transpose")
