"""Losses that a graph computes itself: the labels number the classes, which stay."""

from __future__ import annotations

from wrg_onnx.channels.answers import Coupling, broadcast, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import Traits, op_traits

LABELLED = "numbers its classes along this axis"
AVERAGED = "sums the loss up over this axis"


@op_rule("NegativeLogLikelihoodLoss", since=12)
def couple_negative_log_likelihood(call: Call) -> Coupling:
    """Freeze the classes, which the labels number, and what is summed up; the rest passes.

    Shapes:
        X (N, C, d...), labels (N, d...), weight (C) -> Y (N, d...), or () where it is summed up.

    Source: https://onnx.ai/onnx/operators/onnx__NegativeLogLikelihoodLoss.html
    """
    x, labels, weight = call.axes(0), call.axes(1), call.optional(2)
    frozen = freeze_axes(x, [1], LABELLED)
    if weight is not None:
        frozen += freeze_axes(weight.axes, [0], "weighs the classes along this axis")
    # Beside the classes, X and labels have the same axes: position by position one is the other's.
    places = Axes(labels.shape, (x.ids[0], *x.ids[2:]))
    joined, ties = broadcast([places, labels], labels.shape)
    if call.node.str("reduction", "mean") == "none":
        return Coupling((joined,), ties, frozen)
    frozen += freeze_axes(joined, range(joined.rank), AVERAGED)
    return Coupling((Axes.inert(()),), ties, frozen)


op_traits(Traits(per_channel=(2,)), "NegativeLogLikelihoodLoss")
