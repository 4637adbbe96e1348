"""ONNX shape inference with data propagation, kept from propagating what is no size.

To follow the numbers in lists of sizes onnx keeps a record for each element, and takes every row of
numbers for such a list that an operator of shape arithmetic reads: an addition to one of 2^36
values is enough. How long such rows are is found out first, where nothing can be as long.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import onnx
from onnx import shape_inference

from wrg_onnx.errors import one_line
from wrg_onnx.graph.backward import backward_slices, full_axes, hold, made_by

MOST_PROPAGATED = 1 << 21
"""How many elements are followed: a record has 140 bytes."""

FOLLOWED = frozenset(
    schema.name
    for schema in onnx.defs.get_all_schemas()
    if schema.has_data_propagation_function and not schema.domain
)
"""The operators through which onnx follows the numbers in lists of sizes."""

_LONGEST_SHAPE = 64
"""How many numbers a Shape gives at most; no tensor has so many axes."""

_MOST_ROUNDS = 16
"""How often it is tried to know more of the axes of Slices that go backwards."""

_UNKNOWN = "\0unknown"
"""The name of a tensor that no model has."""


def infer(model: onnx.ModelProto) -> onnx.ModelProto:
    """Infer the shapes and types of a model's tensors, through the sizes that it computes.

    Args:
        model: The message; it stays as it is.

    Returns:
        A copy with types. Computed sizes are not followed where rows of numbers are longer than any
        list of sizes.

    Raises:
        onnx.shape_inference.InferenceError: If shapes contradict each other.
        google.protobuf.message.DecodeError: If the message cannot be read again.
    """
    held = _held_back(model)
    plain = _infer(model, held)
    if _is_known(plain.graph):
        return plain  # computed sizes have no more to say
    readers = _readers(model.graph)
    rows = _Rows(readers, plain.graph)
    if rows.length > MOST_PROPAGATED or _joined_length(model.graph) > MOST_PROPAGATED:
        return plain
    if rows.is_open:
        # Sizes are followed, and what they make is not read by what follows them.
        cut = onnx.ModelProto()
        cut.CopyFrom(model)
        _cut(cut.graph, frozenset())
        found = _infer(cut, held, data_prop=True)
        if _Rows(readers, found.graph).length > MOST_PROPAGATED:
            return plain
    return _infer(model, held, data_prop=True)


def infer_plainly(
    model: onnx.ModelProto, *, data_prop: bool = False, strict: bool = False
) -> onnx.ModelProto:
    """Infer shapes and types as onnx does.

    Args:
        model: The message; it stays as it is.
        data_prop: Whether the sizes that it computes are followed, however many there are.
        strict: Whether types are checked, and a node that does not infer is an error.

    Returns:
        A copy with types.

    Raises:
        onnx.shape_inference.InferenceError: If shapes contradict each other, or a node is not as
            its operator has it.
        google.protobuf.message.DecodeError: If the message cannot be read again.
    """
    return _infer(model, _held_back(model), data_prop=data_prop, strict=strict)


def _held_back(model: onnx.ModelProto) -> frozenset[str]:
    """Return what those Slices make that onnx may not look at before their axes are known."""
    return frozenset(made_by(node) for node in backward_slices(model.graph))


def _infer(
    model: onnx.ModelProto, slices: frozenset[str], *, data_prop: bool = False, strict: bool = False
) -> onnx.ModelProto:
    held = set(slices)
    # One may make what the next one reads: each says how far it goes once that is known.
    for _ in range(_MOST_ROUNDS if held else 0):
        let_go = held & full_axes(model, _call(hold(model, held), data_prop=data_prop))
        held -= let_go
        if not held or not let_go:
            break
    return _call(hold(model, held) if held else model, data_prop=data_prop, strict=strict)


def _call(
    model: onnx.ModelProto, *, data_prop: bool = False, strict: bool = False
) -> onnx.ModelProto:
    try:
        return shape_inference.infer_shapes(
            model, check_type=strict, strict_mode=strict, data_prop=data_prop
        )
    except (ValueError, IndexError) as error:  # of what it reads of a node
        raise shape_inference.InferenceError(one_line(error)) from error


def _is_known(graph: onnx.GraphProto) -> bool:
    """Tell whether the size of each axis is known of all that a graph's nodes make."""
    known = {info.name for info in (*graph.value_info, *graph.output) if _is_fixed(info)}
    return all(
        all(name in known for name in node.output if name)
        and all(_is_known(part.g) for part in node.attribute if part.HasField("g"))
        for node in graph.node
    )


