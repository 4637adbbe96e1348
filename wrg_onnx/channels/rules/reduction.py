"""Reductions: to one, to the k largest, or step by step along an axis.

They are fine over height and width, and binding over channels.
"""

from __future__ import annotations

from dataclasses import replace

from wrg_onnx.channels.answers import Coupling, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.couplings import freeze_along, freeze_whole
from wrg_onnx.channels.reasons import Kind, Why
from wrg_onnx.channels.rules.normalisation import take_statistics
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import Traits, op_traits

REDUCED = "reduces over this axis"


@op_rule("ReduceLogSumExp", "ReduceMax", "ReduceMin", "ReduceProd", since=1)
def couple_reduce(call: Call) -> Coupling:
    """Freeze live axes that are reduced; the others pass.

    Shapes:
        X (...) -> Y (the same with 1 at the reduced axes, or without them).

    Source: https://onnx.ai/onnx/operators/onnx__ReduceMean.html
    """
    return _reduce_named(call)


@op_rule("ReduceLogSum", "ReduceSum", since=1)
def couple_sum(call: Call) -> Coupling:
    """Sum zeros up along a live axis that is zero where its units are; freeze another one.

    Shapes:
        X (...) -> Y (the same with 1 at the reduced axes, or without them).

    Source: https://onnx.ai/onnx/operators/onnx__ReduceSum.html
    """
    return _sum_zeros(call, _reduce_named(call))


@op_rule("ReduceL1", "ReduceL2", "ReduceMean", "ReduceSumSquare", since=1)
def couple_statistics(call: Call) -> Coupling:
    """Freeze live axes that are reduced to a mean or a length; the others pass.

    Normalisations are written with these where there is no operator for them. A length is a sum:
    zeros along an axis do not count.

    Shapes:
        X (...) -> Y (the same with 1 at the reduced axes, or without them).

    Source: https://onnx.ai/onnx/operators/onnx__ReduceMean.html
    """
    found = _reduce_named(call)
    if call.node.op != "ReduceMean":
        found = _sum_zeros(call, found)
    axes = _reduced_axes(call, call.axes().rank)
    if axes is None or not found.frozen:
        return found
    if found.contracted:
        axes = tuple(axis for axis in axes if call.operand(0).zeroed_by(axis) is None)
    text = Why(REDUCED, Kind.NORMALISED)
    frozen, statistics = take_statistics(call, call.axes(), axes, keeps_axes=False, text=text)
    gone = (call.axes().flat(axes),) if statistics else ()
    return replace(found, frozen=frozen, statistics=statistics, dropped=(*found.dropped, *gone))


def _reduce_named(call: Call) -> Coupling:
    x = call.axes()
    axes = _reduced_axes(call, x.rank)
    if axes is None:
        return Coupling(
            tuple(Axes.inert(shape) for shape in call.output_shapes),
            frozen=freeze_axes(x, range(x.rank), "reduces over axes computed at run time"),
        )
    return _reduce(call, axes)


def _sum_zeros(call: Call, found: Coupling) -> Coupling:
    """Let positions go along reduced axes where what is summed up is zero once its unit is."""
    x = call.operand(0)
    axes = _reduced_axes(call, x.axes.rank)
    live = [axis for axis in axes or () if x.axes.ids[axis] is not None]
    by_axis = {axis: x.zeroed_by(axis) for axis in live}
    zeroed = {axis: ids for axis, ids in by_axis.items() if ids is not None}
    if not zeroed:
        return found
    rest = freeze_axes(x.axes, [axis for axis in live if axis not in zeroed], REDUCED)
    gone = tuple(x.axes.at(axis) for axis in zeroed)
    return replace(found, frozen=rest, contracted=tuple(zeroed.values()), dropped=gone)


@op_rule("ArgMax", "ArgMin", since=1)
def couple_arg(call: Call) -> Coupling:
    """Freeze the axis whose positions are numbered.

    Shapes:
        X (...) -> Y (the same with 1 at the axis, or without it).
    """
    rank = call.axes().rank
    return _reduce(call, (call.node.axis("axis", rank=rank, default=0),))


def _reduced_axes(call: Call, rank: int) -> tuple[int, ...] | None:
    attribute = call.node.attributes.get("axes")
    if isinstance(attribute, tuple):
        return tuple(int(axis) % rank for axis in attribute)
    if call.optional(1) is None:
        return () if call.node.int("noop_with_empty_axes", 0) else tuple(range(rank))
    axes = call.integers(1)
    if axes is None:
        return None
    if not axes:
        return () if call.node.int("noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(axis % rank for axis in axes)


def _reduce(call: Call, axes: tuple[int, ...]) -> Coupling:
    x, shape = call.axes(), call.output_shapes[0]
    if call.node.int("keepdims", 1) == 1:
        ids = tuple(None if axis in axes else x.ids[axis] for axis in range(x.rank))
    else:
        ids = tuple(x.ids[axis] for axis in range(x.rank) if axis not in axes)
    return Coupling((Axes(shape, ids),), frozen=freeze_axes(x, axes, REDUCED))


@op_rule("CumSum", since=11)
@op_rule("CumProd", since=26)
def couple_cumulative(call: Call) -> Coupling:
    """Freeze the axis that is summed or multiplied up; the others pass.

    Shapes:
        X (...), axis () -> Y (...).

    Source: https://onnx.ai/onnx/operators/onnx__CumSum.html
    """
    axis = call.integers(1)
    if axis is None:
        return freeze_whole(call, "accumulates over an axis computed at run time")
    return freeze_along(call, [axis[0] % call.axes().rank], "accumulates over this axis")


@op_rule("TopK", since=1)
def couple_top_k(call: Call) -> Coupling:
    """Freeze the axis whose values are ranked; the others pass, to the indices as well.

    Shapes:
        X (..., n, ...) -> values (..., k, ...), indices (..., k, ...).

    Source: https://onnx.ai/onnx/operators/onnx__TopK.html
    """
    axis = call.node.axis("axis", rank=call.axes().rank, default=-1)
    return freeze_along(call, [axis], "ranks the values along this axis")


op_traits(Traits(every_position_alike=True), "ReduceMax", "ReduceMean", "ReduceSum")
op_traits(Traits(sums_mask=True), "CumSum")
