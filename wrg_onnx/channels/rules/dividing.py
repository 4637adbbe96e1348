"""Operators that join channels or take a part of them: the same operation on the id arrays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from wrg_onnx.channels.axes import Axes, Call, Coupling, Demand, Freeze, broadcast, freeze_axes
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.table import Derived, derivation, op_rule

RUN_TIME = "slices this axis at bounds computed at run time"


@op_rule("Concat", since=4)
def couple_concat(call: Call) -> Coupling:
    """Join the units along ``axis`` and tie the operands on every other axis.

    Shapes:
        X_k (..., n_k, ...) -> Y (..., sum of n_k, ...).

    Source: https://onnx.ai/onnx/operators/onnx__Concat.html
    """
    operands = [operand.axes for operand in call.inputs if operand is not None]
    shape = call.output_shapes[0]
    axis = call.node.axis("axis", rank=len(shape))
    others, ties = broadcast([_without(x, axis) for x in operands], _drop(shape, axis))
    joined = None
    if any(x.ids[axis] is not None for x in operands):
        joined = np.concatenate([x.at(axis) for x in operands])
    return Coupling((_insert(others, axis, shape, joined),), ties)


def _drop(values: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*values[:axis], *values[axis + 1 :])


def _without(axes: Axes, axis: int) -> Axes:
    return Axes(_drop(axes.shape, axis), (*axes.ids[:axis], *axes.ids[axis + 1 :]))


def _insert(others: Axes, axis: int, shape: tuple[int, ...], ids: np.ndarray | None) -> Axes:
    return Axes(shape, (*others.ids[:axis], ids, *others.ids[axis:]))


def _replace(axes: Axes, axis: int, shape: tuple[int, ...], ids: np.ndarray | None) -> Axes:
    return Axes(shape, (*axes.ids[:axis], ids, *axes.ids[axis + 1 :]))


@op_rule("Split", since=1)
def couple_split(call: Call) -> Coupling:
    """Give each output its part of the ids.

    Shapes:
        X (..., n, ...) -> Y_k (..., n_k, ...).

    Source: https://onnx.ai/onnx/operators/onnx__Split.html
    """
    x = call.axes()
    axis = call.node.axis("axis", rank=x.rank, default=0)
    bounds = np.cumsum([0, *(shape[axis] for shape in call.output_shapes)])
    if x.ids[axis] is None:
        return Coupling(tuple(_replace(x, axis, shape, None) for shape in call.output_shapes))
    parts = [x.at(axis)[a:b] for a, b in pairwise(bounds)]
    outputs = zip(call.output_shapes, parts, strict=True)
    demands = () if call.optional(1) is None else enumerate(parts)
    return Coupling(
        tuple(_replace(x, axis, shape, part) for shape, part in outputs),
        demands=tuple(Demand(1, number, part) for number, part in demands),
    )


@derivation("Split", since=1)
def derive_split(call: Call, outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Write the sizes of the parts where they are an attribute, or were equal and are no more."""
    x = call.axes()
    axis = call.node.axis("axis", rank=x.rank, default=0)
    if call.optional(1) is not None or x.ids[axis] is None:
        return Derived()
    counts = [int(alive(y.at(axis)).sum()) for y in outputs]
    if counts == [y.shape[axis] for y in outputs]:
        return Derived()
    if call.node.version < 13:
        return Derived(attributes={"split": tuple(counts)})
    return Derived(attributes={"num_outputs": None}, operands={1: np.array(counts, np.int64)})


@op_rule("Slice", since=1)
def couple_slice_attributes(call: Call) -> Coupling:
    """Take the slice of the ids; bounds are attributes.

    Shapes:
        X (..., n, ...) -> Y (..., end - start, ...).
    """
    starts, ends = call.node.ints("starts"), call.node.ints("ends")
    axes = call.node.ints("axes", tuple(range(len(starts))))
    return _slice(call, axes, starts, ends, (1,) * len(starts))


