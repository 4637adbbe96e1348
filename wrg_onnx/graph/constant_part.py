"""The part of a model that depends on none of its inputs: its nodes, what they make, its values."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper, shape_inference

from wrg_onnx.errors import ModelError, WrgError
from wrg_onnx.graph.alive import accounted, most_alive
from wrg_onnx.graph.edit import INPUTS_FROM_IR, body
from wrg_onnx.graph.inference import infer_plainly
from wrg_onnx.graph.message import NUMBERS, declare_inputs, fill
from wrg_onnx.graph.model import Array, Graph, Node, Shape
from wrg_onnx.graph.records import LARGE_COUNT, Source
from wrg_onnx.graph.session import start_session
from wrg_onnx.graph.subgraphs import Flat, flatten, subgraphs
from wrg_onnx.graph.weights import Entry, Form, Shaped
from wrg_onnx.logs import logger_of

_LOGGER = logger_of(__name__)

SECONDS = 60.0
"""After so long the computation of constants is given up."""


@dataclass(frozen=True, slots=True, eq=False)
class Made(Shaped):
    """A tensor whose shape and type are known before it is computed."""

    shape: Shape
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True, eq=False)
class ConstantPart:
    """The nodes that depend on no input of the model, in it and in its bodies.

    Names and indices are those of the flat graph.

    Attributes:
        flat: The model.
        nodes: The nodes, in the order of the graph.
        makers: By tensor that one of them makes, which.
        constants: The constants that no caller can feed another value for.
        forms: Of the tensors that they make, the shape and type; None where one is unknown.
        read: Those that other nodes read, that a body returns, or that the model returns.
    """

    flat: Flat
    nodes: tuple[Node, ...]
    makers: Mapping[str, Node]
    constants: Mapping[str, Form]
    forms: Mapping[str, Form | None]
    read: frozenset[str]


def find_constant_part(graph: Graph, is_computable: Callable[[Node], bool]) -> ConstantPart | None:
    """Find the nodes that depend on no input; None where there are none.

    Args:
        graph: The model.
        is_computable: Whether a node, by its operator, makes the same of the same inputs whenever
            it runs, and runs no bodies.
    """
    flat = flatten(graph)
    fed = fed_constants(graph)
    known = {name for name in flat.graph.constants if name not in fed}
    constants = {name: flat.graph.constants.forms[name] for name in known}
    nodes, read = [], {value.name for value in graph.outputs}
    for node in flat.graph.nodes:
        if is_computable(node) and known.issuperset(name for name in node.inputs if name):
            nodes.append(node)
            known.update(node.outputs)
        else:
            read.update(node.inputs)
    if not nodes:
        return None
    makers = {name: node for node in nodes for name in node.outputs if name}
    part = ConstantPart(flat, tuple(nodes), makers, constants, {}, frozenset(read & makers.keys()))
    return replace(part, forms=_forms(graph, part))


def fed_constants(graph: Graph) -> frozenset[str]:
    """Return the constants that a caller may feed another value for.

    Before IR version 4 every initializer is declared as an input, whether it is one or not.
    """
    source: Source = graph.source
    is_old = source.message.ir_version < INPUTS_FROM_IR
    return frozenset() if is_old else graph.fed_constants


def _forms(graph: Graph, part: ConstantPart) -> dict[str, Form | None]:
    """Infer shapes and types of what the part makes; sizes that it computes are not known yet."""
    model, absent = _message(graph, part, part.nodes)
    declare_inputs(model, absent)
    found: dict[str, Form | None] = dict.fromkeys(part.makers)
    try:
        inferred = infer_plainly(model)
    except (shape_inference.InferenceError, DecodeError):
        return found  # a branch that is never taken may contradict itself
    kinds = set(helper.get_all_tensor_dtypes()) - {onnx.TensorProto.STRING}
    for info in inferred.graph.value_info:
        tensor = info.type.tensor_type
        sizes = [d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim]
        if tensor.elem_type in kinds and tensor.HasField("shape") and min(sizes, default=0) >= 0:
            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
            found[info.name] = Made(tuple(sizes), dtype)
    return found


def evaluate(graph: Graph, part: ConstantPart, names: Sequence[str]) -> dict[str, Array]:
    """Compute tensors of the part with ONNX Runtime.

    Args:
        graph: The model.
        part: Its constant part.
        names: What to compute.

    Returns:
        Their values, read-only. What ONNX Runtime cannot compute, as in a branch that is never
        taken, or not within ``SECONDS``, is left out.
    """
    end = time.monotonic() + SECONDS
    try:
        return _run(graph, part, names, SECONDS)
    except WrgError as error:
        _LOGGER.debug("constants are computed one by one: %s", error)
    found: dict[str, Array] = {}
    for name in names:
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            found |= _run(graph, part, [name], left)
        except WrgError as error:
            _LOGGER.info("'%s' depends on no input, and is left to be computed: %s", name, error)
    return found


def _run(
    graph: Graph, part: ConstantPart, names: Sequence[str], seconds: float
) -> dict[str, Array]:
    needed = set(names)
    nodes = []
    for node in reversed(part.nodes):
        if needed.intersection(node.outputs):
            nodes.append(node)
            needed.update(node.inputs)
    nodes.reverse()
    _check_alive(part, nodes, names, graph.name)
    model, weights = _message(graph, part, nodes)
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    # What this computes goes into the file, whose bytes are not to depend on the machine's cores.
    session = start_session(
        model, weights, tuple(names), graph.name, exact=True, spin=False, one_thread=True
    )
    found = session.run({}, seconds=seconds)
    for array in found.values():
        array.setflags(write=False)
    return found


def _check_alive(
    part: ConstantPart, nodes: Sequence[Node], names: Sequence[str], label: str
) -> None:
    """Refuse to compute what takes much more memory on the way than it is made of."""
    nbytes = {name: form.nbytes for name, form in part.forms.items() if form is not None}
    read = {name for node in nodes for name in node.inputs} & part.constants.keys()
    held = sum(part.constants[name].nbytes for name in read)
    most, node = most_alive(nodes, nbytes, set(names))
    if most > accounted(held):
        raise ModelError(f"'{label}': {most / 2**30:.1f} GiB would be in memory at {node}")


def _message(
    graph: Graph, part: ConstantPart, nodes: Sequence[Node]
) -> tuple[onnx.ModelProto, dict[str, Entry]]:
    """Write nodes as a model under the names of the flat graph, and name the weights it lacks."""
    source: Source = graph.source
    model = onnx.ModelProto(ir_version=max(source.message.ir_version, INPUTS_FROM_IR))
    model.opset_import.extend(source.message.opset_import)
    model.graph.name = "constants"
    wanted = {node.index: node for node in nodes}
    model.graph.node.extend(_protos(graph, wanted))
    constants = part.flat.graph.constants
    weights: dict[str, Entry] = {}
    for name in sorted({name for node in nodes for name in node.inputs} & part.constants.keys()):
        form = constants.forms[name]
        if form.size >= LARGE_COUNT and form.dtype.kind in NUMBERS:
            weights[name] = constants.entries[name]
        else:
            model.graph.initializer.append(numpy_helper.from_array(constants[name], name))
    fill(model.graph, source.weights)
    return model, weights


def _protos(graph: Graph, nodes: Mapping[int, Node]) -> Iterator[onnx.NodeProto]:
    """Yield nodes of the main graph and of bodies under the names of the flat graph."""
    source: Source = graph.source
    by_index = {}
    for subgraph in subgraphs(graph):
        part = body(source.message.graph, subgraph)
        for node in subgraph.graph.nodes:
            flat = nodes.get(subgraph.first + node.index)
            if flat is not None:
                made = onnx.NodeProto()
                made.CopyFrom(part.node[node.index])
                made.input[:], made.output[:] = flat.inputs, flat.outputs
                by_index[flat.index] = made
    yield from (by_index[index] for index in nodes)
