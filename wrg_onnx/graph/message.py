"""From a graph to an ONNX message: without its large weights, or with all of them inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from wrg_onnx.graph.inference import infer, infer_plainly
from wrg_onnx.graph.mapped import Place
from wrg_onnx.graph.model import Graph
from wrg_onnx.graph.records import Source, as_array, tensors
from wrg_onnx.graph.weights import Array, Entry, Form, Weights, is_bfloat16
from wrg_onnx.graph.wire import key_of

KEPT_BYTES = 1 << 22
"""The largest message that a graph keeps for the next time it is asked for."""

NUMBERS = "fiub"
"""The kinds of numpy types that ONNX Runtime takes from Python: bfloat16 and its like are none."""


def without_weights(
    graph: Graph, *, outputs: Sequence[str] = (), for_session: bool = False
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """Write a graph as an ONNX message without the large constants of the main graph.

    Names, versions, metadata and the order of inputs are those of the file; types of intermediate
    tensors are left out. Weights in bodies are inside.

    Args:
        graph: The graph to write.
        outputs: Intermediate tensors to expose as further outputs.
        for_session: Whether weights of types that ONNX Runtime does not take from Python are
            inside, too.

    Returns:
        The message, and the names of the constants that it lacks. ``declare_inputs`` or
        ``declare_external`` bring the two together.
    """
    source: Source = graph.source
    absent = tuple(
        name for name, form in _large(source) if not for_session or is_fed_apart(graph, form)
    )
    if absent in source.light:
        model = onnx.ModelProto()
        model.CopyFrom(source.light[absent])
    else:
        model = _written(source, set(absent))
        if model.ByteSize() <= KEPT_BYTES:
            kept = onnx.ModelProto()
            kept.CopyFrom(model)
            source.light[absent] = kept
    for name in outputs:
        model.graph.output.append(helper.make_empty_tensor_value_info(name))
    return model, absent


def is_fed_apart(graph: Graph, form: Form) -> bool:
    """Tell whether a session of a graph takes such a weight beside the message."""
    return form.dtype.kind in NUMBERS or (graph.widened and is_bfloat16(form.dtype))


def _large(source: Source) -> Iterator[tuple[str, Form]]:
    """Yield the large constants of the main graph by name."""
    part = source.message.graph
    held = [(tensor.name, tensor) for tensor in part.initializer]
    for node in part.node:
        if node.op_type == "Constant" and not node.domain and len(node.output) == 1:
            held += [(node.output[0], a.t) for a in node.attribute if a.name == "value"]
    for name, tensor in held:
        key = key_of(tensor)
        if key is not None:
            yield name, source.weights[key]


def _written(source: Source, absent: set[str]) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(source.message)
    part = model.graph
    if absent:
        # Lists are made anew: deleting single entries of a protobuf list is quadratic.
        small = [t for t in source.message.graph.initializer if t.name not in absent]
        del part.initializer[:]
        part.initializer.extend(small)
        for node in part.node:
            if node.op_type == "Constant" and node.output[0] in absent:
                _empty(node)
    for each in _graphs(part):
        del each.value_info[:]
        _forget_branches(each)
    fill(part, source.weights)
    return model


def _forget_branches(part: onnx.GraphProto) -> None:
    """Drop the lengths that branches of a graph return: pruning changes them."""
    for node in part.node:
        for attribute in node.attribute if node.op_type == "If" else ():
            for value in attribute.g.output:
                for dim in value.type.tensor_type.shape.dim:
                    dim.ClearField("dim_value")


def _graphs(part: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and all bodies in it."""
    yield part
    for body in bodies(part):
        yield from _graphs(body)


