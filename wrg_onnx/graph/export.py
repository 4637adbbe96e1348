"""From records back to an ONNX message, with the weights inside it or beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import helper
from onnx_graphsurgeon.ir.tensor import LazyValues

from wrg_onnx.graph.load import LARGE_COUNT, Source
from wrg_onnx.graph.model import Array, Graph


def to_proto(
    graph: Graph, *, outputs: Sequence[str] = ()
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Write a graph as an ONNX message whose large initializers stay outside.

    Names, versions, metadata and the order of inputs are those of the file; shapes of intermediate
    tensors are left out, because pruning changes them.

    Args:
        graph: The graph to write.
        outputs: Intermediate tensors to expose as further outputs.

    Returns:
        The message, and the large initializers by name. In the message these are declared as
        external data, so that a session takes them from memory without a copy.
    """
    source: Source = graph.source
    surgeon = source.surgeon.copy()
    weights: dict[str, Array] = {}
    for tensor in surgeon.tensors().values():
        if isinstance(tensor, gs.Constant) and isinstance(tensor.values, np.ndarray):
            array = tensor.values
            if array.size >= LARGE_COUNT and array.dtype.hasobject is False:
                weights[tensor.name] = array
                tensor.values = LazyValues(_external(tensor.name, array))
    model = gs.export_onnx(surgeon)
    _forget_shapes(model.graph)
    _restore_header(model, source, graph)
    for name in outputs:
        model.graph.output.append(helper.make_empty_tensor_value_info(name))
    return model, weights


def embed(model: onnx.ModelProto, weights: dict[str, Array]) -> None:
    """Put the weights into the message, in place."""
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            tensor.raw_data = np.ascontiguousarray(weights[tensor.name]).tobytes()


def _external(name: str, array: Array) -> onnx.TensorProto:
    tensor = onnx.TensorProto(
        name=name,
        data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
        dims=array.shape,
        data_location=onnx.TensorProto.EXTERNAL,
    )
    tensor.external_data.add(key="location", value="weights")
    return tensor


def _forget_shapes(graph: onnx.GraphProto) -> None:
    """Drop the recorded types of intermediate tensors, those of bodies included."""
    del graph.value_info[:]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _forget_shapes(attribute.g)


def _restore_header(model: onnx.ModelProto, source: Source, graph: Graph) -> None:
    """Bring back what graphsurgeon does not carry: metadata, and initializers that are inputs."""
    opsets = list(model.opset_import)
    body = onnx.GraphProto()
    body.CopyFrom(model.graph)
    model.CopyFrom(source.header)
    model.graph.CopyFrom(body)
    known = {o.domain for o in model.opset_import}
    model.opset_import.extend(o for o in opsets if o.domain not in known)
    del model.functions[:]
    if not source.fed_initializers:
        return
    values = {value.name: value for value in model.graph.input}
    for name in source.fed_initializers & set(graph.constants):
        array = graph.constants[name]
        dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
        values[name] = helper.make_tensor_value_info(name, dtype, array.shape)
    del model.graph.input[:]
    model.graph.input.extend(values[name] for name in source.input_names if name in values)
