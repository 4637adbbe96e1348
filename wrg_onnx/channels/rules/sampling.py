"""Operators that sample, crop or fold height and width, channel by channel."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from wrg_onnx.channels.axes import Axes, Call, Coupling, Demand, Freeze, freeze_axes, tie_rows
from wrg_onnx.channels.ids import INERT, IdArray
from wrg_onnx.channels.table import op_rule

SAMPLED = "samples over this axis"
COORDINATES = "reads coordinates from this axis"


@op_rule("GridSample", since=16)
@op_rule("RoiAlign", since=10)
@op_rule("MaxRoiPool", since=1)
def couple_sample(call: Call) -> Coupling:
    """Pass the channels; what is sampled over stays, and the coordinates.

    Shapes:
        X (N, C, ...), grid (N, ..., r) or regions (R, 4 or 5) -> Y (N or R, C, ...).

    Source: https://onnx.ai/onnx/operators/onnx__GridSample.html
    """
    x, shape = call.axes(), call.output_shapes[0]
    frozen = freeze_axes(x, [0, *range(2, x.rank)], SAMPLED)
    frozen += _coordinates(call, range(1, len(call.inputs)))
    ids = (None, x.ids[1], *(None,) * (len(shape) - 2))
    return Coupling((Axes(shape, ids),), frozen=frozen)


def _coordinates(call: Call, positions: Iterable[int]) -> tuple[Freeze, ...]:
    frozen: tuple[Freeze, ...] = ()
    for position in positions:
        operand = call.optional(position)
        if operand is not None:
            frozen += freeze_axes(operand.axes, range(operand.axes.rank), COORDINATES)
    return frozen


@op_rule("AffineGrid", since=20)
def couple_affine_grid(call: Call) -> Coupling:
    """Make coordinates from matrices; the number of channels in ``size`` is not used.

    Shapes:
        theta (N, r, r + 1), size (r + 2) -> grid (N, ..., r).

    Source: https://onnx.ai/onnx/operators/onnx__AffineGrid.html
    """
    sizes = call.operand(1).sizes
    # Let element 1, the channels, follow them wherever it comes from; nobody reads it.
    counted = () if sizes is None else sizes.reshape(-1)[1].ids
    return Coupling(
        (Axes.inert(call.output_shapes[0]),),
        frozen=_coordinates(call, [0]),
        demands=tuple(Demand(1, 1, ids) for ids in counted[:1]),
        dropped=(call.axes(1).flat(),),
    )


@op_rule("MaxUnpool", since=9)
def couple_max_unpool(call: Call) -> Coupling:
    """Freeze all: the indices number positions through all channels.

    Shapes:
        X (N, C, ...), indices (N, C, ...), shape (r) -> Y (N, C, ...).

    Source: https://onnx.ai/onnx/operators/onnx__MaxUnpool.html
    """
    frozen: tuple[Freeze, ...] = ()
    for position in (0, 1):
        axes = call.axes(position)
        frozen += freeze_axes(axes, range(axes.rank), "numbers its positions through all channels")
    return Coupling((Axes.inert(call.output_shapes[0]),), frozen=frozen)


@op_rule("Col2Im", since=18)
def couple_col2im(call: Call) -> Coupling:
    """Tie the columns that are folded into one channel.

    Shapes:
        X (N, C*k, L), image size (r), block size (r) -> Y (N, C, ...), k positions in a block.

    Source: https://onnx.ai/onnx/operators/onnx__Col2Im.html
    """
    x, shape = call.axes(), call.output_shapes[0]
    columns = x.at(1).reshape(shape[1], -1).T
    frozen = freeze_axes(x, [2], "folds this axis into an image")
    for operand in call.inputs[1:]:
        frozen += () if operand is None else freeze_axes(operand.axes, [0], "")
    ids = (x.ids[0], columns[0], *(None,) * (len(shape) - 2))
    return Coupling((Axes(shape, ids),), tie_rows(columns.reshape(-1), len(columns)), frozen)


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
