"""A quantised model in floats: its integers become the numbers that they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from wrg_onnx.graph.errors import UnsupportedOperatorError
from wrg_onnx.graph.model import Array, Attribute, Graph, Node, bodies
from wrg_onnx.graph.scopes import Path, Scope, scopes
from wrg_onnx.twin.integers import RAW, Integers, Meaning, integer_range, product, read_integers
from wrg_onnx.twin.ops.quantised import OWN
from wrg_onnx.twin.quantised_forms import (
    DEQUANTISE,
    DYNAMIC,
    DYNAMIC_PRODUCT,
    PASSING,
    QUANTISE,
    SIZES,
    Form,
    Operand,
    find_form,
    is_quantised,
)

# The numbers of onnx.TensorProto.DataType.
_TYPES = {2: "uint8", 3: "int8", 4: "uint16", 5: "int16"}


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
        UnsupportedOperatorError: If it rounds to a type that is no integer.
    """
    return dequantise(graph).graph


def dequantise(graph: Graph) -> Dequantised:
    """Do as `dequantised` does, and tell how the constants were stored."""
    if not any(is_quantised(node) for node in _all_nodes(graph)):
        return Dequantised(graph, {})
    main, *inner = scopes(graph)
    integers: dict[str, Integers] = {}
    table = {scope.path: scope for scope in inner}
    return Dequantised(_Rewriting(main, table, integers).run(), integers)


def _all_nodes(graph: Graph) -> Iterable[Node]:
    for node in graph.nodes:
        yield node
        for body in bodies(node):
            yield from _all_nodes(body)


