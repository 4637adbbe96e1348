"""Half precision: float16 inside, float32 where the model meets the world."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from wrg_onnx.choices import Precision, Provider
from wrg_onnx.data.dataset import DataSet
from wrg_onnx.deploy.check import SAMPLES, check_converted
from wrg_onnx.deploy.converted import Converted, Left
from wrg_onnx.deploy.message import converting, message_of, read_answer
from wrg_onnx.graph import Array, Graph, element_types, open_session
from wrg_onnx.graph.records import all_nodes
from wrg_onnx.graph.session import runtime

LARGEST = float(np.finfo(np.float16).max)

BEYOND = f"they read or make numbers beyond {LARGEST:g}, the largest of float16"

NO_KERNEL = "ONNX Runtime's converter knows of no float16 kernel"

TAPS_AT_ONCE = 64
"""How many tensors are looked at in one run: all of a large model would take much memory."""


def to_half(graph: Graph, data: DataSet) -> Converted:
    """Write a model's weights in float16, and let it compute so; inputs and outputs stay float32.

    The converter is ONNX Runtime's, with its list of operators that stay in float32. So do nodes
    that read or make, on some samples, a number that float16 does not have: it would be infinity,
    or be cut off.

    Args:
        graph: The model, in float32.
        data: The calibration set; the model is run on some of it.

    Returns:
        The model in float16.

    Raises:
        ModelError: If the converter fails on it, or its numbers do not fit into float16.
        MissingPackageError: If ONNX Runtime is not installed.
    """
    runtime()
    from onnxruntime.transformers import float16

    model = message_of(graph, Precision.HALF)
    size = model.ByteSize()
    beyond = {*_large_constants(model.graph), *_large_tensors(graph, data)}
    left = tuple(_left(graph, model.graph, beyond, frozenset(float16.DEFAULT_OP_BLOCK_LIST)))
    with converting(graph, Precision.HALF):
        model = float16.convert_float_to_float16(
            model, keep_io_types=True, node_block_list=[one.node for one in left]
        )
        _join_casts(model.graph)
        after = read_answer(graph, model, Precision.HALF)
    check_converted(graph, after, Precision.HALF, data)
    return Converted(after, Precision.HALF, 0, size, left)


def _left(
    graph: Graph, part: onnx.GraphProto, beyond: set[str], blocked: frozenset[str]
) -> Iterator[Left]:
    """Yield the nodes that stay in float32."""
    types = element_types(graph)
    for node in all_nodes(part):
        if beyond.intersection((*node.input, *node.output)):
            yield Left(node.op_type, node.name, BEYOND)
        elif node.op_type in blocked and any(types.get(n) == np.float32 for n in node.output):
            yield Left(node.op_type, node.name, NO_KERNEL)


def _large_constants(part: onnx.GraphProto) -> Iterator[str]:
    """Yield the float32 initializers of a graph, not of its bodies, that float16 cannot hold."""
    for tensor in part.initializer:
        if tensor.data_type == TensorProto.FLOAT and _is_large(numpy_helper.to_array(tensor)):
            yield tensor.name


def _large_tensors(graph: Graph, data: DataSet) -> Iterator[str]:
    """Yield what the nodes of the main graph make on some samples that float16 cannot hold."""
    types = element_types(graph)
    made = [name for node in graph.nodes for name in node.outputs if types.get(name) == np.float32]
    for start in range(0, len(made), TAPS_AT_ONCE):
        taps = made[start : start + TAPS_AT_ONCE]
        session = open_session(graph, outputs=taps, provider=Provider.CPU, one_thread=True)
        for number in range(min(SAMPLES, len(data))):
            for name, values in session.run(data[number].feeds).items():
                if _is_large(values):
                    yield name


def _is_large(values: Array) -> bool:
    """Tell whether there is a number that would be infinity; what is infinity already stays it."""
    sizes = np.abs(values)
    return bool(sizes[np.isfinite(sizes)].max(initial=0.0) > LARGEST)


def _join_casts(part: onnx.GraphProto) -> None:
    """Let a node in float32 hand its numbers to another one without a step over float16."""
    casts = [node for node in part.node if node.op_type == "Cast"]
    narrowed = {n.output[0]: n.input[0] for n in casts if _target(n) == TensorProto.FLOAT16}
    outputs = {value.name for value in part.output}
    joined = {
        node.output[0]: narrowed[node.input[0]]
        for node in casts
        if _target(node) == TensorProto.FLOAT
        and node.input[0] in narrowed
        and node.output[0] not in outputs
    }
    for node in part.node:
        for place, name in enumerate(node.input):
            node.input[place] = joined.get(name, name)


def _target(node: onnx.NodeProto) -> int:
    return next((one.i for one in node.attribute if one.name == "to"), 0)
