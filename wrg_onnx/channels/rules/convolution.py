"""Convolutions: where filters make channels, and where channels are consumed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from wrg_onnx.channels.answers import (
    Coupling,
    Freeze,
    ShapeConflictError,
    Tie,
    freeze_axes,
    tie_rows,
)
from wrg_onnx.channels.axes import WHOLE_GROUPS, Axes, Call
from wrg_onnx.channels.heads import heads_in_block
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.table import Derived, derivation, op_rule
from wrg_onnx.channels.traits import LayerForm, LengthProduct, Traits, all_axes, op_traits
from wrg_onnx.channels.units import Analysed

CONVOLVED = "convolves over this axis"
IN_EVERY_GROUP = "uses these filters in every group"
OFFSETS = "reads offsets from this axis"
TWO_ACTIVATIONS = "convolves one activation with another over this axis"


@op_rule("Conv", since=1)
def couple_conv(call: Call) -> Coupling:
    """Make channels from filters; tie the input's channels to what the weight consumes.

    Shapes:
        X (N, g*ci, ...), W (g*co, ci, k...), B (g*co) -> Y (N, g*co, ...).

    A grouped convolution loses equal positions of all its groups, which stay equally wide, or whole
    groups, each with all that it reads and makes. A depthwise one (ci = 1) has groups alone.

    Source: https://onnx.ai/onnx/operators/onnx__Conv.html
    """
    w = call.axes(1)
    groups = _groups(call, w.shape[0])
    filters, channels = w.at(0), call.axes(0).at(1)
    if len(channels) != groups * w.shape[1]:
        raise ShapeConflictError(
            f"{groups} groups of {w.shape[1]} channels, of an input that has {len(channels)}"
        )
    if _loses_groups(call, w.shape[1], groups):
        ties = _tie_groups(channels, filters, groups)
        made = _make_channels(call, filters, ties, None).also(frozen=freeze_axes(w, [1], ""))
    else:
        # channels: (g * ci) seen as g rows of ci, each row meets the same W.1
        ties = [Tie(row, w.at(1)) for row in channels.reshape(groups, -1)]
        ties += tie_rows(filters, groups)
        made = _make_channels(call, filters, ties, w.at(1))
    return _tell_form(call, made, w.shape[1], groups)


@op_rule("DeformConv", since=19)
def couple_deform_conv(call: Call) -> Coupling:
    """Make channels from filters as Conv does; the offsets stay, and hold how channels share them.

    Shapes:
        X (N, g*ci, H, W), W (g*co, ci, k...), offset (N, d*r, ...), B (g*co), mask (N, d*k, ...)
        -> Y (N, g*co, ...).

    With more than one offset group d, equal parts of the channels move by offsets of their own.

    Source: https://onnx.ai/onnx/operators/onnx__DeformConv.html
    """
    x, w, *moves = (call.operand(0), call.operand(1), call.optional(2), call.optional(4))
    plain = couple_conv(replace(call, inputs=(x, w, call.optional(3))))
    frozen: tuple[Freeze, ...] = ()
    for operand in moves:
        if operand is not None:
            frozen += freeze_axes(operand.axes, range(operand.axes.rank), OFFSETS)
    if call.node.int("offset_group", 1) > 1:
        frozen += freeze_axes(x.axes, [1], "moves parts of this axis by offsets of their own")
    return plain.also(frozen=frozen)


@op_rule("ConvTranspose", since=1)
def couple_conv_transpose(call: Call) -> Coupling:
    """Make channels from the weight's second axis; tie the input's channels to its first.

    Shapes:
        X (N, g*ci, ...), W (g*ci, co, k...), B (g*co) -> Y (N, g*co, ...).

    With groups it loses equal positions of all of them or whole ones, as Conv does.

    Source: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html
    """
    w = call.axes(1)
    groups = _groups(call, w.shape[0])
    inputs = w.shape[0] // groups
    ties = [Tie(call.axes(0).at(1), w.at(0))]
    if _loses_groups(call, inputs, groups):
        filters = w.at(0).reshape(groups, -1)[:, 0].repeat(w.shape[1])
        ties += _tie_groups(w.at(0), filters, groups)
        # Where it has the choice, the position in a group is no channel while groups are.
        shared = freeze_axes(w, [1], IN_EVERY_GROUP if inputs == 1 else "")
        made = _make_channels(call, filters, ties, None).also(frozen=shared)
    else:
        ties += tie_rows(w.at(0), groups)
        made = _make_channels(call, np.tile(w.at(1), groups), ties, w.at(0))
    return _tell_form(call, made, inputs, groups)


def _groups(call: Call, length: int) -> int:
    """Return into how many groups the weight's first axis is divided."""
    groups = call.node.int("group", 1)
    if groups < 1 or length % groups:
        raise ShapeConflictError(f"{groups} groups, and a weight of {length} rows")
    return groups


def _loses_groups(call: Call, inputs_per_group: int, groups: int) -> bool:
    return _is_depthwise(inputs_per_group, groups) or (groups > 1 and WHOLE_GROUPS in call.carriers)


