"""Numbers that a graph computes from shapes, and how they answer when channels go.

An exporter writes ``x.view(n, c // 2, h, w)`` as Shape, Gather, Div, Concat, Reshape. Those small
tensors are followed element by element: each is a `Size` that knows its value at the analysed
sizes and, if it depends on the length of a live axis, its value after any removal.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from wrg_onnx.channels.ids import Alive, IdArray
from wrg_onnx.graph import Array, Node, Shape

Sizes: TypeAlias = NDArray[np.object_]
"""An object array of `Size`, shaped like the tensor."""

Place: TypeAlias = tuple[int, int, int]
"""Where a number stands in the file: node index, input position, flat index."""

MOST_ELEMENTS = 64
MOST_INTEGERS = 4096
"""A Split may name the sizes of very many parts."""


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


def constant_sizes(array: Array) -> Sizes | None:
    """Read a constant of the file as sizes; None if it is too large or not numeric."""
    most = MOST_ELEMENTS if array.dtype.kind == "f" else MOST_INTEGERS
    if array.size > most or array.ndim > 1 or array.dtype.kind not in "iufb":
        return None
    return _fill(array.shape, [Size(v) for v in array.reshape(-1).tolist()])


def from_source(sizes: Sizes, node: Node, position: int) -> Sizes:
    """Note that a node reads these constants, so that a new value can be put there."""
    flat = [
        Size(size.value, source=(node.index, position, number))
        for number, size in enumerate(sizes.reshape(-1))
    ]
    return _fill(sizes.shape, flat)


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
    return _fill((len(found),), found)


def _counter(ids: IdArray) -> Callable[[Alive], float]:
    return lambda alive: int(alive(ids).sum())


def _fill(shape: Shape, flat: Sequence[Size]) -> Sizes:
    out = np.empty(len(flat), dtype=object)
    out[:] = flat
    return out.reshape(shape)


def _onnx_div(left: float, right: float) -> float:
    if isinstance(left, int) and isinstance(right, int):
        return int(left / right) if right else 0  # ONNX truncates towards zero
    return left / right if right else 0.0


_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": _onnx_div,
    "Min": min,
    "Max": max,
    "Equal": operator.eq,
}
_UNARY: Mapping[str, Callable[[Any], Any]] = {
    "Neg": operator.neg,
    "Floor": lambda value: float(np.floor(value)),
    "Ceil": lambda value: float(np.ceil(value)),
    "Sqrt": lambda value: float(value) ** 0.5 if value >= 0 else float("nan"),
    "Identity": lambda value: value,
}
_MOVING = ("Gather", "Slice", "Squeeze", "Unsqueeze", "Reshape")
_INTEGER_TYPES = (6, 7)  # TensorProto.INT32, INT64


def compute_sizes(
    node: Node, operands: Sequence[Sizes | None], shape: Sizes | None
) -> Sizes | None:
    """Evaluate one node of shape arithmetic.

    Args:
        node: The node.
        operands: Its inputs as sizes, None for other tensors and absent ones.
        shape: The shape of its first input, for operator Shape.

    Returns:
        Its first output as sizes, or None if this node is no shape arithmetic.
    """
    if node.domain:
        return None
    if node.op == "Shape" and shape is not None:
        return shape[_shape_window(node)]
    if not operands or any(sizes is None for sizes in operands):
        return None
    known = [sizes for sizes in operands if sizes is not None]
    function = _elementwise(node, len(known))
    if function is not None:
        met = np.broadcast_arrays(*known)
        parts = zip(*(sizes.reshape(-1) for sizes in met), strict=True)
        return _fill(met[0].shape, [_combine(function, part) for part in parts])
    return _rearranged(node, known)


def _elementwise(node: Node, count: int) -> Callable[..., Any] | None:
    """Return what an operator computes of so many numbers at a time."""
    if node.op in _BINARY and count == 2:
        return _BINARY[node.op]
    if node.op == "Where" and count == 3:
        return _choose
    return _cast(node) if node.op == "Cast" else _UNARY.get(node.op)


def _combine(function: Callable[..., Any], parts: Sequence[Size]) -> Size:
    value = function(*(p.value for p in parts))
    ids = tuple(i for p in parts for i in p.ids)
    is_open = any(p.is_open for p in parts)
    if not ids:
        return Size(value, source=_written_at(function, parts, value), is_open=is_open)
    return Size(
        value, ids, lambda alive: function(*(p.pruned(alive) for p in parts)), None, is_open
    )


def _choose(condition: float, left: float, right: float) -> float:
    return left if condition else right


def _written_at(function: Callable[..., Any], parts: Sequence[Size], value: float) -> Place | None:
    """Return where a number can be written that a computed one follows."""
    if len(parts) == 1 and value == parts[0].value:
        return parts[0].source
    if function is _choose and not parts[0].is_open:
        return parts[1 if parts[0].value else 2].source
    if function is operator.mul and value:
        # batch x heads, analysed at batch 1: what is written for the heads is what comes out
        fixed = [part for part in parts if not part.is_open]
        if len(fixed) == 1 and fixed[0].value == value:
            return fixed[0].source
    return None


def _cast(node: Node) -> Callable[[Any], Any]:
    return int if node.attributes.get("to") in _INTEGER_TYPES else float


def used_up(node: Node, operands: Sequence[Sizes | None], computed: Sizes) -> set[Place]:
    """Return the numbers that a node of shape arithmetic turns into others.

    Such a number cannot be written anew for the sake of another reader: the result would change.
    What a Gather or Slice merely leaves out does not count, nor what is held against -1, the mark
    of an axis to keep: any number of channels differs from it.
    """
    if node.op == "Equal" and any(sizes is not None and _is_mark(sizes) for sizes in operands):
        return set()
    moved = operands if node.op == "Concat" else operands[: node.op in _MOVING]
    kept = {size.source for size in computed.reshape(-1)}
    found: set[Place] = set()
    for position, sizes in enumerate(operands):
        if sizes is not None and position >= len(moved):
            found.update(s.source for s in sizes.reshape(-1) if s.source is not None)
    return found - {source for source in kept if source is not None}


def _is_mark(sizes: Sizes) -> bool:
    return all(size.value < 0 and not size.ids for size in sizes.reshape(-1))


def _entering(sizes: Sizes, place: Place) -> Sizes:
    """Note that a number which is the same at all input sizes can be written into a Concat."""
    flat = np.atleast_1d(sizes)
    if len(flat) != 1 or flat[0].is_open or flat[0].source is not None:
        return flat
    return _fill((1,), [replace(flat[0], source=place)])


def _shape_window(node: Node) -> slice:
    end = node.attributes.get("end")
    return slice(node.int("start", 0), int(end) if isinstance(end, int) else None)


def _rearranged(node: Node, known: Sequence[Sizes]) -> Sizes | None:
    """Apply an operator that moves elements to the arrays of sizes themselves."""
    first = known[0]
    if node.op == "ConstantOfShape":
        return _repeated(node, first)
    if node.op != "Concat" and any(s.ids or s.is_open for k in known[1:] for s in k.reshape(-1)):
        return None  # which elements are taken depends on a size
    numbers = [[int(size.value) for size in sizes.reshape(-1)] for sizes in known]
    moved: Sizes | None = None
    match node.op:
        case "Concat":
            parts = [_entering(sizes, (node.index, at, 0)) for at, sizes in enumerate(known)]
            moved = np.concatenate(parts)
        case "Gather":
            index = np.array(numbers[1], int).reshape(known[1].shape)
            moved = np.asarray(np.take(first, index, axis=0), dtype=object)
        case "Slice" if len(known) >= 3:
            step = numbers[4][0] if len(known) > 4 else 1
            past_front = step < 0 and numbers[2][0] < -len(first)
            moved = first[numbers[1][0] : None if past_front else numbers[2][0] : step]
        case "Slice":
            moved = first[node.ints("starts")[0] : node.ints("ends")[0]]
        case "Squeeze":
            moved = first.reshape(()) if first.size == 1 else first
        case "Unsqueeze" if first.ndim == 0:
            moved = first.reshape(1)
        case "Reshape" if len(known) == 2 and len(numbers[1]) <= 1:
            moved = first.reshape(numbers[1])
    return moved


def _repeated(node: Node, shape: Sizes) -> Sizes | None:
    """Evaluate ConstantOfShape, where it makes a vector of a length that never changes."""
    if len(shape) != 1 or shape[0].ids or shape[0].is_open:
        return None
    length = int(shape[0].value)
    if not 0 <= length <= MOST_ELEMENTS:
        return None
    value = node.attributes.get("value")
    number = value.reshape(-1)[0].item() if isinstance(value, np.ndarray) else 0.0
    return _fill((length,), [Size(number)] * length)
