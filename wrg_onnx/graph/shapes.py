"""Concrete shapes of every tensor, at chosen sizes of the symbolic axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from wrg_onnx.graph.errors import ModelError, UsageError, WrgError, one_line
from wrg_onnx.graph.export import declare_inputs, to_proto
from wrg_onnx.graph.load import LARGE_COUNT
from wrg_onnx.graph.model import Array, Graph, Shape, Value
from wrg_onnx.graph.scopes import Scope, scopes
from wrg_onnx.graph.session import open_session

DEFAULT_IMAGE_SIZE = 224
DEFAULT_SIZE = 16


def bind_sizes(
    inputs: tuple[Value, ...],
    *,
    sizes: Mapping[str, int] | None = None,
    image_size: int | None = None,
    given: Mapping[str, Shape] | None = None,
) -> dict[str, Shape]:
    """Give every input a concrete shape.

    Args:
        inputs: The graph's inputs.
        sizes: Sizes of named symbolic axes.
        image_size: Height and width of a rank-4 input that leaves them open; None for 224.
        given: Shapes of inputs by name; their sizes are those of the symbols they stand for.

    Returns:
        A shape per input: axis 0 is 1 where it is open, height and width are ``image_size``,
        other open axes 16. The same symbol has the same size everywhere.

    Raises:
        ModelError: If an input has no rank.
        UsageError: If a given shape names no input, or does not fit its own.
    """
    chosen: dict[str, int] = dict(sizes or {})
    for name, shape in (given or {}).items():
        value = _find_input(inputs, name, f"shape '{name}={_listed(shape)}'")
        chosen.update(_symbols(value, shape))
    shapes: dict[str, Shape] = {}
    for value in inputs:
        if value.name in (given or {}):
            shapes[value.name] = (given or {})[value.name]
            continue
        if value.shape is None:
            raise ModelError(f"input '{value.name}' has no rank in the file: export it with one")
        dims = []
        for axis, dim in enumerate(value.shape):
            if isinstance(dim, int):
                dims.append(dim)
                continue
            default = _default_size(value, axis, image_size or DEFAULT_IMAGE_SIZE)
            dims.append(chosen.setdefault(dim, default) if dim else default)
        shapes[value.name] = tuple(dims)
    return shapes


def _find_input(inputs: tuple[Value, ...], name: str, what: str) -> Value:
    for value in inputs:
        if value.name == name:
            return value
    known = ", ".join(f"'{value.name}'" for value in inputs)
    raise UsageError(f"{what}: the model has no such input, only {known}")


def _symbols(value: Value, shape: Shape) -> dict[str, int]:
    """Read the sizes of symbolic axes off a given shape."""
    own = value.shape if value.shape is not None else (None,) * len(shape)
    if len(own) != len(shape) or any(
        isinstance(dim, int) and dim != size for dim, size in zip(own, shape, strict=True)
    ):
        raise UsageError(
            f"shape '{value.name}={_listed(shape)}' does not fit the input, which is {_listed(own)}"
        )
    return {d: size for d, size in zip(own, shape, strict=True) if isinstance(d, str)}


def _listed(shape: Sequence[int | str | None]) -> str:
    return "x".join("?" if dim is None else str(dim) for dim in shape)


def fill_inputs(graph: Graph, numbers: Mapping[str, float]) -> Graph:
    """Say what inputs are filled with where they would be random.

    Args:
        graph: The model.
        numbers: A number by input.

    Returns:
        The model with the numbers among its inputs.

    Raises:
        UsageError: If there is no such input, or its type cannot hold the number.
    """
    for name, number in numbers.items():
        what = f"value '{name}={number:g}'"
        value = _find_input(graph.inputs, name, what)
        limits = np.iinfo(value.dtype) if value.dtype.kind in "iu" else None
        if limits and not (number.is_integer() and limits.min <= number <= limits.max):
            raise UsageError(f"{what}: the input is of {value.dtype}")
    inputs = (replace(v, number=numbers.get(v.name, v.number)) for v in graph.inputs)
    return replace(graph, inputs=tuple(inputs)) if numbers else graph


def other_sizes(inputs: tuple[Value, ...], shapes: Mapping[str, Shape]) -> dict[str, Shape] | None:
    """Choose larger sizes for every axis that the file leaves open.

    Args:
        inputs: The graph's inputs.
        shapes: A concrete shape per input.

    Returns:
        One more for axis 0, 64 more for a side of 64 or above, 8 more elsewhere; the same symbol
        has the same size everywhere. None if every axis is fixed.
    """
    chosen: dict[str, int] = {}
    others: dict[str, Shape] = {}
    for value in inputs:
        dims = []
        for axis, (dim, size) in enumerate(zip(value.shape or (), shapes[value.name], strict=True)):
            larger = size + (1 if axis == 0 else 64 if size >= 64 else 8)
            if isinstance(dim, int):
                dims.append(size)
            else:
                dims.append(chosen.setdefault(dim, larger) if dim else larger)
        others[value.name] = tuple(dims)
    return None if others == dict(shapes) else others


def _default_size(value: Value, axis: int, image_size: int) -> int:
    if axis == 0:
        return 1
    shape = value.shape or ()
    spatial = (2, 3) if len(shape) != 4 or shape[1] in (1, 3) or shape[3] not in (1, 3) else (1, 2)
    return image_size if len(shape) == 4 and axis in spatial else DEFAULT_SIZE


LARGEST_INT = 50
"""Random integers lie below this: small enough for a token or a length."""


def random_feeds(
    graph: Graph, shapes: Mapping[str, Shape], rng: np.random.Generator
) -> dict[str, Array]:
    """Draw one random array per input.

    Args:
        graph: The model.
        shapes: A concrete shape per input.
        rng: The source of randomness.

    Returns:
        By input: the user's number where there is one; else normal floats; coin-flip bools; ints in
        [0, 50), below the length of the axis that they index in a table of the file, or 0 and 1 in
        a mask that is summed up.
    """
    bounds = _index_bounds(graph)
    feeds: dict[str, Array] = {}
    for value in graph.inputs:
        shape = shapes[value.name]
        if value.number is not None:
            feeds[value.name] = np.full(shape, value.number, value.dtype)
        elif value.dtype.kind == "b":
            feeds[value.name] = np.asarray(rng.random(shape) > 0.5)
        elif value.dtype.kind in "iu":
            highest = min(LARGEST_INT, bounds.get(value.name, LARGEST_INT))
            feeds[value.name] = np.asarray(rng.integers(0, highest, shape)).astype(value.dtype)
        else:
            feeds[value.name] = np.asarray(rng.standard_normal(shape)).astype(value.dtype)
    return feeds


def _index_bounds(graph: Graph) -> dict[str, int]:
    """Find the lengths of the constant tables that integer inputs index."""
    bounds: dict[str, int] = {}
    for value in graph.inputs:
        if value.dtype.kind not in "iu":
            continue
        same = {value.name}
        for node in graph.nodes:
            if node.op in _SAME_NUMBERS and node.inputs[0] in same:
                same.add(node.outputs[0])
            if node.op == "CumSum" and node.inputs[0] in same:
                bounds[value.name] = 2  # a mask, whose sums are the positions of the tokens
            for index, table in _LOOK_UPS.get(node.op, ()):
                rows = graph.constants.get(node.input(table))
                if rows is not None and node.input(index) in same:
                    length = rows.shape[node.axis("axis", rank=rows.ndim, default=0)]
                    bounds[value.name] = min(length, bounds.get(value.name, length))
    return bounds


_LOOK_UPS = {"Gather": ((1, 0),), "EmbedLayerNormalization": ((0, 2), (1, 4), (8, 3))}
"""By operator, which input indexes which."""

_SAME_NUMBERS = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


def infer_shapes(graph: Graph, input_shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Find the concrete shape of every tensor.

    ONNX shape inference with data propagation finds nearly all; the network is run once for those
    of the main graph that it leaves open (operators of other domains, sizes that depend on values).

    Args:
        graph: The model.
        input_shapes: A concrete shape per graph input.

    Returns:
        A shape by tensor name, for inputs, constants and node outputs; and for those tensors of
        branches and loop bodies that have one size, by the names of the flat graph.

    Raises:
        ModelError: If shapes contradict each other, or a tensor's shape cannot be found.
    """
    shapes: dict[str, Shape] = {name: a.shape for name, a in graph.constants.items()}
    shapes.update(input_shapes)
    model, weights = to_proto(graph)
    declare_inputs(model, weights)
    _bind(model.graph, input_shapes)
    inferred = _inferred(model, graph.name)
    shapes = {**_static_shapes(inferred.graph), **shapes}
    missing = [n for node in graph.nodes for n in node.outputs if n and n not in shapes]
    if missing:
        shapes.update(_observed_shapes(graph, missing, input_shapes))
    _, *bodies = scopes(graph)
    return {**_shapes_in_bodies(inferred, bodies, shapes), **shapes} if bodies else shapes


