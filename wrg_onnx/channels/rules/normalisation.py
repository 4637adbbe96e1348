"""Normalisations: harmless per channel, binding across channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from wrg_onnx.channels.answers import (
    Coupling,
    Freeze,
    Statistics,
    Tie,
    broadcast,
    freeze_axes,
    tie_rows,
)
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.reasons import Kind, Why
from wrg_onnx.channels.table import Derived, derivation, op_rule
from wrg_onnx.channels.traits import ChannelScale, ScaleQuestion, Traits, op_traits

NORMALISED = Why("normalises over this axis", Kind.NORMALISED)


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
    statistics: Statistics | None = None
    if call.node.op == "InstanceNormalization":
        frozen, statistics = take_statistics(call, x, range(2, x.rank))
    elif call.node.int("training_mode", 0):
        frozen = freeze_axes(x, [a for a in range(x.rank) if a != axis], NORMALISED)
    # running and saved statistics, one number per channel
    rest = tuple(Axes(shape, (channels,) if shape else ()) for shape in call.output_shapes[1:])
    return Coupling((made, *rest), ties, frozen, statistics=statistics)


def take_statistics(
    call: Call,
    x: Axes,
    axes: Iterable[int],
    *,
    keeps_axes: bool = True,
    text: str = NORMALISED,
) -> tuple[tuple[Freeze, ...], Statistics | None]:
    """Say what becomes of axes that a node takes statistics over: they stay, unless they may go.

    Args:
        call: The node.
        x: The axes of its first input.
        axes: Those that make the statistics.
        keeps_axes: Whether its first output has them, too.
        text: What it does there.

    Returns:
        What is frozen, and the statistics that fewer positions would change, if they may.
    """
    over = tuple(axes)
    if not call.through_norms:
        return freeze_axes(x, over, text), None
    live = tuple((0, axis) for axis in over if x.ids[axis] is not None)
    return (), Statistics(live, live if keeps_axes else ()) if live else None


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
    parameters = [(p, o.axes) for p, o in enumerate(call.inputs) if p and o is not None]
    leading = (*x.ids[:axis], *(None,) * (x.rank - axis))
    rest = tuple(Axes(shape, leading if shape else ()) for shape in call.output_shapes[1:])
    if call.through_norms:
        made, ties, statistics = normalise_fewer(x, range(axis, x.rank), parameters)
        return Coupling((made, *rest), ties, statistics=statistics)
    reach = max([x.rank - axis, *(own.rank for _, own in parameters)])
    frozen = freeze_axes(x, range(x.rank - reach, x.rank), NORMALISED)
    for _, own in parameters:
        frozen += freeze_axes(own, range(own.rank), NORMALISED)
    return Coupling((x, *rest), frozen=frozen)


def normalise_fewer(
    x: Axes, axes: Iterable[int], parameters: Sequence[tuple[int, Axes]]
) -> tuple[Axes, tuple[Tie, ...], Statistics | None]:
    """Let positions go that are normalised, with those of scales and biases.

    Args:
        x: The axes of what is normalised, the first input.
        axes: Those that are normalised.
        parameters: By input position, the axes of what broadcasts to it.

    Returns:
        The axes of the output, what is tied, and the statistics.
    """
    made, ties = broadcast([x, *(own for _, own in parameters)], x.shape)
    over = []
    for position, own in ((0, x), *parameters):
        first = x.rank - own.rank
        over += [
            (position, axis - first)
            for axis in axes
            if axis >= first and own.shape[axis - first] > 1 and made.ids[axis] is not None
        ]
    carried = tuple((0, axis) for axis in axes if made.ids[axis] is not None)
    return made, ties, Statistics(tuple(over), carried) if over else None


@op_rule("LRN", since=1)
def couple_neighbours(call: Call) -> Coupling:
    """Freeze the channels: each is scaled by its neighbours.

    Shapes:
        X (N, C, ...) -> Y (N, C, ...).
    """
    x = call.axes()
    return Coupling((x,), frozen=freeze_axes(x, [1], "scales by neighbours along this axis"))


@op_rule("LpNormalization", since=1)
def couple_lp_norm(call: Call) -> Coupling:
    """Freeze the axis whose length is brought to one; the others pass.

    Shapes:
        X (...) -> Y (...).

    Source: https://onnx.ai/onnx/operators/onnx__LpNormalization.html
    """
    x = call.axes()
    axis = call.node.axis("axis", rank=x.rank, default=-1)
    frozen, statistics = take_statistics(call, x, [axis])
    return Coupling((x,), frozen=frozen, statistics=statistics)


@op_rule("GroupNormalization", since=18)
def couple_group_norm_by_group(call: Call) -> Coupling:
    """Tie the channels of a group, which goes as a whole, to its one scale and bias.

    Shapes:
        X (N, g*c, ...), scale (g), bias (g) -> Y (N, g*c, ...).

    Source: https://onnx.ai/onnx/operators/onnx__GroupNormalization.html
    """
    if call.through_norms:
        return _thinned_groups(call, scaled=False)
    return _group_norm(call, _groups(call)[:, 0])


@op_rule("GroupNormalization", since=21)
def couple_group_norm(call: Call) -> Coupling:
    """Tie the channels of a group, which goes as a whole, to their scales and biases.

    Shapes:
        X (N, g*c, ...), scale (g*c), bias (g*c) -> Y (N, g*c, ...).

    Source: https://onnx.ai/onnx/operators/onnx__GroupNormalization.html
    """
    if call.through_norms:
        return _thinned_groups(call, scaled=True)
    return _group_norm(call, call.axes().at(1))


def _groups(call: Call) -> IdArray:
    """Return the ids of the channels, one row per group."""
    return call.axes().at(1).reshape(call.node.int("num_groups"), -1)


def _group_norm(call: Call, scaled: IdArray) -> Coupling:
    """Tie groups and parameters; a group's statistics are all that its channels share."""
    x = call.axes()
    groups = _groups(call)
    ties = [Tie(groups[:, 0], column) for column in groups[:, 1:].T]
    ties += [Tie(scaled, p.axes.at(0)) for p in call.inputs[1:] if p is not None]
    made = Axes(x.shape, (x.ids[0], x.at(1), *x.ids[2:]))
    across = range(2 if len(groups) > 1 else 1, x.rank)
    return Coupling((made,), tuple(ties), freeze_axes(x, across, NORMALISED))


