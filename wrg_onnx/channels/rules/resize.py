"""Operators that change height and width and must leave channels alone."""

from __future__ import annotations

import numpy as np

from wrg_onnx.channels.axes import Axes, Call, Coupling, Demand, freeze_axes
from wrg_onnx.channels.ids import INERT, IdArray
from wrg_onnx.channels.table import op_rule

RESIZED = "resizes this axis"


@op_rule("Upsample", since=7)
def couple_upsample(call: Call) -> Coupling:
    """Pass the axes that keep their size.

    Shapes:
        X (d_0, ...) -> Y (floor(d_0 * scale_0), ...).
    """
    return _resize(call, ())


@op_rule("Resize", since=10)
def couple_resize(call: Call) -> Coupling:
    """Pass the axes that keep their size; ``sizes`` names that of every axis, channels included.

    Shapes:
        X (d_0, ...) -> Y (sizes_0, ...) or (floor(d_0 * scale_0), ...).

    Source: https://onnx.ai/onnx/operators/onnx__Resize.html
    """
    sizes = call.optional(3)
    if sizes is None or sizes.axes.shape == (0,):
        return _resize(call, ())
    rank = call.axes().rank
    axes = call.node.attributes.get("axes", tuple(range(rank)))
    assert isinstance(axes, tuple)
    return _resize(call, tuple(int(axis) % rank for axis in axes))


def _resize(call: Call, sized: tuple[int, ...]) -> Coupling:
    """Pass equal axes, freeze others; ``sized`` are the axes that operand 3 gives a size for."""
    x, shape = call.axes(), call.output_shapes[0]
    same = [axis for axis in range(x.rank) if x.shape[axis] == shape[axis]]
    changed = [axis for axis in range(x.rank) if axis not in same]
    ids = tuple(x.ids[axis] if axis in same else None for axis in range(x.rank))
    demands = tuple(
        Demand(3, element, x.ids[axis])
        for element, axis in enumerate(sized)
        if axis in same and x.ids[axis] is not None
    )
    return Coupling((Axes(shape, ids),), frozen=freeze_axes(x, changed, RESIZED), demands=demands)


@op_rule("Pad", since=1)
def couple_pad(call: Call) -> Coupling:
    """Put inert positions around an axis that is padded with a constant.

    Shapes:
        X (d_0, ...) -> Y (begin_0 + d_0 + end_0, ...).

    Source: https://onnx.ai/onnx/operators/onnx__Pad.html
    """
    x, shape = call.axes(), call.output_shapes[0]
    pads = _pads(call)
    if pads is None:
        changed = [axis for axis in range(x.rank) if x.shape[axis] != shape[axis]]
        pads = dict.fromkeys(changed, (-1, -1))
    ids: list[IdArray | None] = []
    frozen = []
    constant = call.node.str("mode", "constant") == "constant"
    for axis, own in enumerate(x.ids):
        begin, end = pads.get(axis, (0, 0))
        if own is None or (begin, end) == (0, 0):
            ids.append(own)
        elif constant and begin >= 0 and end >= 0:
            ids.append(np.pad(own, (begin, end), constant_values=INERT))
        else:
            ids.append(None)
            frozen.append(axis)
    return Coupling((Axes(shape, tuple(ids)),), frozen=freeze_axes(x, frozen, "pads this axis"))


def _pads(call: Call) -> dict[int, tuple[int, int]] | None:
    """Return (begin, end) by axis, None where they are computed at run time."""
    rank = call.axes().rank
    attribute = call.node.attributes.get("pads", call.node.attributes.get("paddings"))
    values = tuple(attribute) if isinstance(attribute, tuple) else call.integers(1)
    axes = call.integers(3) if call.optional(3) is not None else tuple(range(rank))
    if values is None or axes is None:
        return None
    half = len(axes)
    return {axis % rank: (values[i], values[half + i]) for i, axis in enumerate(axes)}