def _inferred(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    try:
        return shape_inference.infer_shapes(model, data_prop=True)
    except shape_inference.InferenceError as error:
        raise ModelError(
            f"'{name}': its shapes contradict each other ({one_line(error)})"
        ) from error


def _static_shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    """Return the shapes of a graph's tensors that are written into it in full."""
    found = ((v.name, _static_shape(v)) for v in (*graph.value_info, *graph.output, *graph.input))
    return {name: shape for name, shape in found if shape is not None}


def _shapes_in_bodies(
    model: onnx.ModelProto, bodies: Sequence[Scope], known: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Infer the shapes in branches and loop bodies: in one flat graph, to which sizes propagate.

    What control flow makes, and what a body is fed, are inputs there.
    """
    flat = onnx.ModelProto()
    flat.CopyFrom(model)
    del flat.graph.node[:], flat.graph.value_info[:], flat.graph.output[:]
    for scope in (None, *bodies):
        part = model.graph if scope is None else _body(model.graph, scope)
        unique = str if scope is None else scope.unique
        types = {v.name: v for v in (*part.input, *part.output, *part.value_info)}
        fed = [] if scope is None else [value.name for value in part.input]
        for node in part.node:
            if any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute):
                fed += node.output
            elif scope is None or node.output[0] not in scope.graph.constants:
                flat.graph.node.append(_renamed(node, unique))
        for name in fed:
            if name in types:
                flat.graph.input.append(_declared(types[name], unique(name), known))
        for name, array in ({} if scope is None else scope.graph.constants).items():
            if array.size < LARGE_COUNT:
                flat.graph.initializer.append(numpy_helper.from_array(array, unique(name)))
            else:
                dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
                info = helper.make_tensor_value_info(unique(name), dtype, array.shape)
                flat.graph.input.append(info)
    try:
        return _static_shapes(shape_inference.infer_shapes(flat, data_prop=True).graph)
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


def _body(graph: onnx.GraphProto, scope: Scope) -> onnx.GraphProto:
    """Walk down to a body."""
    for index, name in scope.path:
        graph = next(a.g for a in graph.node[index].attribute if a.name == name)
    return graph


def _bind(graph: onnx.GraphProto, input_shapes: Mapping[str, Shape]) -> None:
    """Write concrete input sizes into the message, and forget those of the outputs."""
    for value in graph.input:
        if value.name in input_shapes:
            dtype = value.type.tensor_type.elem_type
            value.CopyFrom(
                helper.make_tensor_value_info(value.name, dtype, input_shapes[value.name])
            )
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")


def _static_shape(info: onnx.ValueInfoProto) -> Shape | None:
    if not info.type.HasField("tensor_type") or not info.type.tensor_type.HasField("shape"):
        return None
    dims = info.type.tensor_type.shape.dim
    if not all(dim.HasField("dim_value") for dim in dims):
        return None
    return tuple(int(dim.dim_value) for dim in dims)


def _observed_shapes(
    graph: Graph, names: list[str], input_shapes: Mapping[str, Shape]
) -> dict[str, Shape]:
    """Run the network once and look."""
    session = open_session(graph, outputs=names, exact=True)
    feeds = random_feeds(graph, input_shapes, np.random.default_rng(0))
    try:
        values: dict[str, Any] = session.run(feeds)
    except WrgError as error:
        raise ModelError(str(error)) from error
    return {name: np.shape(value) for name, value in values.items()}
