"""Answers that rules of several families share."""

from __future__ import annotations

from collections.abc import Iterable

from wrg_onnx.channels.answers import Coupling, freeze_axes
from wrg_onnx.channels.axes import Axes, Call


def freeze_along(call: Call, axes: Iterable[int], reason: str, *, operands: str = "") -> Coupling:
    """Freeze some axes of the first input, pass the others to every output.

    Args:
        call: The node; its outputs have the first input's rank.
        axes: The axes that it works along.
        reason: Why these stay.
        operands: Why the axes of further inputs stay; silently where empty.
    """
    x, bound = call.axes(), set(axes)
    ids = tuple(None if axis in bound else own for axis, own in enumerate(x.ids))
    frozen = freeze_axes(x, sorted(bound), reason)
    for operand in call.inputs[1:]:
        if operand is not None:
            frozen += freeze_axes(operand.axes, range(operand.axes.rank), operands)
    return Coupling(
        tuple(Axes(shape, ids) if shape else Axes.inert(()) for shape in call.output_shapes),
        frozen=frozen,
    )


def freeze_whole(call: Call, reason: str) -> Coupling:
    """Freeze every axis of the first input, and pass none on.

    Args:
        call: The node.
        reason: Why they stay: the axis that counts is computed at run time, say.
    """
    x = call.axes()
    frozen = freeze_axes(x, range(x.rank), reason)
    return Coupling(tuple(Axes.inert(shape) for shape in call.output_shapes), frozen=frozen)
