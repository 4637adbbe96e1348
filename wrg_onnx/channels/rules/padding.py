"""Pad and CenterCropPad: positions around an axis."""

from __future__ import annotations

import numpy as np

from wrg_onnx.channels.axes import Axes, Call, Coupling, Demand, freeze_axes
from wrg_onnx.channels.ids import INERT, IdArray
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import Traits, op_traits


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


@op_rule("CenterCropPad", since=18)
def couple_center_crop_pad(call: Call) -> Coupling:
    """Put inert positions around an axis that is padded; freeze one that is cropped.

    Shapes:
        X (d_0, ...), shape (number of axes) -> Y (shape_0, ...).

    Source: https://onnx.ai/onnx/operators/onnx__CenterCropPad.html
    """
    x, shape = call.axes(), call.output_shapes[0]
    axes = [axis % x.rank for axis in call.node.ints("axes", tuple(range(x.rank)))]
    ids: list[IdArray | None] = list(x.ids)
    demands, cropped = [], []
    for element, axis in enumerate(axes):
        own, more = x.ids[axis], shape[axis] - x.shape[axis]
        if own is None:
            continue
        if more < 0:
            ids[axis] = None
            cropped.append(axis)
            continue
        # As many zeros on either side whatever is removed, for their number stays.
        padded = (
            own if not more else np.pad(own, (more // 2, more - more // 2), constant_values=INERT)
        )
        ids[axis] = padded
        demands.append(Demand(1, element, padded))
    return Coupling(
        (Axes(shape, tuple(ids)),),
        frozen=freeze_axes(x, cropped, "crops this axis"),
        demands=tuple(demands),
        dropped=(call.axes(1).flat(),),
    )


op_traits(Traits(moves_elements=True), "Pad")
