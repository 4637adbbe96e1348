"""The one way a graph is changed: constants and attributes, on a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import onnx_graphsurgeon as gs

from wrg_onnx.graph.load import Source, read_records
from wrg_onnx.graph.model import Array, Attribute, Graph


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """What to change in a graph.

    Attributes:
        constants: New values of initializers and Constant nodes, by tensor name.
        attributes: New attributes by node index; None removes one.
        operands: New constant operands by (node index, input position). The node gets a constant of
            its own, so that other readers of the same tensor keep theirs.
        bypassed: By tensor, the one that its readers get instead; outputs of the graph stay.
    """

    constants: Mapping[str, Array] = field(default_factory=dict)
    attributes: Mapping[int, Mapping[str, Attribute | None]] = field(default_factory=dict)
    operands: Mapping[tuple[int, int], Array] = field(default_factory=dict)
    bypassed: Mapping[str, str] = field(default_factory=dict)


def edited(graph: Graph, edit: Edit) -> Graph:
    """Return a copy of the graph with the edit applied; arrays that it leaves alone are shared.

    Args:
        graph: The graph to copy.
        edit: What to change.

    Returns:
        The new graph; node indices and tensor names are those of the old one.
    """
    source: Source = graph.source
    surgeon = source.surgeon.copy()
    for tensor in surgeon.tensors().values():
        if isinstance(tensor, gs.Constant) and tensor.name in edit.constants:
            tensor.values = edit.constants[tensor.name]
    for node in surgeon.nodes:
        if node.op == "Constant" and node.outputs[0].name in edit.constants:
            name = node.outputs[0].name
            node.attrs = {"value": gs.Constant(name, edit.constants[name])}
    for index, attributes in edit.attributes.items():
        node = surgeon.nodes[index]
        node.attrs = {**node.attrs, **attributes}
        node.attrs = {k: _to_surgeon(v) for k, v in node.attrs.items() if v is not None}
    _bypass(surgeon, edit.bypassed)
    taken = set(surgeon.tensors())
    for (index, position), array in edit.operands.items():
        node = surgeon.nodes[index]
        # The operand keeps the old name with a suffix; a name that is new takes the node's.
        old = node.inputs[position].name if position < len(node.inputs) else ""
        constant = gs.Constant(_free_name(old or f"{node.name or node.op}_operand", taken), array)
        taken.add(constant.name)
        while len(node.inputs) <= position:
            node.inputs.append(gs.Variable.empty())
        node.inputs[position] = constant
    return read_records(replace(source, surgeon=surgeon), name=graph.name, opsets=graph.opsets)


def _bypass(surgeon: gs.Graph, bypassed: Mapping[str, str]) -> None:
    tensors = surgeon.tensors()
    for node in surgeon.nodes:
        for position, tensor in enumerate(node.inputs):
            if tensor.name in bypassed:
                node.inputs[position] = tensors[bypassed[tensor.name]]


def _to_surgeon(value: Attribute | gs.Graph) -> Attribute | gs.Graph | list[Attribute]:
    return list(value) if isinstance(value, tuple) else value


def _free_name(stem: str, taken: set[str]) -> str:
    number = 1
    while f"{stem}_pruned{number}" in taken:
        number += 1
    return f"{stem}_pruned{number}"
