"""What the ONNX checker says of a model, its weights apart."""

from __future__ import annotations

import onnx
from google.protobuf.message import DecodeError

from wrg_onnx.errors import one_line
from wrg_onnx.graph.message import declare_inputs, without_weights
from wrg_onnx.graph.model import Graph
from wrg_onnx.graph.records import Source, all_nodes


def checker_problem(graph: Graph, *, as_read: bool = False) -> str | None:
    """Run the checker with full shape inference.

    Args:
        graph: The model. Its large weights are declared as inputs: the checker looks at their types
            alone.
        as_read: Whether the types that the file records of intermediate tensors are checked, too.

    Returns:
        Why it refuses the model, in one line; None if it does not.
    """
    declared, absent = without_weights(graph)
    declare_inputs(declared, {name: graph.constants.forms[name] for name in absent})
    source: Source = graph.source
    if as_read:
        declared.graph.value_info.extend(source.message.graph.value_info)
    _set_aside(declared)
    try:
        onnx.checker.check_model(declared, full_check=True)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        DecodeError,
    ) as error:
        return one_line(error)
    return None


def _set_aside(model: onnx.ModelProto) -> None:
    """Move operators that the standard lacks to another domain, which the checker does not look at.

    ONNX Runtime's optimiser writes a few of its own into the standard domain, such as
    SimplifiedLayerNormalization; it runs them, and pruning made none of them.
    """
    versions = {one.domain: one.version for one in model.opset_import}
    unknown = [
        node
        for node in all_nodes(model.graph)
        if not node.domain and not onnx.defs.has(node.op_type, versions.get("", 1))
    ]
    for node in unknown:
        node.domain = "com.microsoft"
    if unknown and "com.microsoft" not in versions:
        model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
