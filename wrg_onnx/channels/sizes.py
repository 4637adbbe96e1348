"""Numbers that a graph computes from shapes, and how they answer when channels go.

An exporter writes ``x.view(n, c // 2, h, w)`` as Shape, Gather, Div, Concat, Reshape. Those small
tensors are followed element by element: each is a `Size` that knows its value at the analysed
sizes and, if it depends on the length of a live axis, its value after any removal.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.graph import Array, Form, Node, Shape

Sizes: TypeAlias = NDArray[np.object_]
"""An object array of `Size`, shaped like the tensor."""

Place: TypeAlias = tuple[int, int, int]
"""Where a number stands in the file: node index, input position, flat index."""

MOST_ELEMENTS = 64
MOST_INTEGERS = 4096
"""A Split may name the sizes of very many parts."""

MOST_COMPUTED = 4 * MOST_INTEGERS
"""How many numbers a node of shape arithmetic may compute with, or give."""


@dataclass(frozen=True, slots=True, eq=False)
class Size:
    """One number.

    Attributes:
        value: Its value at the analysed sizes.
        ids: The ids along the live axes that it depends on.
        after: Its value when only some units are alive; None where it never changes.
        source: Where another number can be written in its place: where it stands in the file, by
            the first node that reads the constant, or where a computed one enters a Concat.
        is_open: Whether it may be another number at other input sizes.
    """

    value: float
    ids: tuple[IdArray, ...] = ()
    after: Callable[[Alive], float] | None = field(default=None, repr=False)
    source: Place | None = None
    is_open: bool = False

    def pruned(self, alive: Alive) -> float:
        """Return the number in the pruned graph."""
        return self.value if self.after is None else self.after(alive)


def may_be_sizes(form: Form) -> bool:
    """Tell whether a constant of the file may be sizes: neither too large nor not numeric."""
    most = MOST_ELEMENTS if form.dtype.kind == "f" else MOST_INTEGERS
    return form.ndim <= 1 and form.dtype.kind in "iufb" and form.size <= most


def constant_sizes(array: Array) -> Sizes:
    """Read a constant of the file as sizes."""
    return fill_sizes(array.shape, [Size(v) for v in array.reshape(-1).tolist()])


def from_source(sizes: Sizes, port: tuple[int, int]) -> Sizes:
    """Note that a node reads these constants, so that a new value can be put there."""
    flat = [
        Size(size.value, source=(*port, number)) for number, size in enumerate(sizes.reshape(-1))
    ]
    return fill_sizes(sizes.shape, flat)


def axis_sizes(shape: Shape, axes: Sequence[IdArray | None], opened: Sequence[bool]) -> Sizes:
    """Return what operator Shape gives for a tensor.

    Args:
        shape: The tensor's shape.
        axes: The ids along each axis.
        opened: Per axis, whether its size varies with the model's inputs.
    """
    found = []
    for length, ids, is_open in zip(shape, axes, opened, strict=True):
        if ids is None or ids.max(initial=-1) < 0:
            found.append(Size(length, is_open=is_open))
        else:
            found.append(Size(length, (ids,), _counter(ids), None, is_open))
    return fill_sizes((len(found),), found)


def _counter(ids: IdArray) -> Callable[[Alive], float]:
    return lambda alive: int(alive(ids).sum())


def fill_sizes(shape: Shape, flat: Sequence[Size]) -> Sizes:
    """Make an array of sizes from its elements."""
    out = np.empty(len(flat), dtype=object)
    out[:] = flat
    return out.reshape(shape)


@dataclass(frozen=True, slots=True)
class SizeRule:
    """How an operator computes with sizes.

    Attributes:
        evaluate: From the node and its operands, none of them absent or unknown, to its first
            output; None where the node is no shape arithmetic after all.
        moved: How many operands, from the first on, it moves about as they are; the numbers of the
            others turn into other numbers.
        spares_marks: Whether a number that is held against -1, the mark of an axis to keep, may
            change all the same: any number of channels differs from it.
    """

    evaluate: Callable[[Node, Sequence[Sizes]], Sizes | None]
    moved: int = 0
    spares_marks: bool = False


ALL_MOVED = sys.maxsize
"""A rule moves however many operands it has."""

Origin: TypeAlias = Callable[[Sequence[Size], float], Place | None]
"""From the operands and the result, where a number can be written that the result follows."""


def by_element(
    function: Callable[..., Any],
    count: int,
    origin: Origin | None = None,
    *,
    spares_marks: bool = False,
) -> SizeRule:
    """Evaluate an operator number by number, with broadcasting.

    Args:
        function: From so many numbers to one.
        count: How many operands it takes; with another number of them nothing is known.
        origin: Where a result without ids comes from; a single operand that the function leaves
            as it is, where not given.
        spares_marks: See `SizeRule`.
    """

    def evaluate(_node: Node, operands: Sequence[Sizes]) -> Sizes | None:
        if len(operands) != count:
            return None
        if math.prod(np.broadcast_shapes(*(sizes.shape for sizes in operands))) > MOST_COMPUTED:
            return None
        met = np.broadcast_arrays(*operands)
        parts = zip(*(sizes.reshape(-1) for sizes in met), strict=True)
        return fill_sizes(met[0].shape, [_combine(function, origin, part) for part in parts])

    return SizeRule(evaluate, spares_marks=spares_marks)


def _combine(function: Callable[..., Any], origin: Origin | None, parts: Sequence[Size]) -> Size:
    value = function(*(p.value for p in parts))
    ids = tuple(i for p in parts for i in p.ids)
    is_open = any(p.is_open for p in parts)
    if not ids:
        source = (origin or _single_origin)(parts, value)
        return Size(value, source=source, is_open=is_open)

    def after(alive: Alive) -> float:
        try:
            found: float = function(*(p.pruned(alive) for p in parts))
        except (ArithmeticError, ValueError):
            return math.nan  # no number at that width, such as an integer of infinity
        return found

    return Size(value, ids, after, None, is_open)


def _single_origin(parts: Sequence[Size], value: float) -> Place | None:
    return parts[0].source if len(parts) == 1 and value == parts[0].value else None


Numbers: TypeAlias = Sequence[Sequence[int]]
"""The elements of each operand as plain numbers, flat."""


def by_moving(move: Callable[[Node, Sequence[Sizes], Numbers], Sizes | None]) -> SizeRule:
    """Evaluate an operator that takes elements of its first operand, at places that are fixed.

    Args:
        move: From the node, the operands and the numbers in each of them to the output.
    """

    def evaluate(node: Node, operands: Sequence[Sizes]) -> Sizes | None:
        if any(s.ids or s.is_open for sizes in operands[1:] for s in sizes.reshape(-1)):
            return None  # which elements are taken depends on a size
        numbers = [[int(size.value) for size in sizes.reshape(-1)] for sizes in operands]
        return move(node, operands, numbers)

    return SizeRule(evaluate, moved=1)
