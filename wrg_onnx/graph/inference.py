"""ONNX shape inference with data propagation, kept from propagating what is no size."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import numpy_helper, shape_inference

from wrg_onnx.graph.wire import key_of

MOST_PROPAGATED = 1 << 20
"""A list of sizes has not so many elements: onnx keeps each as a record of 80 bytes."""


def infer(model: onnx.ModelProto) -> onnx.ModelProto:
    """Infer the shapes and types of a model's tensors, through the sizes that it computes.

    Args:
        model: The message; it stays as it is.

    Returns:
        A copy with types.

    Raises:
        onnx.shape_inference.InferenceError: If shapes contradict each other.
        google.protobuf.message.DecodeError: If the message cannot be read again.
    """
    # A tensor that is filled or numbered up to a number in the file may be of any length.
    return shape_inference.infer_shapes(model, data_prop=not any(_long_lists(model.graph)))


def _long_lists(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the names of tensors that a number in the file makes longer than any list of sizes."""
    numbers: dict[str, onnx.TensorProto] = {t.name: t for t in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _long_lists(attribute.g)
            elif node.op_type == "Constant" and attribute.name == "value":
                numbers[node.output[0]] = attribute.t
        if node.op_type in ("Range", "ConstantOfShape") and not node.domain:
            found = (numbers[name] for name in node.input if name in numbers)
            if any(_is_large(tensor) for tensor in found):
                yield node.output[0]


def _is_large(tensor: onnx.TensorProto) -> bool:
    if tensor.data_type not in (onnx.TensorProto.INT64, onnx.TensorProto.INT32):
        return False
    return key_of(tensor) is None and bool((numpy_helper.to_array(tensor) > MOST_PROPAGATED).any())