def _is_depthwise(inputs_per_group: int, groups: int) -> bool:
    return groups > 1 and inputs_per_group == 1


def _tie_groups(read: IdArray, made: IdArray, groups: int) -> list[Tie]:
    """Tie all that a group reads and makes: (g*ci) and (g*co) ids, group by group."""
    first, ties = heads_in_block(read, groups)
    return [*ties, Tie(first.repeat(len(made) // groups), made)]


def _tell_form(call: Call, made: Coupling, inputs_per_group: int, groups: int) -> Coupling:
    """Say that a grouped convolution could lose groups as well as positions of them."""
    if groups == 1 or inputs_per_group == 1:
        return made
    loses = "whole groups" if WHOLE_GROUPS in call.carriers else "equal positions of all groups"
    return replace(
        made,
        in_groups=np.concatenate([call.axes(0).at(1), made.outputs[0].at(1)]),
        choice=f"of {groups} groups x {inputs_per_group} channels, {loses} go",
    )


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
    contracted: tuple[IdArray, ...] = ()
    if consumed is not None and not call.operand(1).is_weight:
        # without a weight there is nothing to zero, so what is summed over stays, unless one of
        # the two is zero there: a weight times what an activation makes of it (a style)
        silenced = call.operand(1).zeroed_along(consumed)
        if silenced is None:
            silenced = call.operand(0).zeroed_along(x.at(1))
        if silenced is None:
            frozen += (Freeze(consumed, TWO_ACTIVATIONS), *freeze_axes(x, [1], TWO_ACTIVATIONS))
        else:
            contracted = (silenced,)
        consumed = None
    shape = call.output_shapes[0]
    ids = (None, filters, *(None,) * (len(shape) - 2))
    return Coupling(
        (Axes(shape, ids),),
        tuple(ties),
        frozen,
        filters=(filters,),
        consumed=() if consumed is None else (consumed,),
        contracted=contracted,
    )


@derivation("Conv", "ConvTranspose", "DeformConv", since=1)
def derive_group(call: Call, _outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the groups that are left of a convolution that loses whole ones."""
    groups = call.node.int("group", 1)
    w = call.axes(1)
    is_transposed = call.node.op == "ConvTranspose"
    inputs_per_group = w.shape[0] // groups if is_transposed else w.shape[1]
    if not _loses_groups(call, inputs_per_group, groups):
        return Derived()
    left = alive(call.axes(0).at(1)).reshape(groups, -1)[:, 0]
    return Derived(attributes={"group": int(left.sum())})


@op_rule("CausalConvWithState", since=27)
def couple_causal_conv(call: Call) -> Coupling:
    """Tie the channels to their kernels, biases and states, as a depthwise convolution does.

    Shapes:
        X (N, C, L), W (C, 1, k), B (C), past (N, C, k-1) -> Y (N, C, L), present (N, C, k-1).

    Source: https://onnx.ai/onnx/operators/onnx__CausalConvWithState.html
    """
    x, w = call.axes(0), call.axes(1)
    channels, reason = x.at(1), "convolves over this axis"
    ties = [Tie(channels, w.at(0))]
    frozen = freeze_axes(x, [0, 2], reason) + freeze_axes(w, [2], "")
    bias, past = call.optional(2), call.optional(3)
    if bias is not None:
        ties.append(Tie(channels, bias.axes.at(0)))
    if past is not None:
        ties.append(Tie(channels, past.axes.at(1)))
        frozen += freeze_axes(past.axes, [0, 2], reason)
    outputs = tuple(Axes(s, (None, channels, None)[: len(s)]) for s in call.output_shapes)
    return Coupling(outputs, tuple(ties), frozen, filters=(w.at(0),))


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


def count_convolution(
    analysed: Analysed, *, channels_last: bool = False
) -> Iterator[LengthProduct]:
    """Apply the whole weight at each position of the output.

    Args:
        analysed: The node.
        channels_last: Whether the channels are on the last axis; its attribute may say so, too.
    """
    y = analysed.outputs[0]
    channels_last = channels_last or bool(analysed.call.node.int("channels_last", 0))
    places = range(y.rank - 1) if channels_last else (0, *range(2, y.rank))
    yield [all_axes(analysed.call.axes(1)), (y, places)]


def _count_transposed(analysed: Analysed) -> Iterator[LengthProduct]:
    """Apply the whole weight at each position of the input."""
    x = analysed.call.axes(0)
    yield [all_axes(analysed.call.axes(1)), (x, (0, *range(2, x.rank)))]


op_traits(Traits(layer=LayerForm.LINEAR, zero_at_factor=True), "Conv", "ConvTranspose")
op_traits(Traits(layer=LayerForm.SAMPLED), "DeformConv")
op_traits(Traits(multiplications=count_convolution), "Conv", "DeformConv")
op_traits(Traits(multiplications=_count_transposed), "ConvTranspose")
op_traits(Traits(per_channel=(2,)), "Conv", "ConvTranspose")
op_traits(Traits(scale_and_bias=True), "Conv")
