"""From records back to an ONNX message; the large weights stay outside until they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import helper, numpy_helper
from onnx_graphsurgeon.ir.tensor import LazyValues

from wrg_onnx.graph.from_graphsurgeon import Source
from wrg_onnx.graph.load import LARGE_COUNT
from wrg_onnx.graph.model import Array, Graph

KEPT_BYTES = 1 << 22
"""The largest message that a graph keeps for the next time it is asked for."""


def to_proto(
    graph: Graph, *, outputs: Sequence[str] = ()
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Write a graph as an ONNX message without its large initializers.

    Names, versions, metadata and the order of inputs are those of the file; shapes of intermediate
    tensors are left out, because pruning changes them.

    Args:
        graph: The graph to write.
        outputs: Intermediate tensors to expose as further outputs.

    Returns:
        The message, and the large initializers by name. ``declare_inputs``, ``declare_external`` or
        ``write_message`` bring the two together.
    """
    source: Source = graph.source
    if not source.exported:
        made, weights = _export(graph)
        if made.ByteSize() > KEPT_BYTES:  # weights in Constant nodes, say: too much to hold twice
            return _with_outputs(made, outputs), weights
        source.exported.append((made, tuple(weights)))
    kept, names = source.exported[0]
    model = onnx.ModelProto()
    model.CopyFrom(kept)
    constants = graph.constants
    return _with_outputs(model, outputs), {n: np.ascontiguousarray(constants[n]) for n in names}


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    for name in names:
        model.graph.output.append(helper.make_empty_tensor_value_info(name))
    return model


def _export(graph: Graph) -> tuple[onnx.ModelProto, dict[str, Array]]:
    source: Source = graph.source
    weights: dict[str, Array] = {}
    with _light_values(source.surgeon, weights):
        model = gs.export_onnx(source.surgeon)
    _forget_shapes(model.graph)
    _restore_header(model, source, graph)
    _restore_aside(model.graph, source, weights)
    small = [t for t in model.graph.initializer if t.name not in weights]
    # The list is made anew: deleting single entries of a protobuf list is quadratic.
    copies = [onnx.TensorProto.FromString(t.SerializeToString()) for t in small]
    del model.graph.initializer[:]
    model.graph.initializer.extend(copies)
    return model, weights


@contextmanager
def _light_values(surgeon: gs.Graph, weights: dict[str, Array]) -> Iterator[None]:
    """Let headers stand in for the large constants while the graph is exported.

    A copy of the graph would take as long as its export. 4-bit constants are handed over packed.
    """
    constants = [t for t in surgeon.tensors().values() if isinstance(t, gs.Constant)]
    held = [node.attrs.get("value") for node in surgeon.nodes]
    packed = [value for value in held if isinstance(value, gs.Constant)]
    before = []
    for number, tensor in enumerate((*constants, *packed)):
        array = tensor.values
        is_large = number < len(constants) and array.size >= LARGE_COUNT
        if is_large and array.dtype.kind in "fiub":
            weights[tensor.name] = np.ascontiguousarray(array)
            before.append((tensor, array))
            tensor.values = LazyValues(_header(tensor.name, array))
        elif array.dtype.kind == "V":
            before.append((tensor, array))
            tensor.values = _packed(tensor.name, array)
    try:
        yield
    finally:
        for tensor, array in before:
            tensor.values = array


def declare_inputs(model: onnx.ModelProto, weights: Mapping[str, Array]) -> None:
    """Declare the weights as inputs, in place: a session then reads them where they are."""
    known = {value.name for value in model.graph.input}
    for name, array in weights.items():
        if name not in known:
            dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
            model.graph.input.append(helper.make_tensor_value_info(name, dtype, array.shape))


def declare_external(
    model: onnx.ModelProto, weights: Mapping[str, Array], location: str = "weights"
) -> None:
    """Declare the weights as initializers whose values are elsewhere, in place."""
    for name, array in weights.items():
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(_header(name, array))
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)