def bodies(part: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs among the attributes of a graph's nodes."""
    for node in part.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield attribute.g


def _empty(node: onnx.NodeProto) -> None:
    """Let a Constant node make a number that nobody reads: the nodes behind keep their places."""
    del node.attribute[:]
    zero = numpy_helper.from_array(np.zeros((), np.float32))
    node.attribute.append(helper.make_attribute("value", zero))
    node.output[0] = f"{node.output[0]}{_ELSEWHERE}"


_ELSEWHERE = "\0elsewhere"
"""No name of a file ends like this."""


def fill(part: onnx.GraphProto, weights: Mapping[str, Entry]) -> None:
    """Give the tensors of a graph that refer to weights their values, in place."""
    for tensor in tensors(part):
        fill_tensor(tensor, weights)


def fill_tensor(tensor: onnx.TensorProto, weights: Mapping[str, Entry]) -> None:
    """Give a tensor that refers to a weight its values, in place."""
    key = key_of(tensor)
    if key is not None:
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = payload(as_array(weights[key]))


def payload(array: Array) -> bytes:
    """Return the bytes of an array as a file has them: several elements a byte where it packs."""
    packed: bytes = numpy_helper.from_array(array).raw_data
    return packed


def declare_inputs(model: onnx.ModelProto, forms: Mapping[str, Form]) -> None:
    """Declare weights as inputs, in place: a session then reads them where they are."""
    known = {value.name for value in model.graph.input}
    for name, form in forms.items():
        if name not in known:
            dtype = helper.np_dtype_to_tensor_dtype(form.dtype)
            model.graph.input.append(helper.make_tensor_value_info(name, dtype, form.shape))


def declare_external(
    model: onnx.ModelProto, name: str, form: Form, place: Place | None = None
) -> None:
    """Declare a weight as an initializer whose values are elsewhere, in place.

    Args:
        model: The message.
        name: The weight's name.
        form: Its shape and type.
        place: Where its values are in a file; None if they are handed over in memory.
    """
    tensor = model.graph.initializer.add(name=name, dims=form.shape)
    tensor.data_type = helper.np_dtype_to_tensor_dtype(form.dtype)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entries = {"location": "weights"}
    if place is not None:
        entries = {
            "location": place.path.name,
            "offset": str(place.offset),
            "length": str(form.nbytes),
        }
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


def to_message(graph: Graph) -> onnx.ModelProto:
    """Write a graph as one ONNX message with its weights, as ``save`` writes it into a file."""
    model = to_write(graph)
    source: Source = graph.source
    fill(model.graph, source.weights)
    return model


def to_write(graph: Graph) -> onnx.ModelProto:
    """Return the message that is written: its large tensors refer to weights still.

    The types of intermediate tensors that the file recorded are inferred anew, because pruning
    changes them.
    """
    source: Source = graph.source
    model = onnx.ModelProto()
    model.CopyFrom(source.message)
    found = onnx.ModelProto()
    if any(part.value_info for part in _graphs(model.graph)):
        found, absent = without_weights(graph)
        declare_inputs(found, {name: graph.constants.forms[name] for name in absent})
        with suppress(onnx.shape_inference.InferenceError, DecodeError):  # the checker says why
            found = infer(found)
    _record_types(model.graph, found.graph, graph.constants)
    for part in _graphs(model.graph):
        _forget_branches(part)
    return model


def _record_types(part: onnx.GraphProto, inferred: onnx.GraphProto, constants: Weights) -> None:
    """Put inferred types in the place of recorded ones, in place; those not found are left out."""
    types = {info.name: info.type for info in inferred.value_info}
    recorded = list(part.value_info)
    for info in recorded:
        if info.name in constants:  # a few exporters record their types, too
            form = constants.forms[info.name]
            kind = helper.np_dtype_to_tensor_dtype(form.dtype)
            types[info.name] = helper.make_tensor_type_proto(kind, form.shape)
    kept = [_typed(info, types[info.name]) for info in recorded if info.name in types]
    del part.value_info[:]
    part.value_info.extend(kept)
    for body, found in zip(bodies(part), bodies(inferred), strict=False):
        _record_types(body, found, Weights())


def _typed(old: onnx.ValueInfoProto, kind: onnx.TypeProto) -> onnx.ValueInfoProto:
    info = onnx.ValueInfoProto()
    info.CopyFrom(old)
    info.type.CopyFrom(kind)
    _name_sizes(info, old)
    return info


def element_types(graph: Graph) -> dict[str, np.dtype[Any]]:
    """Infer the element types of the tensors that nodes make, as far as they are known."""
    light, absent = without_weights(graph)
    declare_inputs(light, {name: graph.constants.forms[name] for name in absent})
    try:
        found = infer_plainly(light)
    except (onnx.shape_inference.InferenceError, DecodeError):
        return {}
    kinds = {
        info.name: info.type.tensor_type.elem_type
        for info in (*found.graph.value_info, *found.graph.output)
    }
    known = set(helper.get_all_tensor_dtypes())
    return {
        name: np.dtype(helper.tensor_dtype_to_np_dtype(kind))
        for name, kind in kinds.items()
        if kind in known and kind
    }


def infer_outputs(graph: Graph) -> bool:
    """Find the types of outputs that the file does not give, and write them into the message.

    A file may leave them out, or the shape of one; other tools ask for them.

    Returns:
        Whether there are any.
    """
    source: Source = graph.source
    untyped = [info for info in source.message.graph.output if _lacks_shape(info.type)]
    if not untyped:
        return False
    light, absent = without_weights(graph)
    declare_inputs(light, {name: graph.constants.forms[name] for name in absent})
    source.light.clear()
    try:
        found = infer(light)
    except (onnx.shape_inference.InferenceError, DecodeError):
        return False  # the analysis says why
    types = {info.name: info.type for info in found.graph.output}
    symbols = {dim.dim_param for info in source.message.graph.input
               for dim in info.type.tensor_type.shape.dim}  # fmt: skip
    for info in untyped:
        info.type.MergeFrom(types[info.name])
        for size in info.type.tensor_type.shape.dim:
            if size.dim_param not in symbols:  # inference makes names up
                size.ClearField("dim_param")
    return True


def _lacks_shape(kind: onnx.TypeProto) -> bool:
    is_tensor = kind.WhichOneof("value") in (None, "tensor_type")
    return is_tensor and not kind.tensor_type.HasField("shape")


def _name_sizes(info: onnx.ValueInfoProto, old: onnx.ValueInfoProto) -> None:
    """Call axes and open sizes what the file called them: inference makes names up."""
    sizes, before = info.type.tensor_type.shape.dim, old.type.tensor_type.shape.dim
    same_rank = len(sizes) == len(before)
    for axis, size in enumerate(sizes):
        is_open = size.HasField("dim_param")
        if is_open:
            size.ClearField("dim_param")
        size.ClearField("denotation")
        if same_rank and before[axis].denotation:
            size.denotation = before[axis].denotation
        if same_rank and is_open and before[axis].dim_param:
            size.dim_param = before[axis].dim_param
