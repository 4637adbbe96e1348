"""Normalisations as ONNX Runtime's optimiser fuses them with embeddings and skip connections.

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Sequence

from wrg_onnx.channels.answers import Coupling, Freeze, Statistics, Tie, broadcast, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.rules.normalisation import NORMALISED, normalise_fewer
from wrg_onnx.channels.table import MICROSOFT, op_rule
from wrg_onnx.channels.traits import Traits, op_traits
from wrg_onnx.graph import Shape


@op_rule("SkipLayerNormalization", since=1, domain=MICROSOFT)
def couple_skip_layer_norm(call: Call) -> Coupling:
    """Tie what is added, and freeze the axis that is normalised.

    Shapes:
        X (B, S, C), skip (B, S, C) or (1, S, C) or (S, C), gamma (C), beta (C), bias (C)
        -> Y (B, S, C), mean (B, S, 1), inverse deviation (B, S, 1), sum (B, S, C).
    """
    return _normalise_sum(call, added=(0, 1, 4), scales=(2, 3))


@op_rule("SkipSimplifiedLayerNormalization", since=1, domain=MICROSOFT)
def couple_skip_simplified_layer_norm(call: Call) -> Coupling:
    """Tie what is added, and freeze the axis that is normalised.

    Shapes:
        X (B, S, C), skip (B, S, C), gamma (C), bias (C)
        -> Y (B, S, C), mean (B, S, 1), inverse deviation (B, S, 1), sum (B, S, C).
    """
    return _normalise_sum(call, added=(0, 1, 3), scales=(2,))


def _normalise_sum(call: Call, added: tuple[int, ...], scales: tuple[int, ...]) -> Coupling:
    x = call.axes()
    present = [(p, term.axes) for p in added if (term := call.optional(p)) is not None]
    parameters = [(p, scale.axes) for p in scales if (scale := call.optional(p)) is not None]
    joined, ties = broadcast([own for _, own in present], x.shape)
    if call.through_norms:
        made, tied, statistics = normalise_fewer(joined, [x.rank - 1], [*present, *parameters])
        outputs = [_along(made, shape) for shape in call.output_shapes]
        return Coupling(tuple(outputs), tied, statistics=_at_all(statistics, outputs))
    frozen = freeze_axes(joined, [x.rank - 1], NORMALISED)
    for _, own in parameters:
        frozen += freeze_axes(own, range(own.rank), NORMALISED)
    outputs = [_along(joined, shape) for shape in call.output_shapes]
    return Coupling(tuple(outputs), ties, frozen)


def _at_all(statistics: Statistics | None, outputs: Sequence[Axes]) -> Statistics | None:
    """Say that all outputs carry the last axis but those that are statistics."""
    if statistics is None:
        return None
    carried = [
        (position, made.rank - 1)
        for position, made in enumerate(outputs)
        if made.rank and made.ids[-1] is not None
    ]
    return Statistics(tuple(dict.fromkeys(statistics.over)), tuple(carried))


def _along(joined: Axes, shape: Shape) -> Axes:
    """Give an output the ids of the axes that it shares with the sum: statistics lack the last."""
    if not shape:
        return Axes.inert(shape)
    pairs = zip(shape, joined.shape, joined.ids, strict=True)
    return Axes(shape, tuple(ids if size == whole else None for size, whole, ids in pairs))


@op_rule("EmbedLayerNormalization", since=1, domain=MICROSOFT)
def couple_embed_layer_norm(call: Call) -> Coupling:
    """Tie the columns of the tables, and freeze them: their sum is normalised.

    Shapes:
        ids (B, S), segments (B, S), word, position and segment tables (rows, C), gamma (C),
        beta (C), mask (B, S), positions (B, S) -> Y (B, S, C), mask index (B), sum (B, S, C).
    """
    shape = call.output_shapes[0]
    tables = [table.axes for table in map(call.optional, (2, 3, 4)) if table is not None]
    columns, ties = broadcast([Axes(t.shape[1:], t.ids[1:]) for t in tables], shape[-1:])
    if call.through_norms:
        return _thinned_embedding(call, columns)
    frozen = freeze_axes(columns, [0], NORMALISED)
    for table in tables:
        frozen += freeze_axes(table, [0], "picks positions by indices computed at run time")
    for scale in map(call.optional, (5, 6)):
        if scale is not None:
            frozen += freeze_axes(scale.axes, [0], NORMALISED)
    made = Axes(shape, (None, None, columns.ids[0]))
    rest = [made if other == shape else Axes.inert(other) for other in call.output_shapes[1:]]
    return Coupling((made, *rest), ties, frozen)


def _thinned_embedding(call: Call, columns: Axes) -> Coupling:
    """Let columns of the tables go, with their scales and biases."""
    shape = call.output_shapes[0]
    tables = [(p, table.axes) for p in (2, 3, 4) if (table := call.optional(p)) is not None]
    scales = [(p, scale.axes) for p in (5, 6) if (scale := call.optional(p)) is not None]
    ids = columns.at(0)
    ties = [Tie(ids, own.at(own.rank - 1)) for _, own in (*tables, *scales)]
    frozen: tuple[Freeze, ...] = ()
    for _, own in tables:
        frozen += freeze_axes(own, [0], "picks positions by indices computed at run time")
    made = Axes(shape, (None, None, ids))
    outputs = [made if other == shape else Axes.inert(other) for other in call.output_shapes]
    over = tuple((position, own.rank - 1) for position, own in (*tables, *scales))
    statistics = _at_all(Statistics(over), outputs)
    return Coupling(tuple(outputs), tuple(ties), frozen, statistics=statistics)


@op_rule("GroupNorm", "SkipGroupNorm", since=1, domain=MICROSOFT)
def couple_group_norm(call: Call) -> Coupling:
    """Freeze what is normalised: each group of channels, over all positions.

    Shapes:
        X (N, H, W, C), or (N, C, H, W) without ``channels_last``, gamma (C), beta (C),
        skip like X or (N, 1, 1, C) or (N, C), bias (C) -> Y like X, sum like X.
    """
    x = call.axes()
    frozen = freeze_axes(x, range(1, x.rank), NORMALISED)
    for operand in call.inputs[1:]:
        if operand is not None:
            frozen += freeze_axes(operand.axes, range(operand.axes.rank), NORMALISED)
    outputs = tuple(x if shape else Axes.inert(shape) for shape in call.output_shapes)
    return Coupling(outputs, frozen=frozen)


op_traits(Traits(look_ups={0: 2, 1: 4, 8: 3}), "EmbedLayerNormalization", domain=MICROSOFT)
