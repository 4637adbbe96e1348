"""Tensors made of shapes and numbers, and the shapes themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wrg_onnx.channels.answers import Coupling, Demand, Freeze, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.made_axes import made_axis
from wrg_onnx.channels.sizes import MOST_ELEMENTS, Size, SizeRule, Sizes, fill_sizes
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import Traits, op_traits
from wrg_onnx.graph import Node, is_float


@op_rule("Shape", since=1)
def couple_shape(call: Call) -> Coupling:
    """Read sizes only; what they are used for is followed element by element."""
    return Coupling((Axes.inert(call.output_shapes[0]),), dropped=(call.axes().flat(),))


@op_rule("Size", since=1)
def couple_size(call: Call) -> Coupling:
    """Freeze what is counted: the number of elements is data."""
    x = call.axes()
    frozen = freeze_axes(x, range(x.rank), "counts the elements of this axis")
    return Coupling((Axes.inert(call.output_shapes[0]),), frozen=frozen)


@op_rule("ConstantOfShape", since=9)
def couple_constant_of_shape(call: Call) -> Coupling:
    """Carry the ids of the axis whose length one copies, and new ones where it has its own.

    Shapes:
        shape (r) -> Y (shape_0, ...).

    All elements are alike, so any positions of it may go, if only their number follows.

    Source: https://onnx.ai/onnx/operators/onnx__ConstantOfShape.html
    """
    shape = call.output_shapes[0]
    value = call.node.attributes.get("value")
    may_be_new = value is None or (isinstance(value, np.ndarray) and is_float(value.dtype))
    # Of whole numbers and truth values are made indices and masks, whose axes nothing else carries.
    made = tuple(made_axis(call, 0, axis, may_be_new=may_be_new) for axis in range(len(shape)))
    demands = tuple(Demand(0, axis, ids) for axis, ids in enumerate(made) if ids is not None)
    return Coupling((Axes(shape, made),), demands=demands)


@op_rule("EyeLike", "Range", since=1)
def couple_made_from_shape(call: Call) -> Coupling:
    """Make a tensor whose elements differ by their position; its axes are inert."""
    return Coupling(tuple(Axes.inert(shape) for shape in call.output_shapes))


@op_rule("OneHot", since=9)
def couple_one_hot(call: Call) -> Coupling:
    """Pass the axes of the indices; the new axis is inert.

    Shapes:
        indices (...), depth (), values (2) -> Y (..., depth, ...).

    Source: https://onnx.ai/onnx/operators/onnx__OneHot.html
    """
    index, shape = call.axes(0), call.output_shapes[0]
    axis = call.node.axis("axis", rank=len(shape), default=-1)
    frozen: tuple[Freeze, ...] = ()
    for operand in call.inputs[1:]:
        if operand is not None:
            frozen += freeze_axes(operand.axes, range(operand.axes.rank), "")
    made = Axes(shape, (*index.ids[:axis], None, *index.ids[axis:]))
    return Coupling((made,), frozen=frozen)


def _repeat(node: Node, operands: Sequence[Sizes]) -> Sizes | None:
    """Evaluate ConstantOfShape, where it makes a vector of a length that never changes."""
    shape = operands[0]
    if len(shape) != 1 or shape[0].ids or shape[0].is_open:
        return None
    length = int(shape[0].value)
    if not 0 <= length <= MOST_ELEMENTS:
        return None
    value = node.attributes.get("value")
    number = value.reshape(-1)[0].item() if isinstance(value, np.ndarray) else 0.0
    return fill_sizes((length,), [Size(number)] * length)


op_traits(Traits(sizes=SizeRule(_repeat)), "ConstantOfShape")
op_traits(Traits(ignores_elements=True), "Shape", "Size")
op_traits(Traits(every_position_alike=True), "Shape")
