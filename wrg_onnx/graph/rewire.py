"""New wires between nodes, by onnx-graphsurgeon; no weight goes through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import helper

from wrg_onnx.graph.weights import Array


@dataclass(frozen=True, slots=True, eq=False)
class Narrowed:
    """Positions that a node is shown alone; what it makes of them is spread out again.

    Attributes:
        inputs: By input position and axis, the positions, ascending.
        outputs: By output position and axis, which of the shown positions each position gets.
    """

    inputs: Mapping[tuple[int, int], Array]
    outputs: Mapping[tuple[int, int], Array]


@dataclass(frozen=True, slots=True, eq=False)
class Rewiring:
    """The part of an ``Edit`` that changes what main-graph nodes read of each other."""

    bypassed: Mapping[str, str]
    copies: Mapping[tuple[int, int], Mapping[int, Array]]
    biases: Mapping[int, Array]
    narrowed: Mapping[int, Narrowed]

    def __bool__(self) -> bool:
        return bool(self.bypassed or self.copies or self.biases or self.narrowed)


AddConstant: TypeAlias = Callable[[onnx.GraphProto, str, Array], str]
"""Puts a constant into a graph, and returns its name, which starts as it is told."""


def rewire(
    message: onnx.ModelProto,
    rewiring: Rewiring,
    taken: set[str],
    add: AddConstant,
) -> dict[str, str]:
    """Change the wires of a message's main graph, in place.

    Args:
        message: The model. Attributes, texts and whatever else nodes have stays.
        rewiring: What to change, by its names and indices.
        taken: The names that are used; those of new tensors are added.
        add: Is asked for constants.

    Returns:
        By the name that a tensor got, the name that it stands for.
    """
    wires = _Wires(message, taken, add)
    wires.change(rewiring)
    wires.write()
    return wires.added


def free_name(stem: str, taken: set[str]) -> str:
    """Return a name that is not taken yet, and take it."""
    number = 1
    while f"{stem}_pruned{number}" in taken:
        number += 1
    taken.add(f"{stem}_pruned{number}")
    return f"{stem}_pruned{number}"


class _Wires:
    """A main graph as onnx-graphsurgeon sees it: nodes and the tensors between them."""

    def __init__(self, message: onnx.ModelProto, taken: set[str], add: AddConstant) -> None:
        light = onnx.ModelProto(ir_version=message.ir_version, opset_import=message.opset_import)
        light.graph.node.extend(message.graph.node)
        light.graph.input.extend(message.graph.input)
        self.added: dict[str, str] = {}
        self._graph = message.graph
        self._surgeon = gs.import_onnx(light)
        self._nodes = list(self._surgeon.nodes)
        self._copied: dict[int, gs.Node] = {}
        self._taken = taken
        self._add = add

    def change(self, rewiring: Rewiring) -> None:
        """Make the changes."""
        self._bypass(rewiring.bypassed)
        for (index, position), operands in rewiring.copies.items():
            self._copy_maker(self._nodes[index], position, operands)
        for index, array in rewiring.biases.items():
            self._add_bias(self._nodes[index], array)
        for index, narrowed in rewiring.narrowed.items():
            self._narrow(self._nodes[index], narrowed)

    def _bypass(self, bypassed: Mapping[str, str]) -> None:
        tensors = self._surgeon.tensors()
        for node in self._surgeon.nodes if bypassed else ():
            for position, tensor in enumerate(node.inputs):
                if tensor.name in bypassed:
                    node.inputs[position] = tensors[bypassed[tensor.name]]

    def _copy_maker(self, reader: gs.Node, position: int, operands: Mapping[int, Array]) -> None:
        """Put a copy of the node that makes an input before its reader."""
        old = reader.inputs[position]
        maker = old.inputs[0]
        inputs = list(maker.inputs)
        for place, array in operands.items():
            inputs[place] = self._constant(inputs[place].name, array)
        made = gs.Variable(free_name(old.name, self._taken))
        name = f"{maker.name}_{made.name}" if maker.name else ""
        copy = gs.Node(maker.op, name, dict(maker.attrs), inputs, [made], domain=maker.domain)
        reader.inputs[position] = made
        nodes = self._surgeon.nodes
        nodes.insert(next(i for i, n in enumerate(nodes) if n is reader), copy)
        self._copied[id(copy)] = maker
        self.added[made.name] = old.name

    def _add_bias(self, node: gs.Node, bias: Array) -> None:
        """Put an Add behind a node."""
        result = node.outputs[0]
        made = gs.Variable(free_name(result.name, self._taken))
        constant = self._constant(f"{result.name}_bias", bias)
        node.outputs[0] = made
        name = f"{node.name}_bias" if node.name else ""
        add = gs.Node("Add", name, inputs=[made, constant], outputs=[result])
        nodes = self._surgeon.nodes
        nodes.insert(1 + next(i for i, n in enumerate(nodes) if n is node), add)
        self.added[made.name] = result.name

    def _narrow(self, node: gs.Node, narrowed: Narrowed) -> None:
        """Put a Gather before inputs of a node, and one behind outputs."""
        nodes = self._surgeon.nodes
        for (position, axis), positions in narrowed.inputs.items():
            gather = self._gather(node.inputs[position], axis, positions)
            node.inputs[position] = gather.outputs[0]
            nodes.insert(next(i for i, n in enumerate(nodes) if n is node), gather)
        for (position, axis), positions in narrowed.outputs.items():
            result = node.outputs[position]
            made = gs.Variable(free_name(result.name, self._taken))
            gather = self._gather(made, axis, positions)
            gather.outputs, node.outputs[position] = [result], made
            nodes.insert(1 + next(i for i, n in enumerate(nodes) if n is node), gather)

    def _gather(self, source: gs.Variable, axis: int, positions: Array) -> gs.Node:
        made = gs.Variable(free_name(source.name, self._taken))
        constant = self._constant(f"{source.name}_positions", positions.astype(np.int64))
        return gs.Node("Gather", "", {"axis": axis}, [source, constant], [made])

    def _constant(self, stem: str, array: Array) -> gs.Variable:
        """Name a new constant; for graphsurgeon it is a tensor that nothing makes."""
        return gs.Variable(self._add(self._graph, stem, array))

    def write(self) -> None:
        """Write the wires, and nodes that are new, into the message."""
        for node, written in zip(self._nodes, self._graph.node, strict=True):
            for names, tensors in ((written.input, node.inputs), (written.output, node.outputs)):
                now = [tensor.name for tensor in tensors]
                if now != list(names):
                    names[:] = now
        if len(self._surgeon.nodes) == len(self._nodes):
            return
        place = {id(node): index for index, node in enumerate(self._nodes)}
        old = list(self._graph.node)
        nodes = [onnx.NodeProto() for _ in self._surgeon.nodes]
        for made, node in zip(nodes, self._surgeon.nodes, strict=True):
            maker = self._copied.get(id(node), node)
            if id(maker) in place:
                made.CopyFrom(old[place[id(maker)]])
            if id(node) not in place:
                made.op_type, made.name, made.domain = node.op, node.name, node.domain or ""
                made.input[:] = [tensor.name for tensor in node.inputs]
                made.output[:] = [tensor.name for tensor in node.outputs]
                if id(node) not in self._copied:  # a copy has those of its maker already
                    made.attribute.extend(
                        helper.make_attribute(*item) for item in node.attrs.items()
                    )
        del self._graph.node[:]
        self._graph.node.extend(nodes)
