"""Matrix products: Gemm and MatMul."""

from __future__ import annotations

from wrg_onnx.channels.axes import Axes, Call, Coupling, Freeze, Tie, broadcast
from wrg_onnx.channels.ids import IdArray
from wrg_onnx.channels.table import op_rule

TWO_ACTIVATIONS = "contracts two activations over this axis"


@op_rule("Gemm", since=1)
def couple_gemm(call: Call) -> Coupling:
    """Tie the contracted axes; the output carries the outer ones, and C meets them.

    Shapes:
        A (M, K) or (K, M), B (K, N) or (N, K), C broadcastable to (M, N) -> Y (M, N).

    Source: https://onnx.ai/onnx/operators/onnx__Gemm.html
    """
    a, b = call.operand(0), call.operand(1)
    inner_a, outer_a = (0, 1) if call.node.int("transA", 0) else (1, 0)
    inner_b, outer_b = (1, 0) if call.node.int("transB", 0) else (0, 1)
    shape = call.output_shapes[0]
    product = Axes(shape, (a.axes.ids[outer_a], b.axes.ids[outer_b]))
    bias = call.optional(2)
    operands = [product] if bias is None else [product, bias.axes]
    joined, ties = broadcast(operands, shape)
    contraction = contract(call, a.axes.at(inner_a), b.axes.at(inner_b))
    return Coupling(
        outputs=(joined,),
        ties=(*ties, *contraction.ties),
        frozen=contraction.frozen,
        consumed=contraction.consumed,
        contracted=contraction.contracted,
        filters=_filters(call, a.axes.at(outer_a), b.axes.at(outer_b)),
    )


@op_rule("MatMul", since=1)
def couple_matmul(call: Call) -> Coupling:
    """Tie the contracted axes; the output carries the outer ones; leading axes broadcast.

    Shapes:
        A (..., M, K), B (..., K, N) -> Y (..., M, N); a vector loses its axis, as in numpy.

    Source: https://onnx.ai/onnx/operators/onnx__MatMul.html
    """
    return couple_product(call, call.axes(0), call.axes(1))


def couple_product(call: Call, a: Axes, b: Axes) -> Coupling:
    """Couple a matrix product of the first two operands, as some operator turns them.

    Args:
        call: The node.
        a: The axes of the left matrices, (..., M, K) or (K).
        b: The axes of the right ones, (..., K, N) or (K).
    """
    shape = call.output_shapes[0]
    rows = [a.ids[-2]] if a.rank > 1 else []
    columns = [b.ids[-1]] if b.rank > 1 else []
    leading = shape[: len(shape) - len(rows) - len(columns)]
    batch, ties = broadcast([Axes(x.shape[:-2], x.ids[:-2]) for x in (a, b) if x.rank > 2], leading)
    contraction = contract(call, a.at(-1), b.at(-2 if b.rank > 1 else 0))
    return Coupling(
        outputs=(Axes(shape, (*batch.ids, *rows, *columns)),),
        ties=(*ties, *contraction.ties),
        frozen=contraction.frozen,
        consumed=contraction.consumed,
        contracted=contraction.contracted,
        filters=_filters(call, a.at(-2) if a.rank > 1 else None, b.at(-1) if b.rank > 1 else None),
    )


def contract(call: Call, inner_a: IdArray, inner_b: IdArray) -> Coupling:
    """Tie what is summed over.

    Without a weight there is nothing to zero, so it stays; unless the caller wants to prune inside
    attention heads, and one side is zero once the layer that makes it is.
    """
    a, b = call.operand(0), call.operand(1)
    ties = (Tie(inner_a, inner_b),)
    if a.is_weight or b.is_weight:
        sides = ((a, inner_a), (b, inner_b))
        return Coupling((), ties, consumed=tuple(ids for side, ids in sides if side.is_weight))
    if call.head_dims and (a.vanishes or b.vanishes):
        return Coupling((), ties, contracted=(inner_a, inner_b))
    frozen = (Freeze(inner_a, TWO_ACTIVATIONS), Freeze(inner_b, TWO_ACTIVATIONS))
    return Coupling((), ties, frozen)


def _filters(call: Call, outer_a: IdArray | None, outer_b: IdArray | None) -> tuple[IdArray, ...]:
    """Return the output axes of those operands that are weights."""
    sides = ((call.operand(0), outer_a), (call.operand(1), outer_b))
    return tuple(ids for operand, ids in sides if operand.is_weight and ids is not None)
