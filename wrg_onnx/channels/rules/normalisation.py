"""Normalisations: harmless per channel, binding across channels."""

from __future__ import annotations

from wrg_onnx.channels.axes import Axes, Call, Coupling, Freeze, Tie, freeze_axes
from wrg_onnx.channels.table import op_rule

NORMALISED = "normalises over this axis"


@op_rule("BatchNormalization", "InstanceNormalization", since=1)
def couple_per_channel(call: Call) -> Coupling:
    """Tie the channels to their scale, bias, mean and variance.

    Shapes:
        X (N, C, ...), scale (C), B (C), mean (C), var (C) -> Y (N, C, ...).

    Source: https://onnx.ai/onnx/operators/onnx__BatchNormalization.html
    """
    x = call.axes()
    axis = 1 if x.rank > 1 else 0
    channels = x.at(axis)
    ties = tuple(Tie(channels, p.axes.at(0)) for p in call.inputs[1:] if p is not None)
    made = Axes(x.shape, (*x.ids[:axis], channels, *x.ids[axis + 1 :]))
    frozen: tuple[Freeze, ...] = ()
    if call.node.op == "InstanceNormalization":
        frozen = freeze_axes(x, range(2, x.rank), NORMALISED)
    elif call.node.int("training_mode", 0):
        frozen = freeze_axes(x, [a for a in range(x.rank) if a != axis], NORMALISED)
    # running and saved statistics, one number per channel
    rest = tuple(Axes(shape, (channels,) if shape else ()) for shape in call.output_shapes[1:])
    return Coupling(outputs=(made, *rest), ties=ties, frozen=frozen)


@op_rule("Softmax", "LogSoftmax", "Hardmax", since=1)
def couple_softmax_flattened(call: Call) -> Coupling:
    """Freeze the axes that are normalised: from ``axis`` on, as opsets below 13 flatten.

    Shapes:
        X (...) -> Y (...).

    Source: https://onnx.ai/onnx/operators/onnx__Softmax.html
    """
    x = call.axes()
    axis = call.node.axis("axis", rank=x.rank, default=1)
    return Coupling((x,), frozen=freeze_axes(x, range(axis, x.rank), NORMALISED))


@op_rule("Softmax", "LogSoftmax", "Hardmax", since=13)
def couple_softmax(call: Call) -> Coupling:
    """Freeze the axis that is normalised.

    Shapes:
        X (...) -> Y (...).

    Source: https://onnx.ai/onnx/operators/onnx__Softmax.html
    """
    x = call.axes()
    axis = call.node.axis("axis", rank=x.rank, default=-1)
    return Coupling((x,), frozen=freeze_axes(x, [axis], NORMALISED))


@op_rule("LayerNormalization", "SimplifiedLayerNormalization", since=1)
def couple_layer_norm(call: Call) -> Coupling:
    """Freeze the axes that are normalised, from ``axis`` on.

    ONNX Runtime's optimiser writes both at any opset; the latter has no B and no mean.

    Shapes:
        X (..., C), scale (C), B (C) -> Y (..., C), mean and inverse deviation (..., 1).

    Source: https://onnx.ai/onnx/operators/onnx__LayerNormalization.html
    """
    x = call.axes()
    axis = call.node.axis("axis", rank=x.rank, default=-1)
    parameters = [p.axes for p in call.inputs[1:] if p is not None]
    reach = max([x.rank - axis, *(p.rank for p in parameters)])
    frozen = freeze_axes(x, range(x.rank - reach, x.rank), NORMALISED)
    for parameter in parameters:
        frozen += freeze_axes(parameter, range(parameter.rank), NORMALISED)
    leading = (*x.ids[:axis], *(None,) * (x.rank - axis))
    rest = tuple(Axes(shape, leading if shape else ()) for shape in call.output_shapes[1:])
    return Coupling((x, *rest), frozen=frozen)


@op_rule("LRN", "LpNormalization", since=1)
def couple_across_channels(call: Call) -> Coupling:
    """Freeze the channels: each is scaled by its neighbours.

    Shapes:
        X (N, C, ...) -> Y (N, C, ...).
    """
    x = call.axes()
    axis = 1 if call.node.op == "LRN" else call.node.axis("axis", rank=x.rank, default=-1)
    return Coupling((x,), frozen=freeze_axes(x, [axis], NORMALISED))
