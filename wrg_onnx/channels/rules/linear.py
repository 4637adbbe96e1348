"""Linear algebra: products of matrices, and what reads a matrix as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels.answers import Coupling, Freeze, Tie, broadcast, freeze_axes
from wrg_onnx.channels.axes import Axes, Call, Operand
from wrg_onnx.channels.couplings import freeze_along
from wrg_onnx.channels.ids import INERT, IdArray
from wrg_onnx.channels.reasons import Kind, Why
from wrg_onnx.channels.table import op_rule
from wrg_onnx.channels.traits import LayerForm, LengthProduct, Traits, all_axes, op_traits
from wrg_onnx.channels.units import Analysed

TWO_ACTIVATIONS = "multiplies two activations and sums over this axis"
IN_HEADS = Why(TWO_ACTIVATIONS, Kind.HEAD_DIMS)


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
    # Where zeros come from is asked only if the answer matters: it takes a look at what is before.
    is_live = max(inner_a.max(initial=INERT), inner_b.max(initial=INERT)) > INERT
    silenced = None
    if is_live and (call.head_dims or call.fresh is None):
        silenced = a.zeroed_along(inner_a)
        if silenced is None:
            silenced = b.zeroed_along(inner_b)
    if call.head_dims and silenced is not None:
        return Coupling((), ties, contracted=(silenced,))
    why = TWO_ACTIVATIONS if silenced is None else IN_HEADS
    frozen = (Freeze(inner_a, why), Freeze(inner_b, why))
    return Coupling((), ties, frozen)


def _filters(call: Call, outer_a: IdArray | None, outer_b: IdArray | None) -> tuple[IdArray, ...]:
    """Return the output axes of those operands that are weights."""
    sides = ((call.operand(0), outer_a), (call.operand(1), outer_b))
    return tuple(ids for operand, ids in sides if operand.is_weight and ids is not None)


SUMMED = "sums over this axis, and not with a weight"


@dataclass(frozen=True, slots=True)
class Place:
    """An axis of an operand that a label stands for."""

    operand: Operand
    axis: int

    @property
    def size(self) -> int:
        """The axis's length."""
        return self.operand.axes.shape[self.axis]

    @property
    def ids(self) -> IdArray | None:
        """The axis's ids, None where it is inert."""
        return self.operand.axes.ids[self.axis]


def places_by_label(call: Call) -> tuple[Mapping[str, Sequence[Place]], tuple[str, ...]]:
    """Read an Einsum's equation.

    An axis behind an ellipsis gets a label of its own, counted from the end: ``...0`` is the last.

    Returns:
        The places where each label stands, and the labels of the output's axes. An axis of length
        1 that is broadcast against a longer one is no place.
    """
    left, arrow, right = call.node.str("equation", "").replace(" ", "").partition("->")
    found: dict[str, list[Place]] = {}
    hidden = 0
    for position, term in enumerate(left.split(",")):
        operand = call.operand(position)
        rank = operand.axes.rank
        hidden = max(hidden, rank - len(term.replace("...", "")))
        for axis, label in enumerate(_labels(term, rank)):
            found.setdefault(label, []).append(Place(operand, axis))
    if not arrow:
        # The implicit form: the broadcast axes, then each letter that stands once, sorted.
        letters = sorted(a for a in found if len(a) == 1 and left.count(a) == 1)
        right = "..." * ("..." in left) + "".join(letters)
    output = _labels(right, hidden + len(right.replace("...", "")))
    for places in found.values():
        longest = max(place.size for place in places)
        places[:] = [place for place in places if place.size == longest]
    return found, output


def _labels(term: str, rank: int) -> tuple[str, ...]:
    """Return one label per axis of a term."""
    before, dots, after = term.partition("...")
    count = rank - len(before) - len(after) if dots else 0
    return (*before, *(f"...{number}" for number in reversed(range(count))), *after)


@op_rule("Einsum", since=12)
def couple_einsum(call: Call) -> Coupling:
    """Tie the axes that share a letter; a summed one needs a weight that consumes it.

    Shapes:
        X_k (one axis per letter of term k) -> Y (one axis per letter of the output's term).

    Source: https://onnx.ai/onnx/operators/onnx__Einsum.html
    """
    found, output = places_by_label(call)
    carried: dict[str, IdArray | None] = {}
    ties: list[Tie] = []
    frozen: list[Freeze] = []
    filters: list[IdArray] = []
    consumed: list[IdArray] = []
    for label, places in found.items():
        live = [place.ids for place in places if place.ids is not None]
        carried[label] = live[0] if live else None
        ties += [Tie(live[0], other) for other in live[1:]]
        if 0 < len(live) < len(places):
            ties.append(Tie(live[0], np.full(len(live[0]), INERT, np.int64)))
        weights = [p.ids for p in places if p.operand.is_weight and p.ids is not None]
        if label not in output:
            consumed += weights
            frozen += [] if weights else [Freeze(ids, SUMMED) for ids in live]
        elif len(weights) == len(places):
            filters += weights
    ids = tuple(carried.get(label) for label in output)
    return Coupling(
        (Axes(call.output_shapes[0], ids),),
        tuple(ties),
        tuple(frozen),
        tuple(filters),
        tuple(consumed),
        dropped=tuple(consumed),
    )


@op_rule("Trilu", since=14)
def couple_trilu(call: Call) -> Coupling:
    """Freeze the two axes of the matrices, which lose a triangle; the others pass.

    Shapes:
        X (..., M, N), k () -> Y (..., M, N).

    Source: https://onnx.ai/onnx/operators/onnx__Trilu.html
    """
    rank = call.axes().rank
    return freeze_along(call, [rank - 2, rank - 1], "keeps a triangle over this axis")


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


def count_gemm(analysed: Analysed) -> Iterator[LengthProduct]:
    """Multiply each element of the left matrix once for each column of the right one."""
    call = analysed.call
    outer = 0 if call.node.int("transB", 0) else 1
    yield [all_axes(call.axes(0)), (call.axes(1), [outer])]


def count_matmul(analysed: Analysed) -> Iterator[LengthProduct]:
    """Sum one inner axis up for each element of the output."""
    yield from count_product(analysed, analysed.call.axes(0))


def count_product(analysed: Analysed, a: Axes) -> Iterator[LengthProduct]:
    """Count a matrix product whose left operand some operator turns.

    Args:
        analysed: The node.
        a: The axes of the left matrices as they are multiplied, (..., M, K) or (K).
    """
    if a.rank > 1:
        yield [all_axes(analysed.outputs[0]), (a, [a.rank - 1])]
    else:
        yield [all_axes(analysed.call.axes(1))]


def _count_einsum(analysed: Analysed) -> Iterator[LengthProduct]:
    """Multiply one axis for each letter, wherever it stands."""
    if len(analysed.call.inputs) > 1:
        places = [found[0] for found in places_by_label(analysed.call)[0].values()]
        yield [(place.operand.axes, [place.axis]) for place in places]


op_traits(Traits(layer=LayerForm.LINEAR), "Gemm", "MatMul")
op_traits(Traits(zero_at_factor=True), "Einsum", "Gemm", "MatMul")
op_traits(Traits(multiplications=count_gemm, per_channel=(2,)), "Gemm")
op_traits(Traits(multiplications=count_matmul, every_position_alike=True), "MatMul")
op_traits(Traits(multiplications=_count_einsum), "Einsum")
