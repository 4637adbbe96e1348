"""Activations: one tensor in, one of the same shape out; some normalise over an axis."""

from __future__ import annotations

from wrg_onnx.channels.answers import Coupling, freeze_axes
from wrg_onnx.channels.axes import Call
from wrg_onnx.channels.rules.pointwise import couple_nary, couple_unary
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import Traits, op_traits

_UNARY = (
    "Celu", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Relu", "Selu",
    "Shrink", "Sigmoid", "Softplus", "Softsign", "Swish", "Tanh", "ThresholdedRelu",
)  # fmt: skip
_GATED = ("PRelu", "SwiGLU")
WEIGHED = "weighs the positions of this axis against each other"

op_rule(*_UNARY, since=1)(couple_unary)
op_rule(*_GATED, since=1)(couple_nary)
op_traits(Traits(is_pointwise=True, continues_layer=True), *_UNARY, *_GATED)
op_traits(Traits(every_position_alike=True), "LogSoftmax", "Softmax")
op_traits(
    Traits(zero_at_zero=True),
    "Celu", "Elu", "Gelu", "HardSwish", "LeakyRelu", "Mish", "Relu", "Selu", "Softsign", "Swish",
    "Tanh",
)  # fmt: skip
op_traits(Traits(per_channel=(0, 1)), "PRelu")


@op_rule("Softmax", "LogSoftmax", "Hardmax", since=1)
def couple_softmax_flattened(call: Call) -> Coupling:
    """Freeze the axes that are normalised: from ``axis`` on, as opsets below 13 flatten.

    Shapes:
        X (...) -> Y (...).

    Source: https://onnx.ai/onnx/operators/onnx__Softmax.html
    """
    x = call.axes()
    axis = call.node.axis("axis", rank=x.rank, default=1)
    return Coupling((x,), frozen=freeze_axes(x, range(axis, x.rank), WEIGHED))


@op_rule("Softmax", "LogSoftmax", "Hardmax", since=13)
def couple_softmax(call: Call) -> Coupling:
    """Freeze the axis that is normalised.

    Shapes:
        X (...) -> Y (...).

    Source: https://onnx.ai/onnx/operators/onnx__Softmax.html
    """
    x = call.axes()
    axis = call.node.axis("axis", rank=x.rank, default=-1)
    return Coupling((x,), frozen=freeze_axes(x, [axis], WEIGHED))