@derivation("Slice", since=1)
def derive_slice_attributes(call: Call, _outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the kept positions before each bound; from opset 10 on the bounds are operands."""
    if call.node.version >= 10:
        return Derived()
    x = call.axes()
    starts, ends = list(call.node.ints("starts")), list(call.node.ints("ends"))
    axes = call.node.ints("axes", tuple(range(len(starts))))
    if alive(x.flat([axis % x.rank for axis in axes])).all():
        return Derived()
    for number, axis in enumerate(axes):
        ids = x.ids[axis % x.rank]
        if ids is not None:
            first, last, _ = slice(starts[number], ends[number]).indices(len(ids))
            starts[number] = int(alive(ids[:first]).sum())
            ends[number] = int(alive(ids[:last]).sum())
    return Derived(attributes={"starts": tuple(starts), "ends": tuple(ends)})


@op_rule("Slice", since=10)
def couple_slice(call: Call) -> Coupling:
    """Take the slice of the ids; bounds are operands.

    Shapes:
        X (..., n, ...) -> Y (..., ceil((end - start) / step), ...).

    Source: https://onnx.ai/onnx/operators/onnx__Slice.html
    """
    x = call.axes()
    starts, ends = call.integers(1), call.integers(2)
    axes = call.integers(3) if call.optional(3) is not None else None
    if starts is not None and axes is None and call.optional(3) is None:
        axes = tuple(range(len(starts)))
    steps = call.integers(4) if call.optional(4) is not None else (1,) * len(starts or ())
    if axes is None:
        reason = "slices axes computed at run time"
        return Coupling(_inert(call), frozen=freeze_axes(x, range(x.rank), reason))
    if starts is None or ends is None or steps is None:
        cut = [axis % x.rank for axis in axes]
        ids = tuple(None if axis in cut else i for axis, i in enumerate(x.ids))
        frozen = freeze_axes(x, cut, RUN_TIME)
        return Coupling((Axes(call.output_shapes[0], ids),), frozen=frozen)
    return _slice(call, axes, starts, ends, steps)


def _is_open(call: Call, number: int) -> bool:
    """Tell whether other input sizes may move a slice's bounds."""
    bounds = [operand for operand in call.inputs[1:3] if operand is not None]
    return any(o.sizes is not None and o.sizes.reshape(-1)[number].is_open for o in bounds)


def _inert(call: Call) -> tuple[Axes, ...]:
    return tuple(Axes.inert(shape) for shape in call.output_shapes)


def _slice(
    call: Call,
    axes: Sequence[int],
    starts: Sequence[int],
    ends: Sequence[int],
    steps: Sequence[int],
) -> Coupling:
    x = call.axes()
    ids = list(x.ids)
    frozen: list[Freeze] = []
    demands: list[Demand] = []
    for number, axis in enumerate(a % x.rank for a in axes):
        own = x.ids[axis]
        if own is None:
            continue
        if _is_open(call, number):
            ids[axis] = None
            frozen.append(Freeze(own, RUN_TIME))
            continue
        first, last, step = slice(starts[number], ends[number], steps[number]).indices(len(own))
        taken = own[slice(starts[number], ends[number], steps[number])]
        ids[axis] = taken
        if step == -1 and len(taken) == len(own):
            continue  # both bounds lie at the ends or past them, and do so however few are left
        if step != 1:
            frozen.append(Freeze(own, f"slices this axis in steps of {step}"))
            continue
        if starts[number] != 0:
            demands.append(_bound(1, number, own, first, starts[number]))
        if ends[number] <= len(own):
            demands.append(_bound(2, number, own, last, ends[number]))
    if call.node.version < 10:
        demands = []
    made = Axes(call.output_shapes[0], tuple(ids))
    return Coupling((made,), (), tuple(frozen), demands=tuple(demands), dropped=(x.flat(),))


def _bound(position: int, element: int, ids: IdArray, place: int, written: int) -> Demand:
    """Count the positions before a bound; one that counts from the end depends on all of them."""
    return Demand(position, element, ids[:place], ids[place:] if written < 0 else None)
