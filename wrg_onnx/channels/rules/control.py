"""Control flow: what passes between a branch or a loop body and the graph around it.

Nodes inside a body are asked for themselves, like those of the main graph. Here a control-flow node
reads what its bodies return behind its own inputs.
"""

from __future__ import annotations

from wrg_onnx.channels.axes import Axes, Call, Coupling, Freeze, Tie, broadcast, freeze_axes
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import Traits, op_traits

OTHER_SHAPE = "returns another shape from each branch"
PASSED = "passes this axis into or out of a loop body"


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
    """Freeze what passes into the body and out of it: states, slices, and what is gathered.

    Shapes:
        states and sequences (...), then what the body returns -> final states and sequences (...).

    Source: https://onnx.ai/onnx/operators/onnx__Loop.html
    """
    frozen = [Freeze(operand.axes.flat(), PASSED) for operand in call.inputs if operand is not None]
    return Coupling(tuple(Axes.inert(s) for s in call.output_shapes), frozen=tuple(frozen))


op_traits(Traits(runs_bodies=True), "If", "Loop", "Scan")
