"""Operators that work along one or two axes: these stay, all others pass."""

from __future__ import annotations

from collections.abc import Iterable

from wrg_onnx.channels.axes import Axes, Call, Coupling, freeze_axes
from wrg_onnx.channels.table import op_rule


def along(call: Call, axes: Iterable[int], reason: str, *, operands: str = "") -> Coupling:
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


def _every(call: Call, reason: str) -> Coupling:
    """Freeze all axes because the axis that counts is computed at run time."""
    x = call.axes()
    frozen = freeze_axes(x, range(x.rank), reason)
    return Coupling(tuple(Axes.inert(shape) for shape in call.output_shapes), frozen=frozen)


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
        return _every(call, "accumulates over an axis computed at run time")
    return along(call, [axis[0] % call.axes().rank], "accumulates over this axis")


@op_rule("TopK", since=1)
def couple_top_k(call: Call) -> Coupling:
    """Freeze the axis whose values are ranked; the others pass, to the indices as well.

    Shapes:
        X (..., n, ...) -> values (..., k, ...), indices (..., k, ...).

    Source: https://onnx.ai/onnx/operators/onnx__TopK.html
    """
    axis = call.node.axis("axis", rank=call.axes().rank, default=-1)
    return along(call, [axis], "ranks the values along this axis")


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
    return along(call, [time, batch], "reverses sequences along this axis")


@op_rule("Trilu", since=14)
def couple_trilu(call: Call) -> Coupling:
    """Freeze the two axes of the matrices, which lose a triangle; the others pass.

    Shapes:
        X (..., M, N), k () -> Y (..., M, N).

    Source: https://onnx.ai/onnx/operators/onnx__Trilu.html
    """
    rank = call.axes().rank
    return along(call, [rank - 2, rank - 1], "keeps a triangle over this axis")


@op_rule("Det", since=11)
def couple_det(call: Call) -> Coupling:
    """Freeze the two axes of the matrices; the others pass.

    Shapes:
        X (..., M, M) -> Y (...).

    Source: https://onnx.ai/onnx/operators/onnx__Det.html
    """
    x = call.axes()
    frozen = freeze_axes(x, [x.rank - 2, x.rank - 1], "takes determinants over this axis")
    return Coupling((Axes(call.output_shapes[0], x.ids[:-2]),), frozen=frozen)


@op_rule("DFT", since=17)
def couple_dft_attribute(call: Call) -> Coupling:
    """Freeze the axis that is transformed and the one of real and imaginary parts.

    Shapes:
        X (..., n, ..., 1 or 2), length () -> Y (..., m, ..., 2).
    """
    rank = call.axes().rank
    return _transform(call, call.node.axis("axis", rank=rank, default=1))


@op_rule("DFT", since=20)
def couple_dft(call: Call) -> Coupling:
    """Freeze the axis that is transformed and the one of real and imaginary parts.

    Shapes:
        X (..., n, ..., 1 or 2), length (), axis () -> Y (..., m, ..., 2 or 1).

    Source: https://onnx.ai/onnx/operators/onnx__DFT.html
    """
    axis = call.integers(2) if call.optional(2) is not None else (-2,)
    if axis is None:
        return _every(call, "transforms an axis computed at run time")
    return _transform(call, axis[0] % call.axes().rank)


def _transform(call: Call, axis: int) -> Coupling:
    return along(call, [axis, call.axes().rank - 1], "transforms this axis")


@op_rule("STFT", since=17)
def couple_stft(call: Call) -> Coupling:
    """Freeze the signal and the window; the batch passes.

    Shapes:
        signal (N, length, 1 or 2), step (), window (w), length () -> Y (N, frames, bins, 2).

    Source: https://onnx.ai/onnx/operators/onnx__STFT.html
    """
    x, reason = call.axes(), "transforms this axis"
    frozen = freeze_axes(x, range(1, x.rank), reason)
    window = call.optional(2)
    if window is not None:
        frozen += freeze_axes(window.axes, [0], reason)
    made = Axes(call.output_shapes[0], (x.ids[0], None, None, None))
    return Coupling((made,), frozen=frozen)


@op_rule("Bernoulli", since=15)
@op_rule("Multinomial", since=7)
@op_rule("RandomNormalLike", "RandomUniformLike", since=1)
def couple_random(call: Call) -> Coupling:
    """Freeze what numbers are drawn for: fewer of them would not be the same ones.

    Shapes:
        X (...) -> Y (...).
    """
    return _every(call, "draws random numbers for this axis")