def _thinned_groups(call: Call, *, scaled: bool) -> Coupling:
    """Tie the same position across groups, which stay and are normalised over what is left."""
    x = call.axes()
    made = Axes(x.shape, (x.ids[0], x.at(1), *x.ids[2:]))
    places = [(0, axis) for axis in range(1, x.rank) if made.ids[axis] is not None]
    parameters = [(p, o.axes) for p, o in enumerate(call.inputs) if p and o is not None]
    ties = list(tie_rows(x.at(1), call.node.int("num_groups")))
    frozen: tuple[Freeze, ...] = ()
    if scaled:
        ties += [Tie(x.at(1), own.at(0)) for _, own in parameters]
    else:
        for _, own in parameters:
            frozen += freeze_axes(own, [0], "has one number for each group")
    over = (*places, *((position, 0) for position, _ in parameters if scaled))
    return Coupling((made,), tuple(ties), frozen, statistics=Statistics(over, tuple(places)))


@derivation("GroupNormalization", since=18)
def derive_num_groups(call: Call, _outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the groups that are left; thinned ones all are."""
    if call.through_norms:
        return Derived()
    kept = int(alive(_groups(call)[:, 0]).sum())
    return Derived(attributes={} if kept == call.node.int("num_groups") else {"num_groups": kept})


@op_rule("RMSNormalization", since=23)
def couple_rms_norm(call: Call) -> Coupling:
    """Freeze the axes that are normalised, from ``axis`` on; the scale meets the others.

    Shapes:
        X (..., C), scale broadcastable to X -> Y (..., C).

    Source: https://onnx.ai/onnx/operators/onnx__RMSNormalization.html
    """
    x, scale = call.axes(0), call.axes(1)
    first = call.node.axis("axis", rank=x.rank, default=-1)
    if call.through_norms:
        thinned, tied, statistics = normalise_fewer(x, range(first, x.rank), [(1, scale)])
        return Coupling((thinned,), tied, statistics=statistics)
    frozen = freeze_axes(x, range(first, x.rank), NORMALISED)
    # counted from the end, as the scale is aligned
    normalised = range(max(0, first - x.rank + scale.rank), scale.rank)
    frozen += freeze_axes(scale, normalised, NORMALISED)
    leading = Axes(x.shape, (*x.ids[:first], *(None,) * (x.rank - first)))
    own = tuple(None if axis in normalised else i for axis, i in enumerate(scale.ids))
    joined, ties = broadcast([leading, Axes(scale.shape, own)], x.shape)
    made = Axes(x.shape, (*joined.ids[:first], *x.ids[first:]))
    return Coupling((made,), ties, frozen)


@op_rule("MeanVarianceNormalization", since=9)
def couple_mean_variance(call: Call) -> Coupling:
    """Freeze the axes that are normalised, batch, height and width by default; the others pass.

    Shapes:
        X (...) -> Y (...).

    Source: https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html
    """
    x = call.axes()
    axes = [axis % x.rank for axis in call.node.ints("axes", (0, 2, 3))]
    frozen, statistics = take_statistics(call, x, axes)
    return Coupling((x,), frozen=frozen, statistics=statistics)


def _scale_by_statistics(question: ScaleQuestion) -> ChannelScale | None:
    """Take the scale of a BatchNormalization over the deviation that it divides by."""
    node, constants = question.node, question.constants
    if question.place or question.axis != 1 or node.int("training_mode", 0):
        return None
    scale, variance = constants[1], constants[4]
    if scale is None or variance is None:
        return None
    if scale.ndim != 1 or variance.ndim != 1:  # opset 7 has a form with one of each per place
        return None
    epsilon = node.attributes.get("epsilon", 1e-5)
    assert isinstance(epsilon, float), node
    spread = variance.astype(np.float64) + epsilon
    if not (spread > 0).all():
        return None
    return ChannelScale(np.abs(scale.astype(np.float64)) / np.sqrt(spread), question.axis)


op_traits(
    Traits(
        continues_layer=True,
        zero_at_zero=True,
        per_channel=(1, 2, 3, 4),
        never_infinite=(1, 3, 4),
        variance=4,
        scale_and_bias=True,
        gain=_scale_by_statistics,
    ),
    "BatchNormalization",
)
op_traits(Traits(per_channel=(1, 2)), "InstanceNormalization", "LayerNormalization")
op_traits(
    Traits(never_infinite=(1,)),
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "SimplifiedLayerNormalization",
)
op_traits(Traits(every_position_alike=True), "LayerNormalization")
