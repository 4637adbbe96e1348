"""Operators that sample maps, at the places of a grid or in regions, channel by channel."""

from __future__ import annotations

from collections.abc import Iterable

from wrg_onnx.channels.answers import Coupling, Demand, Freeze, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.table import op_rule

SAMPLED = "samples between positions of this axis"
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
