"""Convolutions: where filters make channels, and where channels are consumed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from wrg_onnx.channels.axes import Axes, Call, Coupling, Freeze, Tie, freeze_axes, tie_rows
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.table import Derived, derivation, op_rule

CONVOLVED = "convolves over this axis"
TWO_ACTIVATIONS = "convolves one activation with another over this axis"


@op_rule("Conv", since=1)
def couple_conv(call: Call) -> Coupling:
    """Make channels from filters; tie the input's channels to what the weight consumes.

    Shapes:
        X (N, g*ci, ...), W (g*co, ci, k...), B (g*co) -> Y (N, g*co, ...).

    A grouped convolution ties the same position across its groups, so that they stay equally wide.
    A depthwise one (ci = 1) loses whole groups: an input channel goes with its co outputs.

    Source: https://onnx.ai/onnx/operators/onnx__Conv.html
    """
    w = call.axes(1)
    groups = call.node.int("group", 1)
    filters, channels = w.at(0), call.axes(0).at(1)
    if _is_depthwise(w.shape[1], groups):
        ties = [Tie(channels.repeat(len(filters) // groups), filters)]
        consumed = None
    else:
        # channels: (g * ci) seen as g rows of ci, each row meets the same W.1
        ties = [Tie(row, w.at(1)) for row in channels.reshape(groups, -1)]
        ties += tie_rows(filters, groups)
        consumed = w.at(1)
    return _make_channels(call, filters, ties, consumed)


@op_rule("ConvTranspose", since=1)
def couple_conv_transpose(call: Call) -> Coupling:
    """Make channels from the weight's second axis; tie the input's channels to its first.

    Shapes:
        X (N, g*ci, ...), W (g*ci, co, k...), B (g*co) -> Y (N, g*co, ...).

    The same position across groups is one unit, on both sides; a depthwise one (ci = 1) loses
    whole groups.

    Source: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html
    """
    w = call.axes(1)
    groups = call.node.int("group", 1)
    ties = [Tie(call.axes(0).at(1), w.at(0))]
    if _is_depthwise(w.shape[0] // groups, groups):
        shared = freeze_axes(w, [1], "uses these filters in every group")
        return _make_channels(call, w.at(0).repeat(w.shape[1]), ties, None).also(frozen=shared)
    ties += tie_rows(w.at(0), groups)
    return _make_channels(call, np.tile(w.at(1), groups), ties, w.at(0))


def _is_depthwise(inputs_per_group: int, groups: int) -> bool:
    return groups > 1 and inputs_per_group == 1


def _make_channels(
    call: Call, filters: IdArray, ties: Iterable[Tie], consumed: IdArray | None
) -> Coupling:
    """Finish a convolution: bias, kernel axes, and the axes of the output."""
    x, w = call.axes(0), call.axes(1)
    ties = list(ties)
    bias = call.optional(2)
    if bias is not None:
        ties.append(Tie(filters, bias.axes.at(0)))
    frozen = freeze_axes(w, range(2, w.rank), "")
    frozen += freeze_axes(x, [0, *range(2, x.rank)], CONVOLVED)
    if consumed is not None and not call.operand(1).is_weight:
        # without a weight there is nothing to zero, so what is summed over stays
        frozen += (Freeze(consumed, TWO_ACTIVATIONS), *freeze_axes(x, [1], TWO_ACTIVATIONS))
        consumed = None
    shape = call.output_shapes[0]
    ids = (None, filters, *(None,) * (len(shape) - 2))
    return Coupling(
        (Axes(shape, ids),),
        tuple(ties),
        frozen,
        filters=(filters,),
        consumed=() if consumed is None else (consumed,),
    )


@derivation("Conv", "ConvTranspose", since=1)
def derive_group(call: Call, _outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the groups that are left of a depthwise convolution."""
    groups = call.node.int("group", 1)
    w = call.axes(1)
    is_transposed = call.node.op == "ConvTranspose"
    inputs_per_group = w.shape[0] // groups if is_transposed else w.shape[1]
    if not _is_depthwise(inputs_per_group, groups):
        return Derived()
    return Derived(attributes={"group": int(alive(call.axes(0).at(1)).sum())})
