"""A quantised model in floats: its integers become the numbers that they stand for.

What a quantised operator is in floats is declared beside the twins. Four plain ones need a line of
their own here: Concat joins integers of several scales, Pad fills with one, and of MaxPool and
Dropout only the first output holds what the input held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx

import wrg_onnx.twin.ops  # noqa: F401 - declares the forms
from wrg_onnx.channels import traits_of
from wrg_onnx.graph.model import Attribute, Graph, Node, bodies
from wrg_onnx.graph.subgraphs import subgraphs
from wrg_onnx.graph.weights import Weights
from wrg_onnx.twin.floats.integers import RAW, Integers, Meaning, integer_range, product
from wrg_onnx.twin.floats.rewriting import ROUNDED_BY_RANGE, Rewriting, refusal
from wrg_onnx.twin.forms import Form, IntegerOperand, Step, find_form, is_quantised


@dataclass(frozen=True, slots=True, eq=False)
class Dequantised:
    """A model in floats that stands for a quantised one.

    Attributes:
        graph: Its records; tensors keep their names.
        integers: The constants that were integers, by the names of the flat graph.
    """

    graph: Graph
    integers: Mapping[str, Integers]


def dequantised(graph: Graph) -> Graph:
    """Return the records of a model in floats that stands for a quantised one.

    Integers with a constant scale and zero point become floats under the same name, activations are
    rounded by a step with a gradient, and what moves integers about moves floats. A model that is
    not quantised comes back as it is.

    Args:
        graph: The model, with QuantizeLinear and DequantizeLinear or with quantised operators.

    Returns:
        The records, for the twin alone: ``source`` is still the quantised model.

    Raises:
        UnsupportedOperatorError: If it rounds to a type that is no integer, or that is not known.
    """
    return dequantise(graph).graph


def dequantise(graph: Graph) -> Dequantised:
    """Do as `dequantised` does, and tell how the constants were stored."""
    if not any(is_quantised(node) for node in _all_nodes(graph)):
        return Dequantised(graph, {})
    main, *inner = subgraphs(graph)
    integers: dict[str, Integers] = {}
    table = {subgraph.path: subgraph for subgraph in inner}
    return Dequantised(_rewritten(Rewriting(main, table, integers)), integers)


def _all_nodes(graph: Graph) -> Iterable[Node]:
    for node in graph.nodes:
        yield node
        for body in bodies(node):
            yield from _all_nodes(body)


def _rewritten(part: Rewriting) -> Graph:
    """Write every node, and return the new graph."""
    graph = part.subgraph.graph
    part.constants = dict(graph.constants)
    for node in graph.nodes:
        match find_form(node):
            case None:
                _pass(part, node)
            case Step.ROUND:
                _round(part, node, node.inputs[0], node.outputs[0], _meaning(node))
            case Step.READ:
                name = part.floats(node, node.inputs[0], _meaning(node))
                part.write(node, "Identity", (name,), node.outputs)
            case Step.ROUND_BY_RANGE:
                part.nodes.append(node)
                part.meanings[node.outputs[0]] = Meaning(node.outputs[1], node.outputs[2])
            case Step.MULTIPLY_BY_RANGE:
                _multiply_by_range(part, node)
            case Form() as form:
                _compute(part, node, form)
    outputs = tuple(
        replace(value, dtype=np.dtype(np.float32)) if value.name in part.meanings else value
        for value in graph.outputs
    )
    return replace(
        graph, nodes=tuple(part.nodes), constants=Weights(part.constants), outputs=outputs
    )


def _meaning(node: Node) -> Meaning:
    axis, block = node.int("axis", 1), node.int("block_size", 0)
    return Meaning(node.input(1), node.input(2), axis, block)


def _round(part: Rewriting, node: Node, name: str, output: str, meaning: Meaning) -> None:
    # Without a zero point the type is an attribute, or the default.
    code = node.int("output_dtype", 0) if find_form(node) is Step.ROUND else 0
    dtype = onnx.helper.tensor_dtype_to_np_dtype(code) if code else np.dtype(np.uint8)
    if meaning.zero_point:
        found = part.dtype(meaning.zero_point)
        if found is None:
            raise refusal(node, f"computes its zero point '{meaning.zero_point}'")
        dtype = found
    limits = integer_range(dtype)
    if limits is None:
        raise refusal(node, f"rounds to {dtype}")
    attributes = {**meaning.attributes, "low": limits[0], "high": limits[1]}
    part.own(node, "FakeQuantise", (name, *meaning.names), output, attributes)
    part.meanings[output] = meaning


def _compute(part: Rewriting, node: Node, form: Form) -> None:
    """Write a quantised operator as one on floats, and the rounding of its result."""
    inputs = [_operand(part, node, operand) for operand in form.operands]
    if form.bias is not None and node.input(form.bias):
        inputs.append(_bias(part, node, form))
    made = node.outputs[0] if form.output is None else f"{node.outputs[0]}/exact"
    added = "" if form.added is None else node.input(form.added)
    bare = f"{node.outputs[0]}/product" if added else made
    _write_float(part, node, form.op, inputs, bare)
    if added:
        part.write(node, "Add", (bare, added), (made,))
    if form.output is not None:
        meaning = Meaning(node.input(form.output[0]), node.input(form.output[1]))
        _round(part, node, made, node.outputs[0], meaning)


def _operand(part: Rewriting, node: Node, operand: IntegerOperand) -> str:
    name = node.input(operand.position)
    if operand.zero_point is None:
        return name
    scale = "" if operand.scale is None else node.input(operand.scale)
    meaning = Meaning(scale, node.input(operand.zero_point), operand.axis)
    return part.floats(node, name, meaning)


def _bias(part: Rewriting, node: Node, form: Form) -> str:
    """Return the bias in floats; its scale is the product of those of its operands."""
    assert form.bias is not None
    name = node.input(form.bias)
    found = [operand.scale for operand in form.operands[:2] if operand.scale is not None]
    scales = [node.input(position) for position in found]
    made = f"{node.outputs[0]}/bias_scale"
    values = [part.constant(scale) for scale in scales]
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        part.constants[made] = product(known)
    else:
        part.write(node, "Mul", scales, (made,))
    return part.floats(node, name, Meaning(made, "", -1))


def _multiply_by_range(part: Rewriting, node: Node) -> None:
    """Round A by its own range, multiply by B and add the bias."""
    a, b, scale, zero_point, bias = (node.input(position) for position in range(5))
    rounded = tuple(f"{node.outputs[0]}/{part}" for part in ("a", "scale", "zero_point"))
    part.write(node, ROUNDED_BY_RANGE, (a,), rounded, version=11)
    weight = part.floats(node, b, Meaning(scale, zero_point, -1))
    bare = f"{node.outputs[0]}/product" if bias else node.outputs[0]
    part.write(node, "MatMul", (rounded[0], weight), (bare,))
    if bias:
        part.write(node, "Add", (bare, bias), node.outputs)


def _pass(part: Rewriting, node: Node) -> None:
    """Write a node that is not quantised: on what integers stand for if it moves them about."""
    known = {name: part.known(name) for name in node.inputs if name}
    first = known.get(node.input(0))
    traits = traits_of(node)
    if not any(known.values()) or traits.ignores_elements:
        part.nodes.append(replace(node, attributes=_bodies(part, node)))
        return
    if not traits.moves_elements or first is None or part.is_spread(first):
        inputs = [part.floats(node, n, RAW) if known.get(n) else n for n in node.inputs]
        part.nodes.append(replace(node, inputs=tuple(inputs), attributes=_bodies(part, node)))
        return
    inputs = list(node.inputs)
    if node.op == "Concat":
        inputs = [part.floats(node, name, first) for name in inputs]
    elif node.op == "Pad" and node.version >= 11 and node.str("mode", "constant") == "constant":
        inputs = _padding(part, node, first)
    part.nodes.append(replace(node, inputs=tuple(inputs)))
    # Where a MaxPool took them from, and what a Dropout kept, are other things.
    own = node.outputs[:1] if node.op in ("MaxPool", "Dropout") else node.outputs
    part.meanings.update((name, first) for name in own if name)


def _padding(part: Rewriting, node: Node, meaning: Meaning) -> list[str]:
    """Fill with what the filling integer stands for, 0 where none is given."""
    inputs = [*node.inputs, *[""] * (3 - len(node.inputs))]
    if not inputs[2]:
        zero_point = part.constant(meaning.zero_point)
        inputs[2] = f"{node.outputs[0]}/fill"
        dtype = np.uint8 if zero_point is None else zero_point.dtype
        part.constants[inputs[2]] = np.zeros((), dtype)
    inputs[2] = part.floats(node, inputs[2], meaning)
    return inputs


def _bodies(part: Rewriting, node: Node) -> dict[str, Attribute]:
    """Return a node's attributes with its bodies in floats."""
    attributes = dict(node.attributes)
    for name, value in node.attributes.items():
        if isinstance(value, Graph):
            subgraph = part.inner[*part.subgraph.path, (node.index, name)]
            attributes[name] = _rewritten(Rewriting(subgraph, part.inner, part.integers, part))
    return attributes


def _write_float(part: Rewriting, node: Node, op: str, inputs: list[str], output: str) -> None:
    """Write the float operator with the attributes of the quantised one, in its layout."""
    attributes = dict(node.attributes)
    version = part.opset
    if op == "Gemm" and "alpha" in attributes:  # it scales the sum, the bias included
        attributes["beta"] = attributes["alpha"]
    if op == "Softmax":
        version = node.int("opset", version)
    last = bool(node.int("channels_last", 0))
    first, made = f"{output}/channels_first", f"{output}/made" if last else output
    if last:
        part.own(node, "ChannelsFirst", (inputs[0],), first, {})
        inputs = [first, *inputs[1:]]
    plain = replace(node, op=op, domain="", version=version, attributes=attributes)
    part.nodes.append(replace(plain, inputs=tuple(inputs), outputs=(made,)))
    if last:
        part.own(node, "ChannelsLast", (made,), output, {})
