"""Networks inside branches and loop bodies."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper
from strategies import copy_of, normal


def in_branches(model, condition, *, own, computed=False):
    """Put a network into both branches of an If, its constants as well if they are its own.

    The condition is a constant, or computed from the input.
    """
    inner = model.graph
    outputs = [helper.make_tensor_value_info("y", 1, dims(inner.output[0]))]
    bodies = {}
    for name in ("then_branch", "else_branch"):
        body = onnx.GraphProto(name=name)
        body.node.extend(inner.node)
        body.output.extend(inner.output)
        if own:
            body.initializer.extend(inner.initializer)
        bodies[name] = body
    node = helper.make_node("If", ["q"], ["y"], **bodies)
    constants = [] if own else list(inner.initializer)
    if computed:
        finds = [
            helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
            helper.make_node("IsNaN", ["top"], ["q"]),
        ]
        return finish(model, [*finds, node], outputs, constants)
    constants.append(onnx.numpy_helper.from_array(np.array(condition), "q"))
    return finish(model, [node], outputs, constants)


def in_loop(model):
    """Put a network into the body of a Loop that runs twice and gathers what it gives."""
    inner = model.graph
    body = onnx.GraphProto(name="body")
    body.node.extend([helper.make_node("Identity", ["go"], ["on"]), *inner.node])
    body.initializer.extend(inner.initializer)
    body.input.extend(
        [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("go", 9, [])]
    )
    body.output.extend([helper.make_tensor_value_info("on", 9, []), inner.output[0]])
    node = helper.make_node("Loop", ["twice", ""], ["y"], body=body)
    outputs = [helper.make_tensor_value_info("y", 1, ["t", *dims(inner.output[0])])]
    twice = onnx.numpy_helper.from_array(np.array(2), "twice")
    return finish(model, [node], outputs, [twice])


def is_map(model, channels=2):
    """Tell whether a network makes a map of so many channels, and no classes."""
    sizes = dims(model.graph.output[0])
    return len(sizes) == 4 and sizes[1] == channels


def recurrent_body(model, fed, returned, *, own, stated):
    """Make a body of a network: it reads the state ``s``, and makes ``s2`` of six channels."""
    inner, tensor = model.graph, onnx.numpy_helper.from_array
    body = onnx.GraphProto(name="body")
    body.node.append(helper.make_node("Conv", ["read", "into"], ["x_"]))
    for node in inner.node:
        copied = body.node.add()
        copied.CopyFrom(node)
        copied.input[:] = ["x_" if name == "x" else name for name in node.input]
    body.node.append(helper.make_node("Conv", [inner.output[0].name, "out_of"], ["made"]))
    body.node.append(helper.make_node("Add", ["made", "s"], ["s2"]))
    if own:
        body.initializer.extend(inner.initializer)
    batch = dims(inner.input[0])[0]
    sizes = [batch, 6, 8, 8] if stated else ["d0", "d1", "d2", "d3"]
    for names, values in ((fed, body.input), (returned, body.output)):
        values.extend(helper.make_tensor_value_info(name, 1, sizes) for name in names)
    constants = [] if own else list(inner.initializer)
    constants += [tensor(normal(3, 6, 1, 1), "into"), tensor(normal(6, 2, 1, 1) / 3, "out_of")]
    constants += [tensor(normal(6, 3, 1, 1), "begins"), tensor(normal(2, 6, 1, 1), "ends")]
    return body, constants


def round_a_loop(model, **how):
    """Let a Loop run a network on its state three times."""
    body, constants = recurrent_body(model, ["s"], ["s2"], **how)
    body.node[0].input[0] = "s"
    body.node.insert(0, helper.make_node("Identity", ["go"], ["on"]))
    given = (("i", 7), ("go", 9))
    state = list(body.input)
    del body.input[:]
    body.input.extend(helper.make_tensor_value_info(name, kind, []) for name, kind in given)
    body.input.extend(state)
    body.output.insert(0, helper.make_tensor_value_info("on", 9, []))
    nodes = [
        helper.make_node("Conv", ["x", "begins"], ["m"]),
        helper.make_node("Loop", ["thrice", "", "m"], ["k"], body=body),
        helper.make_node("Conv", ["k", "ends"], ["y"]),
    ]
    constants.append(onnx.numpy_helper.from_array(np.array(3), "thrice"))
    outputs = [helper.make_tensor_value_info("y", 1, [dims(model.graph.input[0])[0], 2, 8, 8])]
    return finish(model, nodes, outputs, constants)


def over_a_scan(model, **how):
    """Let a Scan run a network on two maps and a state that begins as zeros."""
    tensor = onnx.numpy_helper.from_array
    body, constants = recurrent_body(model, ["s", "r"], ["s2", "o"], **how)
    body.node.insert(0, helper.make_node("Add", ["s", "r"], ["read"]))
    body.node.append(helper.make_node("Relu", ["s2"], ["o"]))
    constants.append(tensor(np.array([0]), "ax"))
    unsqueeze = {"axes": [0]} if model.opset_import[0].version < 13 else {}
    more = [] if unsqueeze else ["ax"]
    nodes = [
        helper.make_node("Conv", ["x", "begins"], ["m"]),
        helper.make_node("Neg", ["m"], ["m2"]),
        helper.make_node("Unsqueeze", ["m", *more], ["u"], **unsqueeze),
        helper.make_node("Unsqueeze", ["m2", *more], ["u2"], **unsqueeze),
        helper.make_node("Concat", ["u", "u2"], ["maps"], axis=0),
        helper.make_node("Shape", ["m"], ["sizes"]),
        helper.make_node("ConstantOfShape", ["sizes"], ["zeros"]),
        helper.make_node("Scan", ["zeros", "maps"], ["k", "all"], num_scan_inputs=1, body=body),
        helper.make_node("ReduceMax", ["all"], ["most"], axes=[0], keepdims=0),
        helper.make_node("Add", ["k", "most"], ["both"]),
        helper.make_node("Conv", ["both", "ends"], ["y"]),
    ]
    if model.opset_import[0].version >= 18:
        del nodes[8].attribute[:]
        nodes[8].input.append("ax")
        nodes[8].attribute.append(helper.make_attribute("keepdims", 0))
    outputs = [helper.make_tensor_value_info("y", 1, [dims(model.graph.input[0])[0], 2, 8, 8])]
    return finish(model, nodes, outputs, constants)


def dims(value):
    return [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim]


def finish(model, nodes, outputs, constants):
    graph = helper.make_graph(nodes, "outer", model.graph.input, outputs, constants)
    made = copy_of(model)
    made.graph.CopyFrom(graph)
    return made


def is_valid(model):
    """Tell whether the checker takes it: it wants an opset 11 Resize to see its empty operands."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.shape_inference.InferenceError:
        return False
    return True
