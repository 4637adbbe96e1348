"""What the ONNX checker says of a model, its weights apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
from onnx import external_data_helper

from wrg_onnx.errors import one_line
from wrg_onnx.graph.load import LARGE_COUNT
from wrg_onnx.graph.message import declare_inputs
from wrg_onnx.graph.model import Array, Graph


def checker_problem(model: onnx.ModelProto, weights: Mapping[str, Array]) -> str | None:
    """Run the checker with full shape inference.

    Args:
        model: The model without its large weights.
        weights: Those weights by name. They are declared as inputs: the checker looks at their
            types alone.

    Returns:
        Why it refuses the model, in one line; None if it does not.
    """
    declared = onnx.ModelProto()
    declared.CopyFrom(model)
    declare_inputs(declared, weights)
    _set_aside(declared)
    try:
        onnx.checker.check_model(declared, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return one_line(error)
    return None


def file_problem(path: Path, graph: Graph) -> str | None:
    """Run the checker on a file as it is, the shapes that it records included.

    Args:
        path: The file.
        graph: What was read from it.

    Returns:
        As ``checker_problem``.
    """
    model = onnx.load(path, format="protobuf", load_external_data=False)
    initializers = list(model.graph.initializer)
    outside = [t for t in initializers if t.data_location == onnx.TensorProto.EXTERNAL]
    weights = {tensor.name: graph.constants[tensor.name] for tensor in outside}
    for tensor in outside:
        model.graph.initializer.remove(tensor)
    # What is left outside belongs to attributes and bodies.
    external_data_helper.load_external_data_for_model(model, str(path.parent))
    return checker_problem(model, weights)


def message_problem(model: onnx.ModelProto, graph: Graph) -> str | None:
    """Run the checker on a model in memory as it is, the shapes that it records included.

    Args:
        model: The model; it stays as it is.
        graph: What was read from it.

    Returns:
        As ``checker_problem``.
    """
    light = onnx.ModelProto()
    light.CopyFrom(model)
    # The checker ends at 2 GiB. It looks at the types of large weights alone.
    large = [t for t in light.graph.initializer if math.prod(t.dims) >= LARGE_COUNT]
    plain = [t for t in large if graph.constants[t.name].dtype.kind in "fiub"]
    weights = {tensor.name: graph.constants[tensor.name] for tensor in plain}
    for tensor in plain:
        light.graph.initializer.remove(tensor)
    return checker_problem(light, weights)


def _set_aside(model: onnx.ModelProto) -> None:
    """Move operators that the standard lacks to another domain, which the checker does not look at.

    ONNX Runtime's optimiser writes a few of its own into the standard domain, such as
    SimplifiedLayerNormalization; it runs them, and pruning made none of them.
    """
    versions = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}
    unknown = [
        node
        for node in _nodes(model.graph)
        if node.domain in ("", "ai.onnx") and not onnx.defs.has(node.op_type, versions.get("", 1))
    ]
    for node in unknown:
        node.domain = "com.microsoft"
    if unknown and "com.microsoft" not in versions:
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph and of the bodies in it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)
