"""Concrete shapes of every tensor, at chosen sizes of the inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper, shape_inference

from wrg_onnx.errors import ModelError, WrgError, one_line
from wrg_onnx.graph.alive import check_alive
from wrg_onnx.graph.body_shapes import observe_bodies
from wrg_onnx.graph.capacity import check_room, check_values
from wrg_onnx.graph.edit import body
from wrg_onnx.graph.inference import infer
from wrg_onnx.graph.inputs import draw_feeds
from wrg_onnx.graph.message import declare_inputs, without_weights
from wrg_onnx.graph.model import Array, Graph, Shape
from wrg_onnx.graph.records import LARGE_COUNT
from wrg_onnx.graph.run_limits import EndlessRunError
from wrg_onnx.graph.session import open_session
from wrg_onnx.graph.subgraphs import Subgraph, subgraphs
from wrg_onnx.graph.weights import Weights


def infer_shapes(
    graph: Graph, input_shapes: Mapping[str, Shape], bounds: Mapping[str, int] | None = None
) -> dict[str, Shape]:
    """Find the concrete shape of every tensor.

    ONNX shape inference with data propagation finds nearly all; the network is run for those that
    it leaves open (operators of other domains, sizes that depend on values, tensors in bodies).

    Args:
        graph: The model.
        input_shapes: A concrete shape per graph input.
        bounds: By input of integers, what they lie below in that run.

    Returns:
        A shape by tensor name, for inputs, constants and node outputs; and for those tensors of
        branches and loop bodies that have one size, by the names of the flat graph. Sequences and
        maps have none.

    Raises:
        ModelError: If shapes contradict each other, a tensor's shape cannot be found, or one would
            have more values than memory holds.
    """
    shapes: dict[str, Shape] = {name: form.shape for name, form in graph.constants.forms.items()}
    shapes.update(input_shapes)
    model, absent = without_weights(graph)
    declare_inputs(model, {name: graph.constants.forms[name] for name in absent})
    _bind(model.graph, input_shapes)
    inferred = _inferred(model, graph.name)
    shapes = {**_static_shapes(inferred.graph), **shapes}
    check_values(shapes, graph.name)
    others = _no_tensors(inferred.graph)
    missing = [n for node in graph.nodes for n in node.outputs if n and n not in shapes]
    missing = [name for name in missing if name not in others]

    def draw() -> dict[str, Array]:
        return draw_feeds(graph, input_shapes, np.random.default_rng(0), bounds)

    _, *bodies = subgraphs(graph)
    if missing:
        _check_room(graph, inferred, bodies, shapes)
        shapes.update(_observed_shapes(graph, missing, draw()))
    if bodies:
        shapes = {**_shapes_in_bodies(inferred, bodies, shapes), **shapes}
        check_room(shapes, graph.name)
        if not missing:  # else that was looked at before the run
            check_alive(graph, shapes, inferred.graph, graph.name)
        shapes.update(observe_bodies(graph, shapes, draw))
    return shapes


def check_run(graph: Graph, input_shapes: Mapping[str, Shape]) -> None:
    """Refuse to run a model at sizes where its tensors are known to be larger than memory.

    Args:
        graph: The model.
        input_shapes: A concrete shape per graph input.

    Raises:
        ModelError: If one is.
    """
    model, absent = without_weights(graph)
    declare_inputs(model, {name: graph.constants.forms[name] for name in absent})
    _bind(model.graph, input_shapes)
    try:
        inferred = infer(model)
    except (shape_inference.InferenceError, DecodeError):
        return  # they do not fit, and the run says why
    _, *bodies = subgraphs(graph)
    shapes = {name: form.shape for name, form in graph.constants.forms.items()}
    shapes |= {**_static_shapes(inferred.graph), **input_shapes}
    _check_room(graph, inferred, bodies, shapes)


def _check_room(
    graph: Graph,
    inferred: onnx.ModelProto,
    bodies: Sequence[Subgraph],
    known: Mapping[str, Shape],
) -> None:
    inside = _shapes_in_bodies(inferred, bodies, known) if bodies else {}
    shapes = {**inside, **known}
    check_room(shapes, graph.name)
    check_alive(graph, shapes, inferred.graph, graph.name)


def partial_shapes(graph: Graph, input_shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Find the shapes that follow from those of some inputs, without a run.

    Args:
        graph: The model.
        input_shapes: A concrete shape for some of the inputs.

    Returns:
        A shape by tensor name, for those of the main graph whose every size is known; constants
        are left out.

    Raises:
        ModelError: If shapes contradict each other.
    """
    model, absent = without_weights(graph)
    declare_inputs(model, {name: graph.constants.forms[name] for name in absent})
    _bind(model.graph, input_shapes)
    shapes = _static_shapes(_inferred(model, graph.name).graph)
    return {name: shape for name, shape in shapes.items() if name not in graph.constants}


