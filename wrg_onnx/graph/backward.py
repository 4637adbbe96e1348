"""Slices that go backwards: onnx 1.23 ends the process where the axis of one has length 0."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx
from onnx import numpy_helper

from wrg_onnx.graph.wire import key_of

_DATA, _STEPS = 0, 4
"""The places of a Slice's operands."""

_UNKNOWN = "\0steps"
"""The name of a tensor that no model has."""


def backward_slices(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the Slices of a graph and of its bodies that go backwards by a number in the file."""
    numbers = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from backward_slices(attribute.g)
            elif node.op_type == "Constant" and attribute.name == "value" and node.output:
                numbers[node.output[0]] = attribute.t
        if node.op_type == "Slice" and not node.domain and len(node.input) > _STEPS:
            steps = numbers.get(node.input[_STEPS])
            if steps is not None and (key_of(steps) or _is_negative(steps)):
                yield node


def _is_negative(steps: onnx.TensorProto) -> bool:
    return bool((numpy_helper.to_array(steps) < 0).any())


def hold(model: onnx.ModelProto, made: Collection[str]) -> onnx.ModelProto:
    """Return a copy of a model in which some Slices do not say how far they go.

    Args:
        model: The message.
        made: What they make.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in list(backward_slices(copy.graph)):
        if made_by(node) in made:
            node.input[_STEPS] = _UNKNOWN
    return copy


def made_by(node: onnx.NodeProto) -> str:
    """Return what a Slice makes; by that it is known."""
    return node.output[0] if node.output else ""


def full_axes(model: onnx.ModelProto, inferred: onnx.ModelProto) -> set[str]:
    """Return what those Slices make that read a tensor none of whose axes can be empty.

    Args:
        model: The message.
        inferred: The same with types.
    """
    full: set[str] = set()
    other: set[str] = set()
    for part in _graphs(inferred.graph):
        for tensor in part.initializer:
            (full if all(size > 0 for size in tensor.dims) else other).add(tensor.name)
        for info in (*part.input, *part.output, *part.value_info):
            dims = info.type.tensor_type.shape.dim
            is_full = info.type.tensor_type.HasField("shape") and all(d.dim_value > 0 for d in dims)
            (full if is_full else other).add(info.name)
    known = full - other  # bodies beside each other may use the same names
    return {made_by(n) for n in backward_slices(model.graph) if n.input[_DATA] in known}


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _graphs(attribute.g)