def _is_fixed(info: onnx.ValueInfoProto) -> bool:
    tensor = info.type.tensor_type
    return tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim)


@dataclass(frozen=True, slots=True)
class _Readers:
    """What operators of shape arithmetic read in a graph.

    Attributes:
        read: The inputs of each.
        bodies: Those in its bodies, by the places of a node and of its attribute.
    """

    read: list[set[str]]
    bodies: list[tuple[int, int, _Readers]]


def _readers(graph: onnx.GraphProto) -> _Readers | None:
    """Find what follows sizes in a graph; None where nothing does."""
    found = _Readers([], [])
    for place, node in enumerate(graph.node):
        if node.op_type in FOLLOWED and not node.domain:
            found.read.append({name for name in node.input if name})
        for number, attribute in enumerate(node.attribute):
            if attribute.type == onnx.AttributeProto.GRAPH:
                inside = _readers(attribute.g)
                if inside is not None:
                    found.bodies.append((place, number, inside))
    return found if found.read or found.bodies else None


class _Rows:
    """The rows of numbers that operators of shape arithmetic read.

    Attributes:
        length: How many numbers they have together.
        is_open: Whether the length of one is not known.
    """

    def __init__(self, readers: _Readers | None, inferred: onnx.GraphProto) -> None:
        self.length = 0
        self.is_open = False
        if readers is not None:
            self._add(readers, inferred, ChainMap())

    def _add(
        self, readers: _Readers, inferred: onnx.GraphProto, around: ChainMap[str, int]
    ) -> None:
        known = ChainMap(dict(_lengths(inferred)), *around.maps)
        for names in readers.read:
            read = [known.get(name) for name in names]
            self.length += sum(length for length in read if length)
            self.is_open |= None in read
        for place, number, inside in readers.bodies:
            self._add(inside, inferred.node[place].attribute[number].g, known)


def _lengths(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    """Yield the lengths of a graph's rows of numbers, 0 for tensors that are none."""
    for tensor in graph.initializer:
        yield tensor.name, tensor.dims[0] if len(tensor.dims) == 1 else 0
    for info in (*graph.input, *graph.output, *graph.value_info):
        shape = info.type.tensor_type.shape
        if len(shape.dim) != 1:
            if info.type.tensor_type.HasField("shape"):
                yield info.name, 0
        elif shape.dim[0].HasField("dim_value"):
            yield info.name, shape.dim[0].dim_value


def _cut(graph: onnx.GraphProto, around: frozenset[str]) -> None:
    """Have operators that follow sizes read nothing but what others of them made, in place."""
    kept = set(around)
    kept.update(tensor.name for tensor in graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _cut(attribute.g, frozenset(kept))
        if node.op_type == "Constant" and not node.domain:
            kept.update(node.output)
        elif node.op_type in FOLLOWED and not node.domain:
            if node.op_type not in ("Shape", "Size"):
                node.input[:] = [name if name in kept else _UNKNOWN for name in node.input]
            kept.update(node.output)


def _joined_length(graph: onnx.GraphProto, around: Mapping[str, int] | None = None) -> int:
    """Return how long a list becomes at most that is joined of others, again and again."""
    lengths = dict(around or {})
    longest = 0
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                longest = max(longest, _joined_length(attribute.g, lengths))
        if node.domain or node.op_type not in FOLLOWED or not node.output:
            continue
        own = [lengths.get(name, 0) for name in node.input]
        length = sum(own) if node.op_type == "Concat" else max(own, default=0)
        if node.op_type == "Shape":
            length = _LONGEST_SHAPE
        lengths[node.output[0]] = length
        longest = max(longest, length)
    return longest
