"""How often each operator multiplies and adds: the axes whose lengths make the product."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from wrg_onnx.channels.axes import Axes
from wrg_onnx.channels.heads import qkv_sizes
from wrg_onnx.channels.rules.fused import turned
from wrg_onnx.channels.rules.linear import places_by_label
from wrg_onnx.channels.units import Analysed

Factors: TypeAlias = Sequence[tuple[Axes, Sequence[int]]]
"""Tensors, and of each the axes whose lengths are multiplied."""

_Count: TypeAlias = Callable[[Analysed], Iterator[Factors]]

MICROSOFT = "com.microsoft"


def multiplications(analysed: Analysed) -> Iterator[Factors]:
    """Yield what a node multiplies; nothing for operators that treat elements one by one.

    Nor for a node in a branch or loop body whose shapes are not known before it runs.
    """
    node = analysed.call.node
    count = _COUNTS.get((node.domain, node.op))
    if count is not None and analysed.has_shapes:
        yield from count(analysed)


def _every(axes: Axes) -> tuple[Axes, Sequence[int]]:
    return axes, range(axes.rank)


def _convolution(analysed: Analysed, *, channels_last: bool = False) -> Iterator[Factors]:
    """Apply the whole weight at each position of the output."""
    y = analysed.outputs[0]
    channels_last = channels_last or bool(analysed.call.node.int("channels_last", 0))
    places = range(y.rank - 1) if channels_last else (0, *range(2, y.rank))
    yield [_every(analysed.call.axes(1)), (y, places)]


def _transposed_convolution(analysed: Analysed) -> Iterator[Factors]:
    """Apply the whole weight at each position of the input."""
    x = analysed.call.axes(0)
    yield [_every(analysed.call.axes(1)), (x, (0, *range(2, x.rank)))]


def _gemm(analysed: Analysed) -> Iterator[Factors]:
    call = analysed.call
    outer = 0 if call.node.int("transB", 0) else 1
    yield [_every(call.axes(0)), (call.axes(1), [outer])]


def _matmul(analysed: Analysed) -> Iterator[Factors]:
    """Sum one inner axis up for each element of the output."""
    call = analysed.call
    a = turned(call.axes(0), call.node.int("transBatchA", 0), call.node.int("transA", 0))
    if a.rank > 1:
        yield [_every(analysed.outputs[0]), (a, [a.rank - 1])]
    else:
        yield [_every(call.axes(1))]


def _einsum(analysed: Analysed) -> Iterator[Factors]:
    """Multiply one axis for each letter, wherever it stands."""
    if len(analysed.call.inputs) > 1:
        places = [found[0] for found in places_by_label(analysed.call)[0].values()]
        yield [(place.operand.axes, [place.axis]) for place in places]


def _recurrence(analysed: Analysed) -> Iterator[Factors]:
    """Apply both weights, to the input and to the last state, at each step."""
    x = analysed.call.axes(0)
    for position in (1, 2):
        yield [_every(analysed.call.axes(position)), (x, (0, 1))]


def _packed_attention(analysed: Analysed) -> Iterator[Factors]:
    """Project to queries, keys and values, then attend."""
    call = analysed.call
    x, w, past = call.axes(0), call.axes(1), call.optional(4)
    yield [_every(x), (w, [1])]
    queries = w.at(1)[: qkv_sizes(call)[0]]
    length = x.shape[1] + (0 if past is None else past.axes.shape[3])
    q = Axes((*x.shape[:2], len(queries)), (None, None, queries))
    yield from _attend(q, analysed.outputs[0], length)


def _attention(analysed: Analysed, *, past: int) -> Iterator[Factors]:
    """Attend with queries, keys and values that come projected.

    Args:
        analysed: The node.
        past: The input position of past keys.
    """
    call = analysed.call
    q, y, packed = call.axes(0), analysed.outputs[0], call.optional(1) is None
    keys, cached = q if packed else call.axes(1), call.optional(past)
    length = keys.shape[2 if keys.rank == 4 else 1]
    length += 0 if cached is None else cached.axes.shape[2]
    if packed and q.rank == 3:
        # queries stand before keys and values, and are as many as the output's columns
        q = Axes(y.shape, (None, None, q.at(2)[: y.shape[2]]))
    elif packed:
        q = Axes((*q.shape[:3], q.shape[4]), (*q.ids[:3], q.ids[4]))
    yield from _attend(q, y, length)


def _attend(q: Axes, y: Axes, length: int) -> Iterator[Factors]:
    """Multiply each query with each key, and each weight with its value."""
    keys = _every(Axes.inert((length,)))
    yield [_every(q), keys]
    yield [_every(y), keys]


def _quantised(analysed: Analysed, *, count: _Count, factors: tuple[int, int]) -> Iterator[Factors]:
    """Count as the plain operator does, whose two factors stand elsewhere among the operands."""
    return count(replace(analysed, call=analysed.call.only(*factors)))


_COUNTS: Mapping[tuple[str, str], _Count] = {
    ("", "Attention"): partial(_attention, past=4),
    ("", "Conv"): _convolution,
    ("", "ConvInteger"): _convolution,
    ("", "ConvTranspose"): _transposed_convolution,
    ("", "DeformConv"): _convolution,
    ("", "Einsum"): _einsum,
    ("", "GRU"): _recurrence,
    ("", "Gemm"): _gemm,
    ("", "LSTM"): _recurrence,
    ("", "MatMul"): _matmul,
    ("", "MatMulInteger"): _matmul,
    ("", "QLinearConv"): partial(_quantised, count=_convolution, factors=(0, 3)),
    ("", "QLinearMatMul"): partial(_quantised, count=_matmul, factors=(0, 3)),
    ("", "RNN"): _recurrence,
    (MICROSOFT, "Attention"): _packed_attention,
    (MICROSOFT, "DynamicQuantizeMatMul"): _matmul,
    (MICROSOFT, "FusedConv"): _convolution,
    (MICROSOFT, "FusedGemm"): _gemm,
    (MICROSOFT, "FusedMatMul"): _matmul,
    (MICROSOFT, "FusedMatMulActivation"): _matmul,
    (MICROSOFT, "GemmFastGelu"): _matmul,
    (MICROSOFT, "GroupQueryAttention"): partial(_attention, past=3),
    (MICROSOFT, "MatMulIntegerToFloat"): _matmul,
    (MICROSOFT, "MatMulNBits"): _matmul,
    (MICROSOFT, "MultiHeadAttention"): partial(_attention, past=6),
    (MICROSOFT, "NhwcConv"): partial(_convolution, channels_last=True),
    (MICROSOFT, "NhwcFusedConv"): partial(_convolution, channels_last=True),
    (MICROSOFT, "QGemm"): partial(_quantised, count=_gemm, factors=(0, 3)),
    (MICROSOFT, "QLinearConv"): partial(_quantised, count=_convolution, factors=(0, 3)),
    (MICROSOFT, "TransposeMatMul"): _matmul,
}
"""By domain and operator, what counts its multiplications."""