def fixed_sizes(graph: Graph) -> dict[str, tuple[int | None, ...]]:
    """Find the sizes that tensors have whatever the model is fed.

    Args:
        graph: The model; sizes that its inputs leave open stay open.

    Returns:
        By tensor of the main graph whose rank is known: per axis its size, None where it may vary.

    Raises:
        ModelError: If shapes contradict each other.
    """
    model, absent = without_weights(graph)
    declare_inputs(model, {name: graph.constants.forms[name] for name in absent})
    _bind(model.graph, {})
    found = _inferred(model, graph.name).graph
    return {
        info.name: tuple(_size(dim) for dim in info.type.tensor_type.shape.dim)
        for info in (*found.input, *found.value_info, *found.output)
        if info.type.HasField("tensor_type") and info.type.tensor_type.HasField("shape")
    }


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | None:
    # A size of 0 or below is an exporter's way to say "unknown".
    return int(dim.dim_value) if dim.dim_value > 0 else None


def _inferred(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    try:
        return infer(model)
    except (shape_inference.InferenceError, DecodeError) as error:
        raise ModelError(
            f"'{name}': its shapes contradict each other ({one_line(error)})"
        ) from error


def _static_shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    """Return the shapes of a graph's tensors that are written into it in full."""
    found = ((v.name, _static_shape(v)) for v in (*graph.value_info, *graph.output, *graph.input))
    return {name: shape for name, shape in found if shape is not None}


def _no_tensors(graph: onnx.GraphProto) -> set[str]:
    """Return the names of sequences, maps and optional values, as far as they are known."""
    found = (
        (info.name, info.type.WhichOneof("value")) for info in (*graph.value_info, *graph.output)
    )
    return {name for name, kind in found if kind not in (None, "tensor_type")}


def _shapes_in_bodies(
    model: onnx.ModelProto, bodies: Sequence[Subgraph], known: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Infer the shapes in branches and loop bodies: in one flat graph, to which sizes propagate.

    What control flow makes, and what a body is fed, are inputs there.
    """
    # Sizes that are values, such as those of a Reshape, do not propagate into bodies.
    flat = onnx.ModelProto()
    flat.CopyFrom(model)
    del flat.graph.node[:], flat.graph.value_info[:], flat.graph.output[:]
    for subgraph in (None, *bodies):
        part = model.graph if subgraph is None else body(model.graph, subgraph)
        unique = str if subgraph is None else subgraph.unique
        types = {v.name: v for v in (*part.input, *part.output, *part.value_info)}
        fed = [] if subgraph is None else [value.name for value in part.input]
        for node in part.node:
            # Control flow is left out: what it makes is given, as is what bodies are fed.
            if any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute):
                fed += node.output
            elif subgraph is None or node.output[0] not in subgraph.graph.constants:
                flat.graph.node.append(_renamed(node, unique))
        for name in fed:
            if name in types:
                flat.graph.input.append(_declared(types[name], unique(name), known))
        constants = Weights() if subgraph is None else subgraph.graph.constants
        for name, form in constants.forms.items():
            if form.size < LARGE_COUNT:
                small = numpy_helper.from_array(constants[name], unique(name))
                flat.graph.initializer.append(small)
            else:
                dtype = helper.np_dtype_to_tensor_dtype(form.dtype)
                info = helper.make_tensor_value_info(unique(name), dtype, form.shape)
                flat.graph.input.append(info)
    try:
        return _static_shapes(infer(flat).graph)
    except shape_inference.InferenceError:
        return {}  # a branch that is not for these sizes; what is unknown stays


def _renamed(node: onnx.NodeProto, unique: Callable[[str], str]) -> onnx.NodeProto:
    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.input[:] = [unique(name) for name in node.input]
    made.output[:] = [unique(name) for name in node.output]
    return made


def _declared(
    info: onnx.ValueInfoProto, name: str, known: Mapping[str, Shape]
) -> onnx.ValueInfoProto:
    made = onnx.ValueInfoProto()
    made.CopyFrom(info)
    made.name = name
    if name in known:
        made.CopyFrom(
            helper.make_tensor_value_info(name, info.type.tensor_type.elem_type, known[name])
        )
    return made


def _bind(graph: onnx.GraphProto, input_shapes: Mapping[str, Shape]) -> None:
    """Write concrete input sizes into the message, and forget those of the outputs."""
    for value in graph.input:
        if value.name in input_shapes:
            dtype = value.type.tensor_type.elem_type
            value.CopyFrom(
                helper.make_tensor_value_info(value.name, dtype, input_shapes[value.name])
            )
    for value in graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")


def _static_shape(info: onnx.ValueInfoProto) -> Shape | None:
    if not info.type.HasField("tensor_type") or not info.type.tensor_type.HasField("shape"):
        return None
    sizes = []
    for dim in info.type.tensor_type.shape.dim:
        if not dim.HasField("dim_value") or dim.dim_value < 0:  # below 0 where it is too large
            return None
        sizes.append(dim.dim_value)
    return tuple(sizes)


def _observed_shapes(
    graph: Graph, names: list[str], feeds: Mapping[str, Array]
) -> dict[str, Shape]:
    """Run the network once and look."""
    session = open_session(graph, outputs=names, exact=True)
    try:
        values: dict[str, Any] = session.run(feeds)
    except EndlessRunError:
        raise
    except WrgError as error:
        raise ModelError(str(error)) from error
    return {name: np.shape(values[name]) for name in names if name in values}
