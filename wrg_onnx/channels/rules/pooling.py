"""Pools: they work inside each channel."""

from __future__ import annotations

from wrg_onnx.channels.answers import Coupling, Freeze, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import Traits, op_traits

POOLED = "pools over this axis"


@op_rule(
    "AveragePool",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "LpPool",
    "MaxPool",
    since=1,
)
def couple_pool(call: Call) -> Coupling:
    """Pass batch and channels; what is pooled over is inert.

    Shapes:
        X (N, C, ...) -> Y (N, C, ...), and for MaxPool the indices, which count through all of X.
    """
    x = call.axes()
    frozen = freeze_axes(x, range(2, x.rank), POOLED)
    outputs = []
    for position, shape in enumerate(call.output_shapes):
        if position and shape:
            frozen += freeze_axes(
                x, range(2), "returns or reads indices that count through all channels"
            )
        ids = (*x.ids[:2], *(None,) * (len(shape) - 2))
        outputs.append(Axes(shape, ids) if position == 0 else Axes.inert(shape))
    return Coupling(tuple(outputs), frozen=frozen)


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
        frozen += freeze_axes(
            axes, range(axes.rank), "returns or reads indices that count through all channels"
        )
    return Coupling((Axes.inert(call.output_shapes[0]),), frozen=frozen)


op_traits(Traits(moves_elements=True), "MaxPool")
