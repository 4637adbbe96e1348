"""Concat and Split: the same operation on the id arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from wrg_onnx.channels.answers import Coupling, Demand, broadcast
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.ids import Alive
from wrg_onnx.channels.sizes import (
    ALL_MOVED,
    Place,
    SizeRule,
    Sizes,
    fill_sizes,
)
from wrg_onnx.channels.table import Derived, derivation, op_rule
from wrg_onnx.channels.traits import Traits, op_traits
from wrg_onnx.graph import Node


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


def _join(node: Node, operands: Sequence[Sizes]) -> Sizes:
    """Evaluate Concat of vectors."""
    places = ((node.index, position, 0) for position in range(len(operands)))
    return np.concatenate([_entering(*pair) for pair in zip(operands, places, strict=True)])


def _entering(sizes: Sizes, place: Place) -> Sizes:
    """Note that a number which is the same at all input sizes can be written into a Concat."""
    flat = np.atleast_1d(sizes)
    if len(flat) != 1 or flat[0].is_open or flat[0].source is not None:
        return flat
    return fill_sizes((1,), [replace(flat[0], source=place)])


op_traits(
    Traits(moves_elements=True, zero_at_zero=True, sizes=SizeRule(_join, moved=ALL_MOVED)),
    "Concat",
)
op_traits(
    Traits(moves_elements=True, keeps_zeros=True, zero_at_zero=True, reads_sizes=True), "Split"
)
