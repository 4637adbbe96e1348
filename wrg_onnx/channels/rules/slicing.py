"""Operators that take ranges of an axis, or turn ranges round."""

from __future__ import annotations

from collections.abc import Sequence

from wrg_onnx.channels.answers import Coupling, Demand, Freeze, Tie, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.couplings import freeze_along
from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.channels.sizes import Numbers, Sizes, by_moving
from wrg_onnx.channels.table import Derived, derivation, op_rule
from wrg_onnx.channels.traits import Traits, op_traits
from wrg_onnx.graph import Node

RUN_TIME = "slices this axis at bounds computed at run time"


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
    ties: list[Tie] = []
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
            if step < 0 or not 0 <= starts[number] < step or not len(taken):
                frozen.append(Freeze(own, f"slices this axis in steps of {step}"))
                continue
            # Blocks of as many positions go as a whole: the steps then find their places in those
            # that are left, and the end is where the block of the last one taken ends.
            ties.append(Tie(own[::step].repeat(step)[: len(own)], own))
            last = min(len(own), len(taken) * step)
        elif starts[number] != 0:
            demands.append(_bound(1, number, own, first, starts[number]))
        if ends[number] <= len(own):
            demands.append(_bound(2, number, own, last, ends[number]))
    if call.node.version < 10:
        demands = []
    made = Axes(call.output_shapes[0], tuple(ids))
    return Coupling(
        (made,), tuple(ties), tuple(frozen), demands=tuple(demands), dropped=(x.flat(),)
    )


def _bound(position: int, element: int, ids: IdArray, place: int, written: int) -> Demand:
    """Count the positions before a bound; one that counts from the end depends on all of them."""
    return Demand(position, element, ids[:place], ids[place:] if written < 0 else None)


@op_rule("ReverseSequence", since=10)
def couple_reverse_sequence(call: Call) -> Coupling:
    """Freeze time and batch, which the lengths count and number; the others pass.

    Shapes:
        X (time, batch, ...), lengths (batch) -> Y (time, batch, ...).

    Source: https://onnx.ai/onnx/operators/onnx__ReverseSequence.html
    """
    rank = call.axes().rank
    time = call.node.axis("time_axis", rank=rank, default=0)
    batch = call.node.axis("batch_axis", rank=rank, default=1)
    return freeze_along(call, [time, batch], "reverses sequences along this axis")


def _take_range(node: Node, operands: Sequence[Sizes], numbers: Numbers) -> Sizes:
    """Evaluate a Slice of a vector."""
    first = operands[0]
    if len(operands) < 3:
        return first[node.ints("starts")[0] : node.ints("ends")[0]]
    step = numbers[4][0] if len(operands) > 4 else 1
    past_front = step < 0 and numbers[2][0] < -len(first)
    return first[numbers[1][0] : None if past_front else numbers[2][0] : step]


op_traits(
    Traits(
        moves_elements=True,
        keeps_zeros=True,
        zero_at_zero=True,
        reads_sizes=True,
        sizes=by_moving(_take_range),
    ),
    "Slice",
)