@dataclass(slots=True, eq=False)
class _Rewriting:
    """One graph while its nodes are written anew.

    Attributes:
        scope: The graph.
        inner: The bodies of the model, by path.
        integers: Filled with the constants that became floats.
        outer: The graph around a body.
        constants: Those of the new graph.
        nodes: Those of the new graph so far.
        meanings: By tensor, how the integers were stored that its floats stand for.
    """

    scope: Scope
    inner: Mapping[Path, Scope]
    integers: dict[str, Integers]
    outer: _Rewriting | None = None
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    meanings: dict[str, Meaning] = field(default_factory=dict)

    def run(self) -> Graph:
        """Write every node, and return the new graph."""
        graph = self.scope.graph
        self.constants = dict(graph.constants)
        for node in graph.nodes:
            form = find_form(node)
            if node.op == QUANTISE:
                self._quantise(node)
            elif node.op == DEQUANTISE:
                name = self._floats(node, node.inputs[0], self._meaning(node))
                self._write(node, "Identity", (name,), node.outputs)
            elif node.op == DYNAMIC:
                self.nodes.append(node)
                self.meanings[node.outputs[0]] = Meaning(node.outputs[1], node.outputs[2])
            elif node.op == DYNAMIC_PRODUCT:
                self._dynamic_product(node)
            elif form is not None:
                self._compute(node, form)
            else:
                self._pass(node)
        outputs = tuple(
            replace(value, dtype=np.dtype(np.float32)) if value.name in self.meanings else value
            for value in graph.outputs
        )
        return replace(graph, nodes=tuple(self.nodes), constants=self.constants, outputs=outputs)

    def _quantise(self, node: Node) -> None:
        meaning = self._meaning(node)
        self._round(node, node.inputs[0], node.outputs[0], meaning)

    def _meaning(self, node: Node) -> Meaning:
        axis, block = node.int("axis", 1), node.int("block_size", 0)
        return Meaning(node.input(1), node.input(2), axis, block)

    def _round(self, node: Node, name: str, output: str, meaning: Meaning) -> None:
        zero_point = self._constant(meaning.zero_point)
        # Without a zero point the type is an attribute, or the default.
        code = node.int("output_dtype", 0) if node.op == QUANTISE else 0
        dtype = np.dtype(_TYPES.get(code, "uint8")) if zero_point is None else zero_point.dtype
        limits = integer_range(dtype)
        if limits is None:
            raise UnsupportedOperatorError(
                f"no differentiable twin for {node}, which rounds to {dtype}: use a criterion "
                "without gradient, such as --criterion wr",
                op=node.op,
                node=node.name,
            )
        attributes = {**meaning.attributes, "low": limits[0], "high": limits[1]}
        self._own(node, "FakeQuantise", (name, *meaning.names), output, attributes)
        self.meanings[output] = meaning

    def _compute(self, node: Node, form: Form) -> None:
        """Write a quantised operator as one on floats, and the rounding of its result."""
        inputs = [self._operand(node, operand) for operand in form.operands]
        if form.bias is not None and node.input(form.bias):
            inputs.append(self._bias(node, form))
        made = node.outputs[0] if form.output is None else f"{node.outputs[0]}/exact"
        added = "" if form.added is None else node.input(form.added)
        bare = f"{node.outputs[0]}/product" if added else made
        self._write_float(node, form.op, inputs, bare)
        if added:
            self._write(node, "Add", (bare, added), (made,))
        if form.output is not None:
            meaning = Meaning(node.input(form.output[0]), node.input(form.output[1]))
            self._round(node, made, node.outputs[0], meaning)

    def _operand(self, node: Node, operand: Operand) -> str:
        name = node.input(operand.position)
        if operand.zero_point is None:
            return name
        scale = "" if operand.scale is None else node.input(operand.scale)
        meaning = Meaning(scale, node.input(operand.zero_point), operand.axis)
        return self._floats(node, name, meaning)

    def _bias(self, node: Node, form: Form) -> str:
        """Return the bias in floats; its scale is the product of those of its operands."""
        assert form.bias is not None
        name = node.input(form.bias)
        found = [operand.scale for operand in form.operands[:2] if operand.scale is not None]
        scales = [node.input(position) for position in found]
        made = f"{node.outputs[0]}/bias_scale"
        values = [self._constant(scale) for scale in scales]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            self.constants[made] = product(known)
        else:
            self._write(node, "Mul", scales, (made,))
        return self._floats(node, name, Meaning(made, "", -1))

    def _dynamic_product(self, node: Node) -> None:
        """Round A by its own range, multiply by B and add the bias."""
        a, b, scale, zero_point, bias = (node.input(position) for position in range(5))
        rounded = tuple(f"{node.outputs[0]}/{part}" for part in ("a", "scale", "zero_point"))
        self._write(node, DYNAMIC, (a,), rounded, version=11)
        weight = self._floats(node, b, Meaning(scale, zero_point, -1))
        bare = f"{node.outputs[0]}/product" if bias else node.outputs[0]
        self._write(node, "MatMul", (rounded[0], weight), (bare,))
        if bias:
            self._write(node, "Add", (bare, bias), node.outputs)

    def _pass(self, node: Node) -> None:
        """Write a node that is not quantised: on what integers stand for if it moves them about."""
        known = {name: self._known(name) for name in node.inputs if name}
        first = known.get(node.input(0))
        if not any(known.values()) or node.op in SIZES:
            self.nodes.append(replace(node, attributes=self._bodies(node)))
            return
        if node.op not in PASSING or node.domain or first is None or self._is_spread(first):
            inputs = [self._floats(node, n, RAW) if known.get(n) else n for n in node.inputs]
            self.nodes.append(replace(node, inputs=tuple(inputs), attributes=self._bodies(node)))
            return
        inputs = list(node.inputs)
        if node.op == "Concat":
            inputs = [self._floats(node, name, first) for name in inputs]
        elif node.op == "Pad" and node.version >= 11 and node.str("mode", "constant") == "constant":
            inputs = self._padding(node, first)
        self.nodes.append(replace(node, inputs=tuple(inputs)))
        # Where a MaxPool took them from, and what a Dropout kept, are other things.
        own = node.outputs[:1] if node.op in ("MaxPool", "Dropout") else node.outputs
        self.meanings.update((name, first) for name in own if name)

    def _padding(self, node: Node, meaning: Meaning) -> list[str]:
        """Fill with what the filling integer stands for, 0 where none is given."""
        inputs = [*node.inputs, *[""] * (3 - len(node.inputs))]
        if not inputs[2]:
            zero_point = self._constant(meaning.zero_point)
            inputs[2] = f"{node.outputs[0]}/fill"
            dtype = np.uint8 if zero_point is None else zero_point.dtype
            self.constants[inputs[2]] = np.zeros((), dtype)
        inputs[2] = self._floats(node, inputs[2], meaning)
        return inputs

    def _bodies(self, node: Node) -> dict[str, Attribute]:
        """Return a node's attributes with its bodies in floats."""
        attributes = dict(node.attributes)
        for name, value in node.attributes.items():
            if isinstance(value, Graph):
                scope = self.inner[*self.scope.path, (node.index, name)]
                attributes[name] = _Rewriting(scope, self.inner, self.integers, self).run()
        return attributes

    def _floats(self, node: Node, name: str, meaning: Meaning) -> str:
        """Return the name of the floats that integers stand for when they are read in one way."""
        known = self._known(name)
        if known is None and self._convert(name, meaning):
            return name
        if known is None:
            made = self._free(name)
            self._own(node, "StandFor", (name, *meaning.names), made, meaning.attributes)
            return made
        if self._same(known, meaning):
            return name
        made = self._free(name)
        attributes = (meaning if self._is_spread(meaning) else known).attributes
        operands = (name, *known.names, *meaning.names)
        self._own(node, "Reinterpret", operands, made, attributes)
        return made

    def _convert(self, name: str, meaning: Meaning) -> bool:
        """Turn a constant of integers into floats, if scale and zero point are constants."""
        holder = self._holder(name)
        scale, zero_point = (self._constant(n) if n else None for n in meaning.names)
        known = (scale is not None or not meaning.scale) and (
            zero_point is not None or not meaning.zero_point
        )
        if holder is None or not known:
            return False
        found = read_integers(holder.constants[name], scale, zero_point, meaning)
        self.integers[holder.scope.unique(name)] = found
        holder.constants[name] = found.to_floats()
        holder.meanings[name] = meaning
        return True

    def _holder(self, name: str) -> _Rewriting | None:
        """Return the graph that holds a constant."""
        if name in self.constants:
            return self
        return None if self.outer is None else self.outer._holder(name)  # noqa: SLF001

    def _constant(self, name: str) -> Array | None:
        holder = self._holder(name)
        return None if holder is None else holder.constants[name]

    def _known(self, name: str) -> Meaning | None:
        if name in self.meanings or self.outer is None:
            return self.meanings.get(name)
        return self.outer._known(name)  # noqa: SLF001

    def _is_spread(self, meaning: Meaning) -> bool:
        """Whether there are several scales, or might be."""
        if meaning.scale and self._constant(meaning.scale) is None:
            return meaning.scale not in {
                o for n in self.nodes if n.op == DYNAMIC for o in n.outputs
            }
        values = [self._constant(name) for name in meaning.names if name]
        return any(value is not None and value.size > 1 for value in values)

    def _same(self, one: Meaning, other: Meaning) -> bool:
        if self._is_spread(one) and (one.axis, one.block) != (other.axis, other.block):
            return False
        return all(
            a == b or self._equal(a, b, default)
            for a, b, default in zip(one.names, other.names, (1.0, 0.0), strict=True)
        )

    def _equal(self, one: str, other: str, default: float) -> bool:
        values = [np.array(default) if not name else self._constant(name) for name in (one, other)]
        first, second = values
        return (
            first is not None
            and second is not None
            and np.array_equal(np.squeeze(first), np.squeeze(second))
        )

    def _free(self, name: str) -> str:
        taken = {output for node in self.nodes for output in node.outputs} | set(self.constants)
        number = 1
        while f"{name}/floats{number}" in taken:
            number += 1
        return f"{name}/floats{number}"

    def _own(
        self,
        node: Node,
        op: str,
        inputs: tuple[str, ...],
        output: str,
        attributes: Mapping[str, Attribute],
    ) -> None:
        own = replace(node, op=op, domain=OWN, version=1, inputs=inputs, outputs=(output,))
        self.nodes.append(replace(own, attributes=attributes))

    def _write(
        self,
        node: Node,
        op: str,
        inputs: Iterable[str],
        outputs: tuple[str, ...],
        version: int | None = None,
    ) -> None:
        opset = version or max(self.scope.graph.opset, 13)
        plain = replace(node, op=op, domain="", version=opset, attributes={})
        self.nodes.append(replace(plain, inputs=tuple(inputs), outputs=outputs))

    def _write_float(self, node: Node, op: str, inputs: list[str], output: str) -> None:
        """Write the float operator with the attributes of the quantised one, in its layout."""
        attributes = dict(node.attributes)
        version = max(self.scope.graph.opset, 13)
        if op == "Gemm" and "alpha" in attributes:  # it scales the sum, the bias included
            attributes["beta"] = attributes["alpha"]
        if op == "Softmax":
            version = node.int("opset", version)
        last = bool(node.int("channels_last", 0))
        first, made = f"{output}/channels_first", f"{output}/made" if last else output
        if last:
            self._own(node, "ChannelsFirst", (inputs[0],), first, {})
            inputs = [first, *inputs[1:]]
        plain = replace(node, op=op, domain="", version=version, attributes=attributes)
        self.nodes.append(replace(plain, inputs=tuple(inputs), outputs=(made,)))
        if last:
            self._own(node, "ChannelsLast", (made,), output, {})
