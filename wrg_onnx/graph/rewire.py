"""New wires in a graph, by onnx-graphsurgeon; no weight goes through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import onnx
import onnx_graphsurgeon as gs

from wrg_onnx.graph.model import captured
from wrg_onnx.graph.subgraphs import Path, Subgraph
from wrg_onnx.graph.weights import Array


@dataclass(frozen=True, slots=True, eq=False)
class Rewiring:
    """The part of an ``Edit`` that changes wires."""

    operands: Mapping[tuple[int, int], Array | None]
    bypassed: Mapping[str, str]
    copies: Mapping[tuple[int, int], Mapping[int, Array]]
    biases: Mapping[int, Array]


AddConstant: TypeAlias = Callable[[onnx.GraphProto, str, Array], None]
"""Puts a constant of a new name into a graph."""


def rewired(
    message: onnx.ModelProto, parts: Sequence[Subgraph], rewiring: Rewiring, add: AddConstant
) -> dict[str, str]:
    """Change the wires of a message, in place.

    Args:
        message: The model. Attributes, texts and whatever else nodes have stays.
        parts: Its graphs.
        rewiring: What to change, by the names and indices of the flat graph.
        add: Is given the new constants.

    Returns:
        By the name that a tensor got, the name that it stands for.
    """
    wires = _Wires(message, parts, add)
    wires.change(rewiring)
    return wires.added


class _Wires:
    """A message's graphs as onnx-graphsurgeon sees them: nodes and the tensors between them."""

    def __init__(
        self, message: onnx.ModelProto, parts: Sequence[Subgraph], add: AddConstant
    ) -> None:
        self.added: dict[str, str] = {}
        self._add = add
        self._copied: dict[int, gs.Node] = {}
        light = onnx.ModelProto(ir_version=message.ir_version, opset_import=message.opset_import)
        light.graph.node.extend(message.graph.node)
        light.graph.input.extend(message.graph.input)
        self._surgeon = gs.import_onnx(light)
        self._taken: set[str] = set()
        # By their indices in the flat graph, whatever is put between them later.
        self._nodes: dict[int, gs.Node] = {}
        self._graphs: dict[int, onnx.GraphProto] = {}
        self._parts: list[tuple[gs.Graph, onnx.GraphProto, list[gs.Node]]] = []
        for part in parts:
            surgeon, graph = _find(self._surgeon, message.graph, part.path)
            own = list(surgeon.nodes)
            self._parts.append((surgeon, graph, own))
            self._taken.update(_names(part))
            for index, node in enumerate(own):
                self._nodes[part.first + index] = node
                self._graphs[part.first + index] = graph

    def change(self, rewiring: Rewiring) -> None:
        """Make the changes, and write them into the message."""
        self._bypass(rewiring.bypassed)
        for (index, position), array in rewiring.operands.items():
            self._set_operand(index, position, array)
        for (index, position), operands in rewiring.copies.items():
            self._copy_maker(index, position, operands)
        for index, array in rewiring.biases.items():
            self._add_bias(index, array)
        # Bodies first: a graph whose nodes are made anew copies what its own have inside.
        for surgeon, graph, own in reversed(self._parts):
            self._write(surgeon, graph, own)

    def _bypass(self, bypassed: Mapping[str, str]) -> None:
        tensors = self._surgeon.tensors()
        for node in self._surgeon.nodes if bypassed else ():
            for position, tensor in enumerate(node.inputs):
                if tensor.name in bypassed:
                    node.inputs[position] = tensors[bypassed[tensor.name]]

    def _set_operand(self, index: int, position: int, array: Array | None) -> None:
        node = self._nodes[index]
        while len(node.inputs) <= position:
            node.inputs.append(gs.Variable.empty())
        if array is None:
            node.inputs[position] = gs.Variable.empty()
            return
        # The operand keeps the old name with a suffix; a name that is new takes the node's.
        stem = node.inputs[position].name or f"{node.name or node.op}_operand"
        node.inputs[position] = self._constant(index, stem, array)

    def _copy_maker(self, index: int, position: int, operands: Mapping[int, Array]) -> None:
        """Put a copy of the node that makes an input before its reader."""
        reader = self._nodes[index]
        old = reader.inputs[position]
        maker = old.inputs[0]
        inputs = list(maker.inputs)
        for place, array in operands.items():
            inputs[place] = self._constant(index, inputs[place].name, array)
        made = self._variable(old.name)
        name = f"{maker.name}_{made.name}" if maker.name else ""
        copy = gs.Node(maker.op, name, dict(maker.attrs), inputs, [made], domain=maker.domain)
        reader.inputs[position] = made
        nodes = self._surgeon.nodes
        nodes.insert(next(i for i, n in enumerate(nodes) if n is reader), copy)
        self._copied[id(copy)] = maker
        self.added[made.name] = old.name

    def _add_bias(self, index: int, bias: Array) -> None:
        """Put an Add behind a node."""
        node = self._nodes[index]
        result = node.outputs[0]
        made = self._variable(result.name)
        constant = self._constant(index, f"{result.name}_bias", bias)
        node.outputs[0] = made
        name = f"{node.name}_bias" if node.name else ""
        add = gs.Node("Add", name, inputs=[made, constant], outputs=[result])
        nodes = self._surgeon.nodes
        nodes.insert(1 + next(i for i, n in enumerate(nodes) if n is node), add)
        self.added[made.name] = result.name

    def _constant(self, index: int, stem: str, array: Array) -> gs.Variable:
        """Name a new constant; for graphsurgeon it is a tensor that nothing makes."""
        constant = self._variable(stem)
        self._add(self._graphs[index], constant.name, array)
        return constant

    def _variable(self, stem: str) -> gs.Variable:
        number = 1
        while f"{stem}_pruned{number}" in self._taken:
            number += 1
        name = f"{stem}_pruned{number}"
        self._taken.add(name)
        return gs.Variable(name)

    def _write(self, surgeon: gs.Graph, graph: onnx.GraphProto, own: Sequence[gs.Node]) -> None:
        """Write the wires of a graph's nodes, and nodes that are new, into the message."""
        for node, written in zip(own, graph.node, strict=True):
            for names, tensors in ((written.input, node.inputs), (written.output, node.outputs)):
                now = [tensor.name for tensor in tensors]
                if now != list(names):
                    names[:] = now
        if len(surgeon.nodes) == len(own):
            return
        place = {id(node): index for index, node in enumerate(own)}
        old = list(graph.node)
        nodes = [onnx.NodeProto() for _ in surgeon.nodes]
        for made, node in zip(nodes, surgeon.nodes, strict=True):
            maker = self._copied.get(id(node), node)
            if id(maker) in place:
                made.CopyFrom(old[place[id(maker)]])
            if id(node) not in place:
                made.op_type, made.name, made.domain = node.op, node.name, node.domain or ""
                made.input[:] = [tensor.name for tensor in node.inputs]
                made.output[:] = [tensor.name for tensor in node.outputs]
        del graph.node[:]
        graph.node.extend(nodes)


def _names(part: Subgraph) -> set[str]:
    """Return every name that a graph uses."""
    names = {value.name for value in (*part.graph.inputs, *part.graph.outputs)}
    names |= set(part.graph.constants)
    for node in part.graph.nodes:
        names.update(node.inputs, node.outputs, captured(node))
    return names


def _find(
    surgeon: gs.Graph, graph: onnx.GraphProto, path: Path
) -> tuple[gs.Graph, onnx.GraphProto]:
    """Walk down to a body."""
    for index, name in path:
        surgeon = surgeon.nodes[index].attrs[name]
        graph = next(a.g for a in graph.node[index].attribute if a.name == name)
    return surgeon, graph
