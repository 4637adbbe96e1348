"""Control flow: what passes between a branch or a loop body and the graph around it.

Nodes inside a body are asked for themselves, like those of the main graph. Here a control-flow node
reads what its bodies return behind its own inputs. What a loop's body is fed carries the ids of
where it comes from: `channels/entries.py` hands them in.
"""

from __future__ import annotations

from wrg_onnx.channels.answers import Coupling, Freeze, Tie, broadcast, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.entries import CHANGES
from wrg_onnx.channels.ids import IdArray
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import Traits, op_traits
from wrg_onnx.graph import Passage, Shape, passages

OTHER_SHAPE = "returns another shape from each branch"


@op_rule("If", since=1)
def couple_if(call: Call) -> Coupling:
    """Tie what both branches return, where they return the same shape.

    Shapes:
        cond (), then what each branch returns, Y_k (...) -> Y_k (...).

    Source: https://onnx.ai/onnx/operators/onnx__If.html
    """
    returned = [operand.axes for operand in call.inputs[1:] if operand is not None]
    count = len(call.output_shapes)
    outputs: list[Axes] = []
    ties: list[Tie] = []
    frozen: list[Freeze] = []
    for number, shape in enumerate(call.output_shapes):
        branches = returned[number::count]
        if any(axes.shape != shape for axes in branches):
            for axes in branches:
                frozen += freeze_axes(axes, range(axes.rank), OTHER_SHAPE)
            outputs.append(Axes.inert(shape))
            continue
        joined, met = broadcast(branches, shape)
        outputs.append(joined)
        ties += met
    return Coupling(tuple(outputs), tuple(ties), tuple(frozen))


@op_rule("Loop", "Scan", since=1)
def couple_loop(call: Call) -> Coupling:
    """Tie a state to what each iteration makes of it; stack what is gathered on an inert axis.

    Shapes:
        states (...), sequences (..., t, ...), then what the body returns -> final states (...),
        gathered sequences (..., t, ...).

    Source: https://onnx.ai/onnx/operators/onnx__Loop.html
    """
    # A Loop's body returns a condition besides what becomes an output.
    count = len(call.inputs) - len(call.output_shapes) - int(call.node.op == "Loop")
    outputs = [Axes.inert(shape) for shape in call.output_shapes]
    ties: list[Tie] = []
    frozen: list[Freeze] = []
    dropped: list[IdArray] = []
    for passage in passages(call.node, count):
        given = None if passage.given is None else call.axes(passage.given)
        if given is not None:
            dropped.append(given.flat())  # the axes that the body sees are those of its entry
        if passage.returned is None or passage.output is None:
            continue
        returned = call.axes(count + passage.returned)
        shape = call.output_shapes[passage.output]
        made = _around(returned, shape, passage)
        begun = None if given is None or made is None else _without(given, passage)
        if made is None or (given is not None and given.shape != shape):
            for axes in (given, returned):
                if axes is not None:
                    frozen += freeze_axes(axes, range(axes.rank), CHANGES)
            continue
        joined, met = broadcast([made] if begun is None else [begun, made], shape)
        ties += met
        outputs[passage.output] = joined
    return Coupling(tuple(outputs), tuple(ties), tuple(frozen), dropped=tuple(dropped))


def _around(inner: Axes, shape: Shape, passage: Passage) -> Axes | None:
    """Add the axes that a tensor has outside of the body alone; None if it does not fit."""
    outside = passage.outside(len(shape))
    if outside is None:
        return None
    kept = [axis for axis in range(len(shape)) if axis not in outside]
    if inner.shape != tuple(shape[axis] for axis in kept):
        return None
    ids = dict(zip(kept, inner.ids, strict=True))
    return Axes(shape, tuple(ids.get(axis) for axis in range(len(shape))))


def _without(axes: Axes, passage: Passage) -> Axes:
    """Take the ids off the axes that a tensor has outside of the body alone."""
    outside = passage.outside(axes.rank) or ()
    return Axes(axes.shape, tuple(None if a in outside else i for a, i in enumerate(axes.ids)))


op_traits(Traits(runs_bodies=True), "If", "Loop", "Scan")
