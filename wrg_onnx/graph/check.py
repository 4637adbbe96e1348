"""What the ONNX checker says of a model, its weights apart."""

from __future__ import annotations

import onnx
from google.protobuf.message import DecodeError

from wrg_onnx.errors import one_line
from wrg_onnx.graph.inference import infer_plainly
from wrg_onnx.graph.message import declare_inputs, without_weights
from wrg_onnx.graph.model import Graph
from wrg_onnx.graph.records import Source, all_nodes


def checker_problem(graph: Graph, *, as_read: bool = False) -> str | None:
    """Run the checker with full shape inference.

    Inputs and outputs need no shape: exporters leave it open where the branches of an If differ in
    rank, and ONNX Runtime runs such files.

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
    # The full check in its two parts: the first asks for a shape of every input and output, and the
    # second would hold one that is made up against it.
    whole = onnx.ModelProto()
    whole.CopyFrom(declared)
    _fill_in_shapes(whole)
    try:
        onnx.checker.check_model(whole)
        infer_plainly(declared, strict=True)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
        DecodeError,
    ) as error:
        return one_line(error)
    return None


def _fill_in_shapes(model: onnx.ModelProto) -> None:
    """Give inputs and outputs some shape where they have none, in place."""
    for value in (*model.graph.input, *model.graph.output):
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            value.type.tensor_type.shape.SetInParent()


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