def write_message(
    model: onnx.ModelProto, weights: Mapping[str, Array]
) -> Iterator[bytes | memoryview]:
    """Yield the model with its weights, piece by piece, as protobuf wire format.

    Serialising the whole message would hold the weights three times. Here each array's own memory
    is a piece: the graph is a length-delimited field of the model, an initializer one of the graph,
    ``raw_data`` one of the initializer.

    Source: https://protobuf.dev/programming-guides/encoding/
    """
    # model: the other fields | tag, length | graph
    # graph: the other fields | for each weight: tag, length | initializer
    # initializer: name, type, dims | tag, length | the array's own bytes
    body = model.graph.SerializeToString()
    tensors = [(_header(name, a).SerializeToString(), a) for name, a in weights.items()]
    prefixes = []
    total = len(body)
    for header, array in tensors:
        data = _field(_TENSOR_RAW_DATA, array.nbytes)
        inner = len(header) + len(data) + array.nbytes
        prefix = _field(_GRAPH_INITIALIZER, inner) + header + data
        prefixes.append(prefix)
        total += len(prefix) + array.nbytes
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    rest.ClearField("graph")
    yield rest.SerializeToString() + _field(_MODEL_GRAPH, total) + body
    for prefix, (_, array) in zip(prefixes, tensors, strict=True):
        yield prefix
        yield array.reshape(-1).view(np.uint8).data


def to_message(graph: Graph) -> onnx.ModelProto:
    """Write a graph as one ONNX message with its weights, as ``save`` writes it into a file."""
    model, weights = to_proto(graph)
    for name, array in weights.items():
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(_header(name, array))
        tensor.raw_data = array.tobytes()
    return model


def message_bytes(graph: Graph) -> int:
    """Return the size of a graph as one message, without making it."""
    pieces = write_message(*to_proto(graph))
    return sum(p.nbytes if isinstance(p, memoryview) else len(p) for p in pieces)


_MODEL_GRAPH = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_GRAPH_INITIALIZER = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
_TENSOR_RAW_DATA = onnx.TensorProto.DESCRIPTOR.fields_by_name["raw_data"].number


def _field(number: int, length: int) -> bytes:
    """Encode the tag and the length of a length-delimited field."""
    return _varint(number << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    # 7 bits a byte, the lowest first; the highest bit says that another byte follows.
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _header(name: str, array: Array) -> onnx.TensorProto:
    return onnx.TensorProto(
        name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape
    )


def _packed(name: str, array: Array) -> LazyValues:
    """Hand over an array as its message; graphsurgeon would write 4-bit elements a byte each."""
    return LazyValues(numpy_helper.from_array(array, name))


def _forget_shapes(graph: onnx.GraphProto) -> None:
    """Drop the recorded types of intermediate tensors, and the lengths that branches return."""
    del graph.value_info[:]
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _forget_shapes(attribute.g)
                for value in attribute.g.output if node.op_type == "If" else ():
                    for dim in value.type.tensor_type.shape.dim:
                        dim.ClearField("dim_value")


def _restore_aside(graph: onnx.GraphProto, source: Source, weights: dict[str, Array]) -> None:
    """Put initializers that only bodies read back where they were: into the main graph, once."""
    outer = {*source.aside, *weights, *(tensor.name for tensor in graph.initializer)}
    _drop_copies(graph, outer)
    for name, array in source.aside.items():
        if array.size >= LARGE_COUNT and array.dtype.kind in "fiub":
            weights[name] = np.ascontiguousarray(array)
        else:
            graph.initializer.append(numpy_helper.from_array(array, name))


def _drop_copies(graph: onnx.GraphProto, outer: set[str]) -> None:
    """Take outer initializers out of the bodies that graphsurgeon copies them into."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type != onnx.AttributeProto.GRAPH:
                continue
            own = [t for t in attribute.g.initializer if t.name not in outer]
            names = {tensor.name for tensor in own}
            if len(own) < len(attribute.g.initializer):
                kept = [onnx.TensorProto.FromString(t.SerializeToString()) for t in own]
                del attribute.g.initializer[:]
                attribute.g.initializer.extend(kept)
            _drop_copies(attribute.g, outer | names)


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
