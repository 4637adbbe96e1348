"""Resize and Upsample: they change height and width and must leave channels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wrg_onnx.channels.answers import Coupling, Demand, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import Traits, op_traits

RESIZED = "resizes this axis"


@op_rule("Upsample", since=7)
def couple_upsample(call: Call) -> Coupling:
    """Pass the axes that are scaled by 1.

    Shapes:
        X (d_0, ...) -> Y (floor(d_0 * scale_0), ...).
    """
    scales = call.node.attributes.get("scales")
    return _scale(call, scales if isinstance(scales, tuple) else _numbers(call, 1))


@op_rule("Resize", since=10)
def couple_resize(call: Call) -> Coupling:
    """Pass the axes that keep their size; ``sizes`` names that of every axis, channels included.

    Shapes:
        X (d_0, ...) -> Y (sizes_0, ...) or (floor(d_0 * scale_0), ...).

    Source: https://onnx.ai/onnx/operators/onnx__Resize.html
    """
    rank = call.axes().rank
    attribute = call.node.ints("axes", tuple(range(rank)))
    axes = tuple(axis % rank for axis in attribute)
    if call.node.str("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        return _resize(call, [axis for axis in range(rank) if axis not in axes], {})
    sizes = call.optional(3)
    if sizes is None or sizes.axes.shape == (0,):
        return _scale(call, _numbers(call, 1 if call.node.version < 11 else 2), axes)
    shape = call.output_shapes[0]
    same = [axis for axis in range(rank) if call.axes().shape[axis] == shape[axis]]
    if call.node.str("keep_aspect_ratio_policy", "stretch") != "stretch":
        same = [axis for axis in range(rank) if axis not in axes]  # one size decides on the others
    return _resize(call, same, {axis: element for element, axis in enumerate(axes)})


def _numbers(call: Call, position: int) -> tuple[float, ...] | None:
    """Return the scales in an operand, None where they are computed at run time."""
    operand = call.optional(position)
    if operand is None or operand.sizes is None:
        return None
    return tuple(float(size.value) for size in operand.sizes.reshape(-1))


def _scale(
    call: Call, scales: tuple[float, ...] | None, axes: tuple[int, ...] | None = None
) -> Coupling:
    """Pass the axes that are scaled by exactly 1: another scale moves what is between."""
    rank = call.axes().rank
    known = {} if scales is None else dict(zip(axes or range(rank), scales, strict=True))
    left_out = () if axes is None else [axis for axis in range(rank) if axis not in axes]
    same = [axis for axis in range(rank) if axis in left_out or known.get(axis) == 1]
    return _resize(call, same, {})


def _resize(call: Call, same: Sequence[int], sized: Mapping[int, int]) -> Coupling:
    """Pass the axes that stay the same; ``sized`` says where operand 3 gives their sizes."""
    x, shape = call.axes(), call.output_shapes[0]
    changed = [axis for axis in range(x.rank) if axis not in same]
    ids = tuple(x.ids[axis] if axis in same else None for axis in range(x.rank))
    demands = tuple(
        Demand(3, element, x.ids[axis])
        for axis, element in sized.items()
        if axis in same and x.ids[axis] is not None
    )
    return Coupling((Axes(shape, ids),), frozen=freeze_axes(x, changed, RESIZED), demands=demands)


op_traits(Traits(reads_sizes=True), "Resize", "Upsample")
